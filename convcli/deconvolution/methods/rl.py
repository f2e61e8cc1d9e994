"""Richardson–Lucy: the likeliest image if every photon counts; never negative."""

from collections.abc import Iterator

import numpy as np

from convcli.arrays.library import Array
from convcli.deconvolution.blur import Blur, differences, divergence, squared_length
from convcli.deconvolution.method import MethodOptions, Step
from convcli.errors import UsageError

SUMMARY = "Richardson–Lucy, until the residual is the noise; positive"
ITERATIONS = 200
TOLERANCE = 0.0
OPTIONS = ("balance", "accelerate", "damping")
POSITIVE = True

SEEN = 1e-3  # a pixel of the grid that contributes less to the photo stays as it is
SHARPNESS = 10  # N of the damping
LEAST_DIVISOR = 0.1


def restore(blur: Blur, options: MethodOptions) -> Iterator[Step]:
    """Iterate x ← x · Hᵀ(M y/Hx) / HᵀM, from a flat image on.

    With `damping` T, ratios within T standard deviations of the noise are drawn towards 1. With a
    `balance` b, x is also divided by 1 − b div(∇x/|∇x|). Accelerated, each iteration starts at
    x + α(x − x₋₁), where α is the correlation of the last two steps.

    Richardson (1972); Lucy (1974). White (1994), "Image restoration using the damped Richardson–Lucy
    method", equation 6, with Gaussian noise in place of its photons. Dey et al. (2006),
    "Richardson–Lucy algorithm with total variation regularization for 3D confocal microscope
    deconvolution", equation 10. Biggs and Andrews (1997), "Acceleration of iterative image restoration
    algorithms", Applied Optics 36, equations 6 to 10.
    """
    least = float(blur.psf.min())
    if least < 0:
        raise UsageError(
            f"the PSF has negative cells, down to {least:.3g}, and method rl needs a positive one; "
            "use --method tv or wiener"
        )
    observed = blur.observed
    floor = max(float(np.abs(observed).max()), np.finfo(blur.dtype).tiny * 1e6) * 1e-6
    image = np.empty_like(observed)
    axes = tuple(range(1, observed.ndim))
    image[...] = observed.sum(axis=axes, keepdims=True, dtype=np.float64) * len(observed) / blur.count
    adjoint = blur.transfer.conj()
    reach = None
    if blur.known is not None:
        reach = np.maximum(blur.inverse(blur.forward(blur.known) * adjoint), 0)
        seen = reach > SEEN
        reach = np.where(seen, 1 / np.maximum(reach, SEEN), 0)
        unseen = (~seen).astype(blur.dtype)
    ahead, step = image, None
    blurred = blur.apply(image)
    while True:
        np.maximum(blurred, floor, out=blurred)
        if options.damping:
            ratio = _damped(observed, blurred, options.damping * max(options.noise, floor))
        else:
            ratio = np.divide(observed, blurred, out=blurred)
        spectrum = blur.forward(blur.masked(ratio))
        spectrum *= adjoint
        new = blur.inverse(spectrum)
        if reach is not None:
            new *= reach
            new += unseen
        if options.balance:
            new /= np.maximum(_divisor(ahead, options.balance, floor), LEAST_DIVISOR)
        new *= ahead
        np.maximum(new, 0, out=new)
        if options.accelerate:
            moved = new - ahead
            gain = 0.0 if step is None else _correlation(moved, step)
            step = moved
            ahead = new - image
            ahead *= gain
            ahead += new
            np.maximum(ahead, 0, out=ahead)
        else:
            ahead = new
        image = new
        blurred = blur.apply(image)
        rest = blur.masked(observed - blurred).ravel()
        residual = float(np.dot(rest, rest) / blur.count) ** 0.5
        yield Step(image, residual, options.noise, options.balance, done=residual <= options.noise)
        if options.accelerate:
            blurred = blur.apply(ahead)


def _correlation(step: Array, before: Array) -> float:
    """α: how far two steps go the same way, from 0 to 1."""
    above, below = float(np.vdot(step, before)), float(np.vdot(before, before))
    return min(max(above / below, 0.0), 1.0) if below > 0 else 0.0


def _damped(observed: Array, blurred: Array, tolerance: float) -> Array:
    """Ratio y/Hx, drawn towards 1 where the two differ by less than `tolerance`."""
    rest = observed - blurred
    agreement = np.minimum(np.square(rest / tolerance), 1)
    weight = agreement ** (SHARPNESS - 1) * (SHARPNESS - (SHARPNESS - 1) * agreement)
    ratio: Array = 1 + weight * rest / blurred
    return ratio


def _divisor(image: Array, balance: float, floor: float) -> Array:
    """1 − b div(∇x/|∇x|)."""
    slopes = differences(image, image.ndim - 1)
    slopes /= np.sqrt(squared_length(slopes) + floor**2)
    result = divergence(slopes, np.empty_like(image))
    result *= balance
    result += 1
    return result
