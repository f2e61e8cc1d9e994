"""What kernels that sample a formula have in common."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from convcli.arrays.library import Array
from convcli.errors import UsageError
from convcli.kernels.kernel import MAX_AXIS
from convcli.spec import default_origin

Floats = NDArray[np.float64]


def odd_size(reach: float) -> tuple[int, int]:
    """Return the smallest odd square (height, width) that holds `reach` pixels on every side."""
    if not reach <= MAX_AXIS / 2 - 1:
        raise UsageError(
            f"the kernel would reach {reach:g} pixels to each side; the limit is {MAX_AXIS} cells per axis"
        )
    return (2 * math.ceil(reach) + 1,) * 2


def centres(cells: int) -> Floats:
    """Return the positions of the cells' centres, in pixels from the middle: -0.5 and 0.5 for 2 cells."""
    return np.arange(cells, dtype=np.float64) - (cells - 1) / 2


def grid(shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return x (1, width) to the right and y (height, 1) downwards, in pixels from the middle."""
    return centres(shape[1])[None, :], centres(shape[0])[:, None]


def direction(angle: float) -> tuple[float, float]:
    """Return the cosine and sine of `angle` in degrees, to 14 digits, so that zeros are zeros."""
    radians = math.radians(math.fmod(angle, 360))
    return round(math.cos(radians), 14), round(math.sin(radians), 14)


def unit_sum(weights: Array) -> Floats:
    """Scale non-negative weights to sum 1, so that a flat image keeps its brightness."""
    total = float(weights.sum())
    if not (math.isfinite(total) and total > 0):
        raise UsageError("every weight vanishes at this size")
    return np.asarray(weights / total)


def gaussian_weights(shape: tuple[int, int], sigma: float) -> Floats:
    """Sample exp(-(x² + y²) / 2σ²) at the cells' centres, scaled to sum 1."""
    column, row = (unit_sum(np.exp(-0.5 * (centres(n) / sigma) ** 2)) for n in shape)
    return np.outer(column, row)


def delta(shape: tuple[int, int] = (3, 3)) -> NDArray[np.int64]:
    """Return the kernel that changes nothing, with its 1 on the default origin."""
    values = np.zeros(shape, dtype=np.int64)
    values[default_origin(shape)] = 1
    return values
