"""Along one axis of a convolution: the sample of the image that each output reads through each cell.

One rule, ``output · stride + cell · dilation − before`` folded by the border, is the column index of T and
the sample index of im2col. Cells count as a correlation reads them: for ``convolve``, from the last one.
"""

from __future__ import annotations

import math

import numpy as np

from convcli.arrays.borders import OUTSIDE, border_index, border_positions
from convcli.matrices.matrix import Ints
from convcli.spec import Axis

Pair = tuple[slice, slice]


def footprint(axis: Axis, border: str, outputs: Ints | range, cells: range | None = None) -> Ints:
    """Return the (outputs, cells) table of the samples that are read, `OUTSIDE` where there is none.

    >>> from convcli.spec import ConvSpec
    >>> footprint(ConvSpec((3,), (2,), mode="full").axes[0], "zero", range(4)).tolist()
    [[-1, 0], [0, 1], [1, 2], [2, -1]]
    """
    first = numbers(outputs)[:, None] * axis.stride - axis.before
    return border_positions(first + numbers(cells or range(axis.taps)) * axis.dilation, axis.size, border)


def numbers(values: Ints | range) -> Ints:
    """Return a range as an array."""
    return np.arange(values.start, values.stop, values.step) if isinstance(values, range) else values


def readers(axis: Axis, border: str, samples: range) -> tuple[Ints, Ints]:
    """Return two (samples, most) tables: outputs that read each sample, or `OUTSIDE`, and cells, or 0."""
    outputs = _reaching(axis, samples)
    read = footprint(axis, border, outputs)
    reader, cell = np.nonzero((read >= samples.start) & (read < samples.stop))
    sample = read[reader, cell] - samples.start
    order = np.argsort(sample, kind="stable")
    sample, reader, cell = sample[order], outputs[reader[order]], cell[order]
    counts = np.bincount(sample, minlength=len(samples))
    place = np.arange(len(sample)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = (len(samples), max(1, int(counts.max(initial=0))))
    found, through = np.full(shape, OUTSIDE), np.zeros(shape, np.int64)
    found[sample, place], through[sample, place] = reader, cell
    return found, through


def _reaching(axis: Axis, samples: range) -> Ints:
    """Outputs that may read some samples: those around them, and all that a border reaches."""
    inside = interior(axis)
    first = -((axis.extent - 1 - axis.before - samples.start) // axis.stride)
    last = (samples.stop - 1 + axis.before) // axis.stride
    around = range(max(inside.start, first), max(inside.start, first, min(inside.stop, last + 1)))
    ends = np.arange(inside.start), np.arange(around.start, around.stop), np.arange(inside.stop, axis.output)
    return np.concatenate(ends)


def interior(axis: Axis) -> range:
    """Return the outputs along an axis that no border reaches: all alike."""
    first = min(axis.output, max(0, -(-axis.before // axis.stride)))
    last = (axis.size + axis.before - axis.extent) // axis.stride
    return range(first, max(first, min(axis.output, last + 1)))


def strip(axis: Axis, border: str, outputs: range, cells: range) -> Ints:
    """Return the samples from the first that is read to the last, those between two cells too."""
    first = outputs[0] * axis.stride + cells[0] * axis.dilation - axis.before
    last = outputs[-1] * axis.stride + cells[-1] * axis.dilation - axis.before
    return border_index(axis.size, -first, last + 1 - axis.size, border)


def joined(outer: Ints, inner: Ints, size: int) -> Ints:
    """Combine the tables of two axes to flat indices; `size` is that of the inner axis.

    >>> joined(np.array([[0, 1]]), np.array([[-1, 0], [0, 1]]), 2).tolist()
    [[-1, 0, -1, 2], [0, 1, 2, 3]]
    """
    flat = outer[:, None, :, None] * size + inner[None, :, None, :]
    flat = np.where((outer >= 0)[:, None, :, None] & (inner >= 0)[None, :, None, :], flat, OUTSIDE)
    return flat.reshape(len(outer) * len(inner), -1)


def inside(axis: Axis, *, by_cell: bool) -> list[Pair]:
    """For each cell (or output): the outputs (or cells) whose sample lies in the image, and these samples."""
    steps = (axis.taps, axis.dilation), (axis.output, axis.stride)
    (count, distance), (others, step) = steps if by_cell else steps[::-1]
    return [_inside(n * distance - axis.before, step, others, axis.size) for n in range(count)]


def _inside(first: int, step: int, count: int, size: int) -> Pair:
    """Numbers n below `count` with first + n · step inside the image, and those samples."""
    start = max(0, -(first // step))
    stop = min(count, -((first - size) // step))
    if start >= stop:
        return slice(0, 0), slice(0, 0)
    sample = first + start * step
    return slice(start, stop), slice(sample, sample + (stop - start - 1) * step + 1, step)


def covers(axis: Axis) -> Ints:
    """Count how often each sample is read, without the border."""
    counts = np.zeros(axis.size, np.int64)
    for _, samples in inside(axis, by_cell=axis.taps <= axis.output):
        counts[samples] += 1
    return counts


def most_covers(axis: Axis) -> int:
    """Return a bound of `covers`."""
    return -(-axis.taps // (axis.stride // math.gcd(axis.stride, axis.dilation)))
