"""The patches of an image as a matrix: any rows of it, with border samples found by index arithmetic."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike

from convcli.arrays.borders import OUTSIDE
from convcli.arrays.library import Array
from convcli.errors import LimitError
from convcli.matrices.footprint import footprint, joined, strip
from convcli.matrices.matrix import Ints, Stopwatch, timed
from convcli.spec import ConvSpec
from convcli.text import bytes_text, shape_text

LAYOUTS = ("rows", "columns")
Box = tuple[range, ...]


def allocate(shape: tuple[int, ...], dtype: DTypeLike, what: str) -> Array:
    """Return an array with anything in it, or raise a LimitError if memory cannot hold it."""
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError, OverflowError):  # the last two: beyond what an array can be
        size = bytes_text(math.prod(shape) * np.dtype(dtype).itemsize)
        raise LimitError(
            f"{what} {shape_text(shape)} of {np.dtype(dtype)} takes {size}, more than memory can hold; "
            "use a smaller image or kernel, or a larger stride"
        ) from None


@dataclass(frozen=True, eq=False)
class Unrolled:
    """The matrix whose rows (or columns) are the patches of an image (channels, *spatial): im2col.

    A patch is read channel by channel, positions and cells last axis first; `spec` is of op ``correlate``.

    >>> spec = ConvSpec((2, 3), (2, 2), mode="valid", op="correlate")
    >>> Unrolled(np.arange(6).reshape(1, 2, 3), spec).rows(0, 2)
    array([[0, 1, 3, 4],
           [1, 2, 4, 5]])
    """

    image: Array
    spec: ConvSpec
    layout: str = "rows"
    fill: float = 0
    stopwatch: Stopwatch = field(default_factory=Stopwatch, repr=False)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Axes of the rows: positions, or channels and cells."""
        return self._shapes[0]

    @property
    def column_shape(self) -> tuple[int, ...]:
        """Axes of the columns: channels and cells, or positions."""
        return self._shapes[1]

    @property
    def _shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        positions, cells = self.spec.output_shape, (len(self.image), *self.spec.kernel_shape)
        return (positions, cells) if self.layout == "rows" else (cells, positions)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return math.prod(self.row_shape), math.prod(self.column_shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the image."""
        return self.image.dtype

    @property
    def block_shape(self) -> tuple[int, int]:
        """Rows and columns of one block: all axes but the first, of positions and of cells."""
        positions, cells = (math.prod(s[1:]) for s in (self.spec.output_shape, self.spec.kernel_shape))
        return (positions, cells) if self.layout == "rows" else (cells, positions)

    @property
    def cell_shape(self) -> tuple[int, ...]:
        """Shape of the image."""
        return self.image.shape

    @property
    def row_entries(self) -> int:
        """Entries in a row."""
        return self.shape[1]

    @timed
    def rows(self, start: int, stop: int) -> Array:
        """Build rows `start` to `stop`; a LimitError if they are more than memory can hold."""
        return self._filled(start, stop, self.dtype, self._samples)

    @timed
    def cells(self, start: int, stop: int) -> tuple[Ints, Ints, Ints]:
        """Tell which sample of the image, as a flat index, stands where; none for a constant border."""
        index = self._filled(start, stop, np.int64, self._index)
        rows, columns = np.nonzero(index >= 0)
        return rows + start, columns, index[rows, columns]

    def _filled(self, start: int, stop: int, dtype: DTypeLike, part: Callable[[Box], Array]) -> Array:
        """Put some rows together from boxes of them; `part` makes one."""
        result = allocate((stop - start, self.shape[1]), dtype, "the unrolled image")
        row = 0
        for box in boxes(self.row_shape, start, stop):
            values = part(box)
            count = math.prod(map(len, box))
            result[row : row + count].reshape(values.shape)[...] = values
            row += count
        return result

    def _index(self, box: Box) -> Ints:
        """Flat indices into the image, `OUTSIDE` where there is no sample; the box's rows by all columns."""
        channels, positions, cells = self._wanted(box)
        tables = [np.arange(channels.start, channels.stop)[None]]
        for axis, outputs, read in zip(self.spec.axes, positions, cells, strict=True):
            tables.append(footprint(axis, self.spec.border, outputs, read))
        tables = tables if self.layout == "rows" else [table.T for table in tables]
        sizes = (1, *self.spec.image_shape)
        return functools.reduce(
            lambda index, axis: joined(index, tables[axis], sizes[axis]), range(1, len(tables)), tables[0]
        )

    def _samples(self, box: Box) -> Array:
        """Part of the matrix as a view of the image, or of the strip of it with its border."""
        channels, positions, cells = self._wanted(box)
        wanted = list(zip(self.spec.axes, positions, cells, strict=True))
        image = self._strip(channels, [strip(axis, self.spec.border, p, c) for axis, p, c in wanted])
        extents = [(len(c) - 1) * axis.dilation + 1 for axis, _, c in wanted]
        windows = sliding_window_view(image, extents, axis=tuple(range(1, image.ndim)))
        steps = (*(a.stride for a in self.spec.axes), *(a.dilation for a in self.spec.axes))
        patches = windows[(slice(None), *(slice(None, None, step) for step in steps))]
        axes = len(self.spec.axes)
        outer, inner = range(1, axes + 1), (0, *range(axes + 1, 2 * axes + 1))
        return patches.transpose((*outer, *inner) if self.layout == "rows" else (*inner, *outer))

    def _strip(self, channels: range, runs: list[Ints]) -> Array:
        """View the part inside the image, or copy it together with its border."""
        if all(run[0] >= 0 and run[-1] - run[0] == len(run) - 1 for run in runs):  # no border leaps
            inside = (slice(run[0], run[-1] + 1) for run in runs)
            return self.image[(slice(channels.start, channels.stop), *inside)]
        # In one step, and not by take(), which would copy an image whole if it is a view.
        samples: Array = self.image[np.ix_(np.arange(channels.start, channels.stop), *runs)]
        fill = self.fill if self.spec.border == "constant" else 0
        for axis, run in enumerate(runs, 1):
            outside = run == OUTSIDE
            if outside.any():
                samples[(slice(None),) * axis + (outside,)] = fill
        return samples

    def _wanted(self, box: Box) -> tuple[range, Sequence[range], Sequence[range]]:
        """Channels, positions and cells of the kernel that a box of rows is about."""
        whole = tuple(map(range, self.column_shape))
        positions, cells = (box, whole) if self.layout == "rows" else (whole, box)
        return cells[0], positions, cells[1:]


def boxes(shape: Sequence[int], start: int, stop: int) -> Iterator[Box]:
    """Cut a run of flat indices into boxes of an array of that shape, in order.

    >>> [[list(side) for side in box] for box in boxes((3, 4), 2, 9)]
    [[[0], [2, 3]], [[1], [0, 1, 2, 3]], [[2], [0]]]
    """
    if start >= stop:
        return
    inner = math.prod(shape[1:])
    first, last = -(-start // inner), stop // inner
    if start < first * inner:
        yield from _within(shape, start, min(stop, first * inner))
    if first < last:
        yield (range(first, last), *map(range, shape[1:]))
    if first <= last:
        yield from _within(shape, last * inner, stop)


def _within(shape: Sequence[int], start: int, stop: int) -> Iterator[Box]:
    """Cut a run that stays within one index of the first axis."""
    inner = math.prod(shape[1:])
    first = start // inner
    for box in boxes(shape[1:], start - first * inner, stop - first * inner):
        yield (range(first, first + 1), *box)
