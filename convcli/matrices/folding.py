"""Patches added up to an image: col2im."""

from __future__ import annotations

import functools

import numpy as np

from convcli.arrays import Array
from convcli.matrices.fitting import allocate
from convcli.spec import Axis, ConvSpec


def put_back(patches: Array, spec: ConvSpec, *, mean: bool) -> Array:
    """Add (*positions, channels, *cells) up to (channels, *spatial), one cell of all patches at a time."""
    kept = patches.dtype if patches.dtype.kind == "f" or patches.dtype == np.uint64 else np.dtype(np.int64)
    dtype = np.dtype(np.float64) if mean and kept.kind == "f" else kept
    total = allocate((patches.shape[len(spec.axes)], *spec.image_shape), dtype, "the image")
    total[...] = 0
    meetings = [[_meeting(axis, tap) for tap in range(axis.taps)] for axis in spec.axes]
    with np.errstate(over="ignore", invalid="ignore"):  # infinities add up as IEEE 754 says
        for cell in np.ndindex(*spec.kernel_shape):
            positions, samples = zip(*(m[tap] for m, tap in zip(meetings, cell, strict=True)), strict=True)
            part = patches[(*positions, slice(None), *cell)]
            total[(slice(None), *samples)] += np.moveaxis(part, -1, 0)
    if not mean:
        return total
    counts = [np.zeros(axis.size) for axis in spec.axes]
    for count, met in zip(counts, meetings, strict=True):
        for _, samples_met in met:
            count[samples_met] += 1
    covers = functools.reduce(np.multiply.outer, counts)
    result: Array = total / np.maximum(covers, 1)
    return result


def _meeting(axis: Axis, tap: int) -> tuple[slice, slice]:
    """Positions along an axis at which a cell lies inside the image, and the samples it lies on."""
    first = tap * axis.dilation - axis.before
    start = max(0, -(first // axis.stride))
    stop = min(axis.output, -((first - axis.size) // axis.stride))
    if start >= stop:
        return slice(0, 0), slice(0, 0)
    sample = first + start * axis.stride
    return slice(start, stop), slice(sample, sample + (stop - start - 1) * axis.stride + 1, axis.stride)
