"""Least squares with a penalty on differences: the solver of wiener, tikhonov, tv and hyperlaplacian."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from convcli.arrays.library import Array
from convcli.deconvolution.balance import Balance
from convcli.deconvolution.blur import Blur, differences, divergence
from convcli.deconvolution.method import MethodOptions, Step

STUCK = (
    "no strength explains the residual: noise, PSF or border may not be the right ones; "
    "try --noise, --balance or another --border"
)
FILLING = 30  # iterations that guess unknown samples


class SparsePenalty:
    """A penalty φ(Dx) that is not quadratic, through a copy u of Dx and multipliers for u = Dx.

    `proximal` maps v (axes, planes, *grid) and a threshold t to argmin_u ½|u − v|² + t φ(u); the balance over
    `threshold` is the stiffness of the coupling. `slope` is the weight w for which ½ w |Dx|² is as steep as
    φ(Dx), a function of Dx.
    """

    def __init__(
        self, proximal: Callable[[Array, float], Array], slope: Callable[[Array], float], threshold: float
    ) -> None:
        self.proximal, self.slope, self.threshold = proximal, slope, threshold
        self.wanted: Array | None = None
        self.multipliers: Array | None = None

    def target(self, blur: Blur) -> Array | float:
        """Transform of Dᵀ(u − multipliers)."""
        if self.wanted is None:
            return 0.0
        return blur.forward(divergence(self.wanted, np.empty_like(self.wanted[0])))

    def update(self, image: Array, axes: int) -> float:
        """Bring u and the multipliers up to x; return the weight."""
        slopes = differences(image, axes)
        weight = self.slope(slopes)
        if self.multipliers is None:
            self.multipliers = np.zeros_like(slopes)
        slopes += self.multipliers
        self.wanted = self.proximal(slopes, self.threshold)
        np.subtract(slopes, self.wanted, out=self.multipliers)
        self.wanted -= self.multipliers
        return weight


def least_squares(
    blur: Blur, options: MethodOptions, curvature: Array, sparse: SparsePenalty | None = None, *, start: float
) -> Iterator[Step]:
    """Minimise ½‖M(y − Hx)‖² + b φ, for φ = ½ Σ c |x̂|², or for a sparse φ(Dx) by ADMM.

    The photo's surroundings are unknowns: in every iteration y is taken to be Hx there, which makes the
    normal equations diagonal for the Fourier transform. The balance b, at first `start`, is found on the way
    unless it is given. `curvature` is c, or the transform of DᵀD for a sparse penalty. A step's residual is
    that of the point from which the next one starts.

    Almeida and Figueiredo (2013), "Deconvolving images with unknown boundaries using the alternating
    direction method of multipliers", IEEE TIP 22, section III. The refilling makes theirs a proximal
    ADMM with one splitting less.
    """
    balance = Balance(blur, curvature, options, start)
    adjoint = blur.transfer.conj()
    axes = len(blur.grid)
    spectrum = blur.spectrum if sparse is None else filled_spectrum(blur, options)
    target = adjoint * spectrum
    before, momentum = np.zeros_like(target), 1.0
    while True:
        stiffness = balance.value
        if sparse is not None:
            stiffness /= sparse.threshold
            target += stiffness * sparse.target(blur)
        below = curvature * stiffness
        below += blur.gain
        below += np.finfo(blur.dtype).tiny
        spectrum = np.divide(target, below, out=target)
        image = blur.inverse(spectrum.copy())
        weight = balance.value
        if sparse is not None:
            weight *= sparse.update(image, axes)
        elif blur.known is not None:  # Nesterov's momentum: unknown samples settle slowly
            later = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            ahead = spectrum + (spectrum - before) * ((momentum - 1) / later)
            before, momentum, spectrum = spectrum, later, ahead
        residual = blur.residual(spectrum)
        balance.update(residual, weight)
        note = STUCK if balance.stuck else ""
        yield Step(image, blur.rms(residual), balance.noise, balance.value, note=note)
        target = blur.gain * spectrum
        target += adjoint * residual


def filled_spectrum(blur: Blur, options: MethodOptions) -> Array:
    """Transform of y, its unknown samples filled by Hx: a few of the cheaper, quadratic iterations do."""
    if blur.known is None:
        return blur.spectrum
    quadratic = replace(options, balance=None)
    steps = least_squares(blur, quadratic, blur.roughness, start=noise_to_signal(options))
    guess = next(itertools.islice(steps, FILLING - 1, None))
    blurred = blur.apply(guess.image)
    blurred += blur.masked(blur.observed - blurred)
    return blur.forward(blurred)


def noise_to_signal(options: MethodOptions) -> float:
    """Ratio of the powers of noise and image, the first balance of a quadratic penalty."""
    return (options.noise / options.scale) ** 2
