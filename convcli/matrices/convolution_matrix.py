"""The matrix of a convolution, known by its rule: any rows of it, when they are asked for.

The first axis says which blocks there are, the others their content. Nearly all block rows are shifted copies
of one another: a pattern is worked out once for each kind and copied, and nothing loops over pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from convcli.arrays.library import Array
from convcli.matrices.footprint import footprint, interior, joined, numbers, readers
from convcli.matrices.matrix import Ints, Stopwatch, blocks, timed
from convcli.spec import CONSTANT_BORDERS, ConvSpec

if TYPE_CHECKING:
    from scipy.sparse import csr_array

NOTHING = -(2**62)  # in place of a distance
SLICE = 1 << 16  # block rows looked at together
LONG_SLICE = 1 << 22  # block rows copied together
SCATTER = 1 << 20  # entries placed one by one together
PART = 1 << 18  # entries worked out together


class _Pattern(NamedTuple):
    """A block row: entries per row, columns from the first block it meets, values or cells."""

    counts: Ints
    columns: Ints
    values: Array


class _Run(NamedTuple):
    """Block rows of one pattern: which, from `first` on, and the block column where each begins."""

    first: int
    members: Ints | range
    shifts: Ints | range
    pattern: _Pattern

    def parts(self) -> Iterator[tuple[Ints, Ints]]:
        """Yield block rows and shifts as arrays of bounded length."""
        for begin in range(0, len(self.members), LONG_SLICE):
            part = slice(begin, begin + LONG_SLICE)
            yield self.first + numbers(self.members[part]), numbers(self.shifts[part])


@dataclass(frozen=True, eq=False)
class ConvolutionMatrix:
    """The matrix T with T · vec(image) = vec(result), vec reading the last axis first; or Tᵀ if `transposed`.

    Kernels are (outputs, channels / groups, *taps), as the user wrote them; the border of `spec` is linear.

    >>> matrix = ConvolutionMatrix(np.array([[[1, 2]]]), ConvSpec((3,), (2,), mode="full"))
    >>> matrix.shape, (matrix @ np.array([1, 0, 10])).tolist()
    ((4, 3), [1, 2, 10, 20])
    """

    kernels: Array
    spec: ConvSpec
    groups: int = 1
    transposed: bool = False
    stopwatch: Stopwatch = field(default_factory=Stopwatch, repr=False)

    @property
    def T(self) -> ConvolutionMatrix:  # noqa: N802 - as in NumPy
        """The transpose."""
        return replace(self, transposed=not self.transposed)

    def __matmul__(self, vector: Array) -> Array:
        """Multiply, some rows at a time."""
        return np.concatenate([part @ vector for part in blocks(self)])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the entries."""
        return self.kernels.dtype

    @property
    def row_shape(self) -> tuple[int, ...]:
        """(planes, *spatial) that the rows stand for: outputs and result."""
        return (self.spec.outputs, *self.spec.output_shape) if not self.transposed else self.T.column_shape

    @property
    def column_shape(self) -> tuple[int, ...]:
        """(planes, *spatial) that the columns stand for: channels and image."""
        return (self.spec.channels, *self.spec.image_shape) if not self.transposed else self.T.row_shape

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return math.prod(self.row_shape), math.prod(self.column_shape)

    @property
    def block_shape(self) -> tuple[int, int]:
        """Rows and columns of one block: all axes but the first."""
        return math.prod(self.row_shape[2:]), math.prod(self.column_shape[2:])

    @property
    def cell_shape(self) -> tuple[int, ...]:
        """Shape of the kernels."""
        return self.kernels.shape

    @property
    def row_entries(self) -> int:
        """Entries in a row, at most."""
        if not self.transposed:
            return min(self.shape[1], int(self.kernels[0].size))
        folded = self.spec.border not in CONSTANT_BORDERS  # onto one sample, by all outputs it reaches
        most = int(self.kernels[:, 0].size) // self.groups
        most *= 2 ** len(self.spec.axes) if folded else 1
        return min(self.shape[1], most)

    @property
    def working_bytes(self) -> int:
        """Memory that the pattern of a block row takes, at most, roughly."""
        return 24 * self.block_shape[0] * self.row_entries

    def tocsr(self) -> csr_array:
        """Build the whole matrix, sorted, without duplicates or stored zeros."""
        return self.rows(0, self.shape[0])

    @timed
    def rows(self, start: int, stop: int) -> csr_array:
        """Build rows `start` to `stop`: a (stop - start, columns) array."""
        from scipy.sparse import vstack

        height = self.block_shape[0]
        parts = []
        for first, last, some in self._pieces(start, stop):
            count = (last - first) * height if some is None else some.stop - some.start
            runs = [run._replace(pattern=self._numeric(run.pattern)) for run in self._runs(first, last, some)]
            parts.append(self._assembled(runs, count))
        if len(parts) < 2:
            return parts[0] if parts else self._assembled([], 0)
        whole: csr_array = vstack(parts, format="csr")
        whole.has_canonical_format = True
        return whole

    @timed
    def cells(self, start: int, stop: int) -> tuple[Ints, Ints, Ints]:
        """Tell which kernel cells stand where in some rows: those that meet one by one, zeros too."""
        height, width = self.block_shape
        parts = [(np.zeros(0, np.int64),) * 3]
        for first, last, some in self._pieces(start, stop):
            above = first * height if some is None else first * height + some.start
            for run in self._runs(first, last, some):
                pattern = run.pattern
                within = np.repeat(np.arange(len(pattern.counts)), pattern.counts)
                for members, shifts in run.parts():
                    rows = above + members[:, None] * height + within
                    columns = shifts[:, None] * width + pattern.columns
                    cells = np.broadcast_to(pattern.values, columns.shape)
                    parts.append((rows.reshape(-1), columns.reshape(-1), cells.reshape(-1)))
        rows, columns, cells = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.argsort(rows, kind="stable")
        return rows[order], columns[order], cells[order]

    def meet(self, axis: int, rows: range) -> tuple[Ints, Ints]:
        """Return two tables along an axis: what some rows meet of the columns, and through which cells."""
        one, border = self.spec.axes[axis], self.spec.border
        if self.transposed:
            return readers(one, border, rows)
        read = footprint(one, border, rows)
        return read, np.broadcast_to(np.arange(one.taps), read.shape)

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[int, int, slice | None]]:
        """Split rows into whole block rows, and some rows of the block rows at either end."""
        height = self.block_shape[0]
        while start < stop:
            block, above = divmod(start, height)
            if above == 0 and stop - start >= height:
                last = stop // height
                yield block, last, None
                start = last * height
            else:
                below = min(height, above + stop - start)
                yield block, block + 1, slice(above, below)
                start += below - above

    def _inner(self, some: slice) -> tuple[Ints, Ints]:
        """Columns, `OUTSIDE` where there is none, and cells of some rows of a block."""
        below = math.prod(self.row_shape[3:])  # rows of the block for each step of its first axis
        first, last = some.start // below, -(-some.stop // below)
        columns: Ints = np.zeros((1, 1), np.int64)
        cells: Ints = np.zeros((1, 1), np.int64)
        for number in range(1, len(self.spec.axes)):
            wanted = range(first, last) if number == 1 else range(self.row_shape[1 + number])
            others, through = self.meet(number, wanted)
            columns = joined(columns, others, self.column_shape[1 + number])
            cells = joined(cells, through, self.spec.kernel_shape[number])
        part = slice(some.start - first * below, some.stop - first * below)
        return columns[part], cells[part]

    def _links(self, plane: int) -> tuple[Ints, Ints]:
        """Planes of the columns that a plane of the rows meets, and the kernel between the two."""
        channels = self.kernels.shape[1]
        outputs = self.spec.outputs // self.groups
        group = plane // (channels if self.transposed else outputs)
        if self.transposed:
            planes = group * outputs + np.arange(outputs)
            return planes, planes * channels + plane % channels
        return group * channels + np.arange(channels), plane * channels + np.arange(channels)

    def _part(self, plane: int, others: Ints, through: Ints, some: slice) -> tuple[Ints, Ints, Ints]:
        """Counts, columns and cells of some rows of a block row, sorted."""
        inner, inner_cells = self._inner(some)
        planes, kernels = self._links(plane)
        size = math.prod(self.spec.kernel_shape)
        columns = others[:, None] * self.block_shape[1] + inner[:, None, :]
        columns = columns[:, None] + (planes * math.prod(self.column_shape[1:]))[:, None, None]
        cells = through[:, None] * math.prod(self.spec.kernel_shape[1:]) + inner_cells[:, None, :]
        if self.spec.op == "convolve":
            cells = size - 1 - cells
        cells = cells[:, None] + (kernels * size)[:, None, None]
        keep = (others != NOTHING)[:, None] & (inner >= 0)[:, None, :]
        keep = np.broadcast_to(keep[:, None], cells.shape)
        rows = np.nonzero(keep.reshape(len(inner), -1))[0]
        columns, cells = columns[keep], cells[keep]
        right, below = np.diff(columns), np.diff(cells)
        if ((np.diff(rows) == 0) & ((right < 0) | ((right == 0) & (below < 0)))).any():
            order = np.lexsort((cells, columns, rows))
            columns, cells = columns[order], cells[order]
        return np.bincount(rows, minlength=len(inner)), columns, cells

    def _pattern(self, plane: int, others: Ints, through: Ints, some: slice | None) -> _Pattern:
        """Work out the cells of a block row, or of some rows of it, a part at a time."""
        rows = some or slice(0, self.block_shape[0])
        step = max(1, PART // self.kernels[0].size)
        parts = [
            self._part(plane, others, through, slice(start, min(start + step, rows.stop)))
            for start in range(rows.start, rows.stop, step)
        ]
        return _Pattern(*map(np.concatenate, zip(*parts, strict=True)))

    def _numeric(self, pattern: _Pattern) -> _Pattern:
        """Put numbers in the place of cells: those that meet in one entry are added up, zeros left out."""
        values = self.kernels.reshape(-1)[pattern.values]
        rows = np.repeat(np.arange(len(pattern.counts)), pattern.counts)
        kept = values != 0
        rows, columns, values = rows[kept], pattern.columns[kept], values[kept]
        same = (np.diff(rows) == 0) & (np.diff(columns) == 0)
        if same.any():
            starts = np.flatnonzero(np.concatenate(([True], ~same)))
            values = np.add.reduceat(values, starts)
            kept = values != 0
            rows, columns, values = rows[starts][kept], columns[starts][kept], values[kept]
        return _Pattern(np.bincount(rows, minlength=len(pattern.counts)), columns, values)

    def _runs(self, first: int, last: int, some: slice | None) -> Iterator[_Run]:
        """Block rows `first` to `last`, or some rows of each, by pattern."""
        height = self.row_shape[1]
        still = range(0) if self.transposed else interior(self.spec.axes[0])
        block = first
        while block < last:
            plane, outer = divmod(block, height)
            stop = min(height, outer + last - block)
            if outer in still:
                stop = min(stop, still.stop)
                others, through = self.meet(0, range(outer, outer + 1))
                pattern = self._pattern(plane, others[0] - others[0, 0], through[0], some)
                count, stride = stop - outer, self.spec.axes[0].stride
                shifts = range(int(others[0, 0]), int(others[0, 0]) + count * stride, stride)
                yield _Run(block - first, range(count), shifts, pattern)
            else:
                stop = min(stop, outer + SLICE, still.start if outer < still.start else stop)
                yield from self._few(block - first, plane, range(outer, stop), some)
            block += stop - outer

    def _few(self, first: int, plane: int, outer: range, some: slice | None) -> Iterator[_Run]:
        """Block rows that may all be different."""
        others, through = self.meet(0, outer)
        nearest = np.argmax(others >= 0, axis=1)[:, None]
        shifts = np.maximum(np.take_along_axis(others, nearest, axis=1), 0)
        distances = np.where(others >= 0, others - shifts, NOTHING)
        for members in _alike(np.hstack((distances, through))):
            pattern = self._pattern(plane, distances[members[0]], through[members[0]], some)
            yield _Run(first, members, shifts[members, 0], pattern)

    def _assembled(self, runs: list[_Run], rows: int) -> csr_array:
        """Copy every pattern to where it belongs."""
        from scipy.sparse import csr_array

        width = self.block_shape[1]
        height = len(runs[0].pattern.counts) if runs else 1  # of a block row, or of the rows wanted of it
        total = sum(len(run.members) * len(run.pattern.values) for run in runs)
        index_type = np.int32 if max(total, *self.shape) < 2**31 else np.int64
        pointers = np.zeros(rows + 1, index_type)
        counts = pointers[1:].reshape(-1, height)
        parts = [(part, run.pattern) for run in runs for part in run.parts()]
        for (members, _), pattern in parts:
            counts[members] = pattern.counts
        np.cumsum(pointers, out=pointers)
        columns, values = np.empty(total, index_type), np.empty(total, self.dtype)
        for (members, distances), pattern in parts:
            size = len(pattern.values)
            shifts = (distances * width).astype(index_type)[:, None]
            starts = pointers[members * height].astype(np.int64)
            base: Array = pattern.columns.astype(index_type)
            if len(starts) * size and starts[-1] - starts[0] == (len(starts) - 1) * size:
                whole = slice(starts[0], starts[-1] + size)
                np.add(base, shifts, out=columns[whole].reshape(-1, size))
                values[whole].reshape(-1, size)[...] = pattern.values
                continue
            step = max(1, SCATTER // max(1, size))
            for begin in range(0, len(starts), step):
                where = starts[begin : begin + step, None] + np.arange(size)
                columns[where] = base + shifts[begin : begin + step]
                values[where] = pattern.values
        matrix = csr_array((values, columns, pointers), shape=(rows, self.shape[1]))
        matrix.has_canonical_format = True
        return matrix


def _alike(rows: Ints) -> Iterator[Ints]:
    """Group equal rows; neighbours are mostly equal, so few are left to look up."""
    changes = np.flatnonzero(np.concatenate(([True], (rows[1:] != rows[:-1]).any(axis=1))))
    known: dict[bytes, int] = {}
    kinds = [known.setdefault(row.tobytes(), len(known)) for row in rows[changes]]
    each = np.repeat(kinds, np.diff(changes, append=len(rows)))
    order = np.argsort(each, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(each[order])) + 1)
