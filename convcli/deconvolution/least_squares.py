"""Least squares with a penalty on differences: what wiener, tikhonov, tv and hyperlaplacian share."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from convcli.arrays.library import Array
from convcli.deconvolution.balance import Strength
from convcli.deconvolution.blur import Blur, differences, divergence
from convcli.deconvolution.method import Settings, Step

STUCK = (
    "no strength explains the residual: noise, PSF or border may not be the right ones; "
    "try --noise, --balance or another --border"
)
FILLING = 30  # iterations that guess what lies outside


class Sparse:
    """A penalty φ(Dx) that is not quadratic, through a copy u of Dx and multipliers for u = Dx.

    Parameters
    ----------
    shrink : callable
        Proximal map: (v, threshold) -> argmin_u ½|u − v|² + threshold φ(u), v (axes, planes, *grid).
    slope : callable
        Weight w for which ½ w |Dx|² is as steep as φ(Dx), of Dx.
    threshold : float
        What `shrink` is called with; the balance over it is the stiffness of the coupling.
    """

    def __init__(
        self, shrink: Callable[[Array, float], Array], slope: Callable[[Array], float], threshold: float
    ) -> None:
        self.shrink, self.slope, self.threshold = shrink, slope, threshold
        self.wanted: Array | None = None
        self.multipliers: Array | None = None

    def pull(self, blur: Blur) -> Array | float:
        """Transform of Dᵀ(u − multipliers)."""
        if self.wanted is None:
            return 0.0
        return blur.forward(divergence(self.wanted, np.empty_like(self.wanted[0])))

    def follow(self, image: Array, axes: int) -> float:
        """Bring u and the multipliers up to x; return the weight."""
        slopes = differences(image, axes)
        weight = self.slope(slopes)
        if self.multipliers is None:
            self.multipliers = np.zeros_like(slopes)
        slopes += self.multipliers
        self.wanted = self.shrink(slopes, self.threshold)
        np.subtract(slopes, self.wanted, out=self.multipliers)
        self.wanted -= self.multipliers
        return weight


def least_squares(
    blur: Blur, settings: Settings, curvature: Array, sparse: Sparse | None = None, *, start: float
) -> Iterator[Step]:
    """Minimise ½‖M(y − Hx)‖² + b φ, for φ = ½ Σ c |x̂|², or for a sparse φ(Dx) by ADMM.

    The photo's surroundings are unknowns: in every iteration y is taken to be Hx there, which makes the
    normal equations diagonal for the Fourier transform. The balance is found on the way unless it is
    given. A step's residual is that of the point from which the next one starts.

    Parameters
    ----------
    blur : Blur
    settings : Settings
    curvature : array
        c, or the transform of DᵀD for a sparse penalty.
    sparse : Sparse, optional
    start : float
        The first balance.

    References
    ----------
    Almeida and Figueiredo (2013), "Deconvolving images with unknown boundaries using the alternating
    direction method of multipliers", IEEE TIP 22, section III. The refilling makes theirs a proximal
    ADMM with one splitting less.
    """
    strength = Strength(
        blur,
        curvature,
        noise=settings.noise if settings.noise_given else None,
        balance=settings.balance,
        noise_limits=(settings.least_noise, settings.noise),
        start=start,
    )
    adjoint = blur.transfer.conj()
    axes = len(blur.grid)
    spectrum = blur.spectrum
    if sparse is not None and blur.known is not None:
        spectrum = filled(blur, settings)
    target = adjoint * spectrum
    before, momentum = np.zeros_like(target), 1.0
    while True:
        stiffness = strength.balance
        if sparse is not None:
            stiffness /= sparse.threshold
            target += stiffness * sparse.pull(blur)
        below = curvature * stiffness
        below += blur.gain
        below += np.finfo(blur.dtype).tiny
        spectrum = np.divide(target, below, out=target)
        image = blur.inverse(spectrum.copy())
        weight = strength.balance
        if sparse is not None:
            weight *= sparse.follow(image, axes)
        elif blur.known is not None:  # Nesterov's momentum: what is unknown settles slowly
            later = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            ahead = spectrum + (spectrum - before) * ((momentum - 1) / later)
            before, momentum, spectrum = spectrum, later, ahead
        residual = blur.residual(spectrum)
        strength.update(residual, weight)
        note = STUCK if strength.stuck else ""
        yield Step(image, blur.rms(residual), strength.noise, strength.balance, note=note)
        target = blur.gain * spectrum
        target += adjoint * residual


def filled(blur: Blur, settings: Settings) -> Array:
    """Transform of y, and of what a quadratic penalty makes of Hx where nothing is known.

    Surroundings settle slowly; a few of the cheaper iterations bring them near.
    """
    quadratic = replace(settings, balance=None)
    steps = least_squares(blur, quadratic, blur.roughness, start=(settings.noise / settings.scale) ** 2)
    guess = next(itertools.islice(steps, FILLING - 1, None))
    blurred = blur.apply(guess.image)
    blurred += blur.masked(blur.observed - blurred)
    return blur.forward(blurred)
