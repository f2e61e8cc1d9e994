"""Colours of kernel cells by formula: for kernels of any size, neighbours apart in hue or in lightness."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from convcli.matrices.matrix import Ints

Colours = NDArray[np.uint8]

FIRST_HUE = 265  # degrees: blue
HUE_STEP = 180 * (3 - math.sqrt(5))  # the golden angle: no two of the first few rows come close
LIGHTNESS = 0.60, 0.90  # black text is legible on all of it
# Parts of the range of lightness, such that neighbours, diagonal ones too, differ for every eye: of those
# tried, the largest least distance with and without red, green or blue receptors.
COLUMN_STEP, ROW_STEP = 0.46, 0.30
CHROMA = 0.13
# From Oklab to cone responses, and from their cubes to linear sRGB.
CONES = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.291485548]]
)
PRIMARIES = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.707614701],
    ]
)


def cell_colours(cells: Ints, shape: tuple[int, ...]) -> Colours:
    """Return the sRGB colours, (n, 3), of some cells of an array, given by flat indices.

    A row of the kernel has one hue (a single row: a hue per cell), which tells small blocks apart.
    Ottosson (2020), "A perceptual color space for image processing" (Oklab).

    >>> cell_colours(np.arange(4), (2, 2)).tolist()
    [[90, 125, 206], [130, 168, 252], [222, 126, 87], [255, 170, 129]]
    """
    rows, columns = np.divmod(cells, shape[-1])
    if math.prod(shape[:-1]) == 1:
        rows = columns
    low, high = LIGHTNESS
    lightness = low + (high - low) * ((columns * COLUMN_STEP + rows * ROW_STEP) % 1)
    hues = np.radians(FIRST_HUE + rows * HUE_STEP)
    lab = np.stack([lightness, CHROMA * np.cos(hues), CHROMA * np.sin(hues)])
    light = np.clip(PRIMARIES @ (CONES @ lab) ** 3, 0, 1)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(255 * encoded).astype(np.uint8).T


def colour_of(shape: tuple[int, ...]) -> Callable[[int], tuple[int, int, int]]:
    """Return a function from a flat index of an array to its colour, for a few of them."""

    @functools.cache
    def colour(cell: int) -> tuple[int, int, int]:
        red, green, blue = cell_colours(np.array([cell]), shape)[0].tolist()
        return red, green, blue

    return colour
