"""What of a convolution fits into the memory of a GPU at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from convcli.arrays.borders import OUTSIDE
from convcli.arrays.library import Array
from convcli.spec import ConvSpec, ceil_div

ROOM = 0.8  # share of the free memory that is taken


@dataclass(frozen=True, eq=False, repr=False)
class Chunk:
    """Some items of a batch and some of their outputs, and the samples that these need."""

    items: slice
    outputs: tuple[slice, ...]
    padded: tuple[slice, ...]  # samples of the padded image
    spec: ConvSpec  # of the chunk alone: mode ``valid``, of these samples
    bytes: int  # of these samples and of the outputs


def chunks(spec: ConvSpec, sample_bytes: int, free_bytes: float, groups: int = 1) -> Iterator[Chunk]:
    """Cut a convolution into chunks, each as large as fits; the longest axis is halved until one does.

    `sample_bytes` is the size of a sample on the GPU; `groups` items of the batch stay together.

    >>> [s.outputs[0] for s in chunks(ConvSpec((100, 10), (3, 3)), 4, 8_000)]
    [slice(0, 50, None), slice(50, 100, None)]
    """
    items = max(1, spec.batch)
    shape = list(spec.output_shape)
    while _bytes(spec, items, shape, sample_bytes) > ROOM * free_bytes:
        if items > groups:
            items = max(groups, items // 2 // groups * groups)
        elif max(shape) > 1:
            longest = shape.index(max(shape))
            shape[longest] = ceil_div(shape[longest], 2)
        else:
            break
    cuts = [_cuts(n, step) for n, step in zip(spec.output_shape, shape, strict=True)]
    for batch, *outputs in itertools.product(_cuts(spec.batch, items), *cuts):
        padded = tuple(
            slice(out.start * axis.stride, (out.stop - 1) * axis.stride + axis.extent)
            for axis, out in zip(spec.axes, outputs, strict=True)
        )
        lengths = tuple(p.stop - p.start for p in padded)
        count = batch.stop - batch.start
        own = replace(
            spec, batch=count, image_shape=lengths, mode="valid", padding=None, origin=None, border="zero"
        )
        size = _bytes(spec, count, [o.stop - o.start for o in outputs], sample_bytes)
        yield Chunk(batch, tuple(outputs), padded, own, size)


def _cuts(length: int, step: int) -> list[slice]:
    return [slice(n, min(n + step, length)) for n in range(0, length, max(1, step))]


def _bytes(spec: ConvSpec, items: int, shape: list[int], sample_bytes: int) -> int:
    spans = ((n - 1) * axis.stride + axis.extent for n, axis in zip(shape, spec.axes, strict=True))
    image = spec.channels * math.prod(spans) * sample_bytes
    return items * (image + spec.outputs * math.prod(shape) * spec.itemsize)


def needed(image: Array, indices: list[NDArray[np.intp]]) -> tuple[Array, list[NDArray[np.intp]]]:
    """Leave out the samples that no index refers to, and number the others anew."""
    first = image.ndim - len(indices)
    renumbered = []
    for axis, index in enumerate(indices, first):
        found = np.unique(index[index != OUTSIDE])
        if len(found) == 0:
            found = np.zeros(1, np.intp)  # nothing but border; there has to be something
        if found[-1] - found[0] == len(found) - 1:
            image = image[(slice(None),) * axis + (slice(found[0], found[-1] + 1),)]
        else:
            image = image.take(found, axis=axis)
        renumbered.append(np.where(index == OUTSIDE, OUTSIDE, np.searchsorted(found, index)))
    return image, renumbered
