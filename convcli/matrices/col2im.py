"""Patches added up to an image: col2im."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from convcli.arrays.library import Array
from convcli.errors import UsageError
from convcli.matrices.footprint import covers, inside, most_covers
from convcli.matrices.im2col import allocate
from convcli.spec import ConvSpec


def put_back(patches: Array, spec: ConvSpec, *, mean: bool) -> Array:
    """Add (*positions, channels, *cells) up to (channels, *spatial), one cell of all patches at a time."""
    dtype = _type_of_sums(patches, math.prod(map(most_covers, spec.axes)), mean)
    total = allocate((patches.shape[len(spec.axes)], *spec.image_shape), dtype, "the image")
    total[...] = 0
    # Positions and cells change places at will; Python steps through whichever are fewer.
    by_cell = math.prod(spec.kernel_shape) <= math.prod(spec.output_shape)
    pairs = [inside(axis, by_cell=by_cell) for axis in spec.axes]
    with np.errstate(over="ignore", invalid="ignore"):  # infinities add up as IEEE 754 says
        for one in np.ndindex(*(spec.kernel_shape if by_cell else spec.output_shape)):
            others, samples = zip(*(pair[n] for pair, n in zip(pairs, one, strict=True)), strict=True)
            part = patches[(*others, slice(None), *one)] if by_cell else patches[(*one, slice(None), *others)]
            total[(slice(None), *samples)] += np.moveaxis(part, -1, 0) if by_cell else part
    if not mean:
        return total
    counts = functools.reduce(np.multiply.outer, [covers(axis).astype(float) for axis in spec.axes])
    result: Array = total / np.maximum(counts, 1)
    return result


def _type_of_sums(patches: Array, most: int, mean: bool) -> np.dtype[Any]:
    """Type in which at most `most` entries of the patches add up without overflow."""
    if patches.dtype.kind == "f":
        return np.dtype(np.float64) if mean else patches.dtype
    kept = np.dtype(np.uint64 if patches.dtype == np.uint64 else np.int64)
    largest = max(-int(patches.min()), int(patches.max())) * most
    if largest <= np.iinfo(kept).max:
        return kept
    if mean:
        return np.dtype(np.float64)
    raise UsageError(f"a sum may reach {largest}, beyond {kept}; convert the patches to float64")
