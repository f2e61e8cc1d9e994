"""Patches added up to an image: col2im."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from convcli.arrays.library import Array
from convcli.errors import UsageError
from convcli.matrices.fitting import allocate
from convcli.spec import Axis, ConvSpec


def put_back(patches: Array, spec: ConvSpec, *, mean: bool) -> Array:
    """Add (*positions, channels, *cells) up to (channels, *spatial), one cell of all patches at a time."""
    dtype = _type_of_sums(patches, math.prod(map(_overlap, spec.axes)), mean)
    total = allocate((patches.shape[len(spec.axes)], *spec.image_shape), dtype, "the image")
    total[...] = 0
    # Positions and cells change places at will; Python steps through whichever are fewer.
    by_cell = math.prod(spec.kernel_shape) <= math.prod(spec.output_shape)
    meetings = [_meetings(axis, by_cell=by_cell) for axis in spec.axes]
    with np.errstate(over="ignore", invalid="ignore"):  # infinities add up as IEEE 754 says
        for one in np.ndindex(*(spec.kernel_shape if by_cell else spec.output_shape)):
            others, samples = zip(*(m[n] for m, n in zip(meetings, one, strict=True)), strict=True)
            part = patches[(*others, slice(None), *one)] if by_cell else patches[(*one, slice(None), *others)]
            total[(slice(None), *samples)] += np.moveaxis(part, -1, 0) if by_cell else part
    if not mean:
        return total
    counts = [np.zeros(axis.size) for axis in spec.axes]
    for count, met in zip(counts, meetings, strict=True):
        for _, samples_met in met:
            count[samples_met] += 1
    covers = functools.reduce(np.multiply.outer, counts)
    result: Array = total / np.maximum(covers, 1)
    return result


def _overlap(axis: Axis) -> int:
    """Cells of different patches that may lie on one sample."""
    return -(-axis.taps // (axis.stride // math.gcd(axis.stride, axis.dilation)))


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


def _meetings(axis: Axis, *, by_cell: bool) -> list[tuple[slice, slice]]:
    """For every cell the positions at which it lies inside the image, and the samples it lies on.

    Or, not `by_cell`, for every position the cells.
    """
    steps = (axis.taps, axis.dilation), (axis.output, axis.stride)
    (count, distance), (others, step) = steps if by_cell else steps[::-1]
    return [_meeting(n * distance - axis.before, step, others, axis.size) for n in range(count)]


def _meeting(first: int, step: int, count: int, size: int) -> tuple[slice, slice]:
    """Numbers n below `count` with first + n · step inside the image, and those samples.

    >>> _meeting(-3, 2, 9, 6)
    (slice(2, 5, None), slice(1, 6, 2))
    """
    start = max(0, -(first // step))
    stop = min(count, -((first - size) // step))
    if start >= stop:
        return slice(0, 0), slice(0, 0)
    sample = first + start * step
    return slice(start, stop), slice(sample, sample + (stop - start - 1) * step + 1, step)
