"""How close an image is to its reference; both are (planes, *spatial) arrays of real numbers."""

import math

import numpy as np

from convcli.arrays.library import Array
from convcli.engine.convolve import convolve
from convcli.errors import UsageError
from convcli.text import shape_text

WINDOW = 7
K1, K2 = 0.01, 0.03


def psnr(reference: Array, image: Array, white: float) -> float:
    """Peak signal-to-noise ratio: 10 · log10(white² / mean (reference − image)²), in decibels.

    Infinite for equal images; −inf if a sample of one is not finite.
    """
    _check(reference, image, white)
    return _decibels(white * white, _error(reference, image) / reference.size)


def isnr(reference: Array, blurred: Array, restored: Array) -> float:
    """Improvement: 10 · log10(Σ (reference − blurred)² / Σ (reference − restored)²), in decibels.

    Above 0 if `restored` is closer to `reference` than `blurred` is. Infinite where only one of them equals
    it, and 0 where both do. Samples that are not finite are infinitely wrong.
    """
    _check(reference, blurred)
    _check(reference, restored)
    return _decibels(_error(reference, blurred), _error(reference, restored))


def ssim(reference: Array, image: Array, white: float) -> float:
    """Mean structural similarity: 1 for equal images, NaN if a sample is not finite.

    With the means μ, variances σ² and covariance σ_xy of the samples in a window,

        (2 μ_x μ_y + C₁) (2 σ_xy + C₂) / ((μ_x² + μ_y² + C₁) (σ_x² + σ_y² + C₂))

    averaged over all windows inside the image, and over the planes; C₁ = (0.01 white)² and
    C₂ = (0.03 white)². Windows have 7 samples along every axis, or along an axis shorter than that the
    largest odd number that fits, and all weights equal; (co)variances are those of a sample, with
    N − 1 in the denominator. These are the defaults of scikit-image's ``structural_similarity``.

    Wang, Bovik, Sheikh and Simoncelli (2004), "Image quality assessment: from error visibility to
    structural similarity", equation 13.
    """
    _check(reference, image, white)
    return float(np.mean([_similarity(x, y, white) for x, y in zip(reference, image, strict=True)]))


def _similarity(x: Array, y: Array, white: float) -> float:
    """SSIM of one plane, whose samples are brought to 0..1 first."""
    sizes = [min(WINDOW, n - 1 + n % 2) for n in x.shape]
    count = math.prod(sizes)
    window = np.full(sizes, 1 / count)
    # x² + y² needs no telling apart: only the sum of the variances is asked for.
    x, y = x.astype(np.float64) / white, y.astype(np.float64) / white
    maps = np.stack([x, y, x * x + y * y, x * y])
    mean_x, mean_y, squares, products = convolve(maps, window, mode="valid", precision="float64")
    unbiased = count / max(count - 1, 1)
    means, mean_squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance, variances = unbiased * (products - means), unbiased * (squares - mean_squares)
    likeness = (2 * means + K1**2) * (2 * covariance + K2**2)
    return float(np.mean(likeness / ((mean_squares + K1**2) * (variances + K2**2))))


def _error(reference: Array, image: Array) -> float:
    """Sum of squared differences, infinite if it is not a number; plane by plane to save memory."""
    total = 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        for x, y in zip(reference, image, strict=True):
            difference = np.subtract(x, y, dtype=np.float64)
            total += float(np.square(difference, out=difference).sum())
    return total if math.isfinite(total) else math.inf


def _decibels(above: float, below: float) -> float:
    """10 · log10(above / below), with the limits where one of them is 0 or infinite."""
    if above == below:
        return 0.0
    upper, lower = (math.log10(value) if value else -math.inf for value in (above, below))
    return 10 * (upper - lower)


def _check(reference: Array, image: Array, white: float = 1.0) -> None:
    """Refuse images that cannot be compared."""
    sizes = shape_text(reference.shape)
    if reference.shape != image.shape:
        raise UsageError(
            f"images {sizes} and {shape_text(image.shape)} differ in shape; compare images of one shape"
        )
    if reference.size == 0:
        raise UsageError(f"images {sizes} have no samples to compare; use larger ones")
    if not 0 < white < math.inf:
        raise UsageError(f"top {white:g} is not a positive number; use the sample value of full brightness")
