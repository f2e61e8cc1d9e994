"""The patches of an image as a matrix: any rows of it, when they are asked for.

Border samples are found by index arithmetic, so neither a padded image nor the matrix need be stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike

from convcli.arrays.borders import OUTSIDE, border_index
from convcli.arrays.library import Array
from convcli.matrices.fitting import allocate
from convcli.matrices.matrix import Ints
from convcli.spec import ConvSpec


@dataclass(frozen=True, eq=False)
class Unrolled:
    """The matrix whose rows (or columns) are the patches of an image: im2col.

    Times the flattened kernel it is the correlation with that kernel. A patch is read channel by
    channel, each as it lies in the image; positions and cells are read last axis first.

    Parameters
    ----------
    image : (channels, *spatial) array
    spec : ConvSpec
        Of op ``correlate``.
    layout : {"rows", "columns"}
        One patch per row, or one per column.
    fill : float
        What lies outside the image under border ``constant``.

    Examples
    --------
    >>> spec = ConvSpec((2, 3), (2, 2), mode="valid", op="correlate")
    >>> Unrolled(np.arange(6).reshape(1, 2, 3), spec).rows(0, 2)
    array([[0, 1, 3, 4],
           [1, 2, 4, 5]])
    """

    image: Array
    spec: ConvSpec
    layout: str = "rows"
    fill: float = 0

    @property
    def row_shape(self) -> tuple[int, ...]:
        """What the rows stand for: positions, or channels and cells."""
        return self._shapes[0]

    @property
    def column_shape(self) -> tuple[int, ...]:
        """What the columns stand for: channels and cells, or positions."""
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

    def rows(self, start: int, stop: int) -> Array:
        """Build rows `start` to `stop`.

        Returns
        -------
        (stop - start, columns) array

        Raises
        ------
        LimitError
            If they are more than memory can hold.
        """
        return self._filled(start, stop, self.dtype, self._samples)

    def cells(self, start: int, stop: int) -> tuple[Ints, Ints, Ints]:
        """Tell which sample of the image stands where in rows `start` to `stop`.

        Returns
        -------
        rows, columns, cells : three (entries,) arrays
            By row and column, both from 0; a cell is a flat index into `image`. A border that repeats
            the image is listed as the sample repeated; one of a constant is not listed.
        """
        index = self._filled(start, stop, np.int64, self._sources)
        rows, columns = np.nonzero(index >= 0)
        return rows + start, columns, index[rows, columns]

    def _filled(
        self, start: int, stop: int, dtype: DTypeLike, part: Callable[[tuple[range, ...]], Array]
    ) -> Array:
        """Put some rows together from boxes of them; `part` makes one, rows' axes first."""
        result = allocate((stop - start, self.shape[1]), dtype, "the unrolled image")
        row = 0
        for box in boxes(self.row_shape, start, stop):
            values = part(box)
            count = math.prod(map(len, box))
            result[row : row + count].reshape(values.shape)[...] = values
            row += count
        return result

    def _samples(self, box: tuple[range, ...]) -> Array:
        """Part of the matrix as a view of the image, or of the strip of it with its border."""
        channels, positions, taps = self._wanted(box)
        strip = self._strip(channels, self._runs(positions, taps))
        extents = [(len(t) - 1) * a.dilation + 1 for a, t in zip(self.spec.axes, taps, strict=True)]
        windows = sliding_window_view(strip, extents, axis=tuple(range(1, strip.ndim)))
        steps = (*(a.stride for a in self.spec.axes), *(a.dilation for a in self.spec.axes))
        return self._arranged(windows[(slice(None), *(slice(None, None, step) for step in steps))])

    def _strip(self, channels: range, runs: list[Ints]) -> Array:
        """View what lies inside the image, or copy it together with its border."""
        if all(run[0] >= 0 and run[-1] - run[0] == len(run) - 1 for run in runs):  # no border leaps
            inside = (slice(run[0], run[-1] + 1) for run in runs)
            return self.image[(slice(channels.start, channels.stop), *inside)]
        # In one step, and not by take(), which would copy an image whole if it is a view.
        strip: Array = self.image[np.ix_(np.arange(channels.start, channels.stop), *runs)]
        fill = self.fill if self.spec.border == "constant" else 0
        for axis, run in enumerate(runs, 1):
            outside = run == OUTSIDE
            if outside.any():
                strip[(slice(None),) * axis + (outside,)] = fill
        return strip

    def _sources(self, box: tuple[range, ...]) -> Ints:
        """Flat indices into the image; negative outside of it."""
        channels, positions, taps = self._wanted(box)
        index = np.arange(channels.start, channels.stop) * math.prod(self.spec.image_shape)
        runs = self._runs(positions, taps)
        for number, (axis, run) in enumerate(zip(self.spec.axes, runs, strict=True)):
            cells = np.arange(len(taps[number])) * axis.dilation
            source = run[np.arange(len(positions[number]))[:, None] * axis.stride + cells]
            step = math.prod(self.spec.image_shape[number + 1 :])
            index = index[..., None, None] + np.where(source < 0, -self.image.size, source * step)
        return self._arranged(index.transpose(0, *range(1, index.ndim, 2), *range(2, index.ndim, 2)))

    def _wanted(self, box: tuple[range, ...]) -> tuple[range, Sequence[range], Sequence[range]]:
        """Channels, positions and cells of the kernel that a box of rows is about."""
        whole = tuple(map(range, self.column_shape))
        positions, cells = (box, whole) if self.layout == "rows" else (whole, box)
        return cells[0], positions, cells[1:]

    def _runs(self, positions: Sequence[range], taps: Sequence[range]) -> list[Ints]:
        """Image samples between the first and the last that are needed, per axis."""
        runs = []
        for axis, p, t in zip(self.spec.axes, positions, taps, strict=True):
            first = p[0] * axis.stride + t[0] * axis.dilation - axis.before
            last = p[-1] * axis.stride + t[-1] * axis.dilation - axis.before
            runs.append(border_index(axis.size, -first, last + 1 - axis.size, self.spec.border))
        return runs

    def _arranged(self, patches: Array) -> Array:
        """Turn (channels, *positions, *cells) into the axes of rows, then those of columns."""
        axes = len(self.spec.axes)
        positions, cells = range(1, axes + 1), (0, *range(axes + 1, 2 * axes + 1))
        return patches.transpose((*positions, *cells) if self.layout == "rows" else (*cells, *positions))


def boxes(shape: Sequence[int], start: int, stop: int) -> Iterator[tuple[range, ...]]:
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


def _within(shape: Sequence[int], start: int, stop: int) -> Iterator[tuple[range, ...]]:
    """Cut a run that stays within one index of the first axis."""
    inner = math.prod(shape[1:])
    first = start // inner
    for box in boxes(shape[1:], start - first * inner, stop - first * inner):
        yield (range(first, first + 1), *box)
