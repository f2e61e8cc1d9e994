"""Named kernels that differentiate: flat areas give 0.

Under the default operation, true convolution, they are positive where the brightness grows to the
right or downwards, so the positive cells come first. Angles turn from the right downwards, that is
clockwise on the image: 0 is the x and 90 the y kernel. None is divided by its sum of weights.
"""

from typing import Annotated

import numpy as np

from convcli.arrays.library import Array
from convcli.errors import UsageError
from convcli.kernels.registry import Positive, Real, constant, named, real
from convcli.kernels.sampling import direction, gaussian_weights, grid, odd_size
from convcli.text import brief

COMPASS = ("E", "SE", "S", "SW", "W", "NW", "N", "NE")
# The cells around the middle, clockwise from the right one.
RING = ((1, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0), (0, 1), (0, 2))


def _slopes(name: str, smoothing: list[int], note: str) -> Array:
    """Register the slopes along both axes, smoothed across, and return the cells of the first."""
    constant(f"{name}-x", np.outer(smoothing, [1, 0, -1]), f"Slope to the right, {note}.")
    constant(f"{name}-y", np.outer([1, 0, -1], smoothing), f"Slope downwards, {note}.")
    return np.outer(smoothing, [1, 0, -1])


SOBEL = _slopes("sobel", [1, 2, 1], "smoothed by 1 2 1 (Sobel)")


@named("30")
def sobel(angle: Real) -> Array:
    """Slope towards ANGLE degrees, clockwise from the right: cos·sobel-x + sin·sobel-y.

    The gradient is a vector, so its two components give the slope in any direction (Freeman &
    Adelson 1991, "The design and use of steerable filters", eq. 4).
    """
    cosine, sine = direction(angle)
    return cosine * SOBEL + sine * SOBEL.T


_slopes("prewitt", [1, 1, 1], "smoothed by 1 1 1 (Prewitt)")
_slopes("scharr", [3, 10, 3], "smoothed by 3 10 3 (Scharr), the most even over directions")

# With the last cell on the output pixel they look ahead, as in Roberts (1963).
DIAGONAL = "Slope to the lower right, from the pixel to its diagonal neighbour (Roberts)."
OPPOSITE = "Slope to the lower left, across the same 2×2 pixels as roberts-x (Roberts)."
constant("roberts-x", [[1, 0], [0, -1]], DIAGONAL, origin=(1, 1))
constant("roberts-y", [[0, 1], [-1, 0]], OPPOSITE, origin=(1, 1))


def compass(text: str) -> int:
    """Read a point of the compass as eighths of a turn, clockwise from east."""
    if text.upper() not in COMPASS:
        raise UsageError(f'"{brief(text)}" is not one of {", ".join(COMPASS)}')
    return COMPASS.index(text.upper())


@named("NE")
def kirsch(direction: Annotated[int, compass]) -> Array:
    """Slope towards DIRECTION, one of N NE E SE S SW W NW; N is up (Kirsch 1971).

    >>> kirsch(compass("E")).tolist()
    [[5, -3, -3], [5, 0, -3], [5, -3, -3]]
    """
    values = np.zeros((3, 3), dtype=np.int64)
    for position, cell in enumerate(RING):
        opposite = (position - direction - 4) % 8  # convolution turns the kernel round
        values[cell] = 5 if opposite in (7, 0, 1) else -3
    return values


FOUR = "Sum of second differences over 4 neighbours, with -4 in the middle."
EIGHT = "Sum of second differences over 8 neighbours, with -8 in the middle."
constant("laplacian", [[0, 1, 0], [1, -4, 1], [0, 1, 0]], FOUR)
constant("laplacian8", [[1, 1, 1], [1, -8, 1], [1, 1, 1]], EIGHT)


@named("1.4")
def log(sigma: Positive) -> Array:
    """Laplacian of a Gaussian of SIGMA pixels, negative in the middle; zero sum.

    (r² - 2σ²) / σ⁴ times the Gaussian of sum 1, less its mean, over 2·ceil(4σ) + 1 cells (Marr &
    Hildreth 1980, "Theory of edge detection"; MATLAB's fspecial).
    """
    shape = odd_size(4 * sigma)
    x, y = grid(shape)
    values = ((x / sigma) ** 2 + (y / sigma) ** 2 - 2) / sigma**2 * gaussian_weights(shape, sigma)
    return np.asarray(values - values.mean())


@named("1,1.6")
def dog(s1: Positive, s2: Positive) -> Array:
    """Difference of two Gaussian blurs, of S1 minus of S2 pixels; zero sum."""
    if s1 == s2:
        raise UsageError("S1 and S2 are the same, so that nothing is left; use two that differ")
    shape = odd_size(3 * max(s1, s2))
    return gaussian_weights(shape, s1) - gaussian_weights(shape, s2)


def at_least_two(text: str) -> float:
    """Read a wavelength that pixels can carry."""
    value = real(text)
    if value < 2:
        raise UsageError(f'"{brief(text)}" is below 2 pixels, the shortest wave an image can hold')
    return value


@named("3,45,8")
def gabor(sigma: Positive, angle: Real, wavelength: Annotated[float, at_least_two]) -> Array:
    """Wave of WAVELENGTH pixels towards ANGLE (clockwise from the right) under a Gaussian; zero sum.

    g·(cos(2π·(x·cos + y·sin) / wavelength) - c), where g is the round Gaussian of sum 1 over
    2·ceil(3σ) + 1 cells and c makes the sum 0, so that flat areas give nothing (Lee 1996, "Image
    representation using 2D Gabor wavelets", eq. 14, real part).
    """
    shape = odd_size(3 * sigma)
    x, y = grid(shape)
    cosine, sine = direction(angle)
    envelope = gaussian_weights(shape, sigma)
    wave = np.cos(2 * np.pi * (x * cosine + y * sine) / wavelength)
    return np.asarray(envelope * (wave - (envelope * wave).sum()))
