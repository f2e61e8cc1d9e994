"""Named kernels that blur as optics, motion and the atmosphere do: point-spread functions of sum 1."""

import math

import numpy as np

from convcli.arrays.library import Array
from convcli.kernels.registry import Positive, Real, named
from convcli.kernels.sampling import Floats, direction, grid, odd_size, unit_sum

AIRY_FIRST_ZERO = 3.8317059702075125  # of the Bessel function J1
LARGEST_EXPONENT = 500.0  # beyond, exp() overflows; long before, the kernel is too large


@named("3.5")
def disk(r: Positive) -> Array:
    """Defocus: a disk of radius R pixels; a cell at the rim weighs the area of it that is covered."""
    r = max(r, 0.5)  # smaller ones lie in one cell all the same
    height, width = odd_size(r - 0.5)
    edges_x, edges_y = grid((height + 1, width + 1))
    area = _disk_area(edges_x, edges_y, r)
    return unit_sum(np.maximum(np.diff(np.diff(area, axis=0), axis=1), 0))


def _disk_area(x: Floats, y: Floats, r: float) -> Floats:
    """Signed area that the disk shares with the rectangle from its centre to (x, y)."""
    a, b = np.minimum(np.abs(x), r), np.minimum(np.abs(y), r)
    flat = np.minimum(np.sqrt(r * r - b * b), a)  # up to here the rectangle lies below the circle
    area = b * flat + _under_circle(a, r) - _under_circle(flat, r)
    return np.asarray(np.sign(x) * np.sign(y) * area)


def _under_circle(x: Floats, r: float) -> Floats:
    """Integral of √(r² - t²) from 0 to x."""
    return np.asarray((x * np.sqrt(r * r - x * x) + r * r * np.arcsin(x / r)) / 2)


@named("15,30")
def motion(length: Positive, angle: Real) -> Array:
    """Motion blur along LENGTH pixels at ANGLE degrees, counter-clockwise from the right.

    A cell weighs 1 - d, where d < 1 is the distance of its centre from a segment of LENGTH - 1
    pixels through the middle, as in MATLAB's fspecial; ``motion:9,0`` weighs as ``box:1x9``.
    """
    cosine, sine = direction(angle)
    half = max(length - 1, 0) / 2
    odd_size(half)  # for its refusal of what would be too large
    reach_x, reach_y = (max(math.ceil(half * abs(part) + 1) - 1, 0) for part in (cosine, sine))
    x, y = grid((2 * reach_y + 1, 2 * reach_x + 1))
    along = x * cosine - y * sine  # y points down, the angle up
    distance = np.hypot(np.maximum(np.abs(along) - half, 0), x * sine + y * cosine)
    return unit_sum(np.maximum(1 - distance, 0))


@named("2,2.5")
def moffat(gamma: Positive, alpha: Positive) -> Array:
    """Atmospheric seeing: (1 + r²/GAMMA²)^-ALPHA, of full width 2·GAMMA·√(2^(1/ALPHA) - 1).

    Sampled out to twice its full width at half maximum (Moffat 1969, A&A 3, 455). The names are
    those of astropy's Moffat2DKernel; ALPHA is often called β.
    """
    full_width = 2 * gamma * math.sqrt(math.expm1(min(math.log(2) / alpha, LARGEST_EXPONENT)))
    x, y = grid(odd_size(2 * full_width))
    return unit_sum((1 + (x / gamma) ** 2 + (y / gamma) ** 2) ** -alpha)


@named("4")
def airy(radius: Positive) -> Array:
    """Diffraction of a round aperture: the Airy disk, whose first dark ring has RADIUS pixels.

    (2·J1(v)/v)² with v = 3.8317·r/RADIUS, sampled out to 4·RADIUS as in astropy's AiryDisk2DKernel
    (Born & Wolf, Principles of Optics, § 8.5.2, eq. 14).
    """
    from scipy.special import j1

    x, y = grid(odd_size(4 * radius))
    v = AIRY_FIRST_ZERO * np.hypot(x, y) / radius
    v[v == 0] = 1e-9  # where 2·J1(v)/v is 1 to the last bit
    return unit_sum((2 * j1(v) / v) ** 2)
