"""Which colour each square of a matrix's picture has; worked out from some rows at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.arrays.library import Array
from convcli.matrices.convolution_matrix import ConvolutionMatrix
from convcli.matrices.matrix import Ints, Matrix, Symbolic, spans
from convcli.matrices.show.layout import Layout
from convcli.matrices.show.palette import cell_colours

MOST_ENTRIES = 1 << 22  # looked at one by one
MOST_BLOCK_ROWS = 1 << 12
TABLE = 1 << 16  # cells whose colours are worked out beforehand
EMPTY, PALE = (255, 255, 255), (238, 238, 238)  # no cell of the kernel, and one that is 0
FEATHER = 1e-9  # weight of a pale one among others

Pixels = NDArray[np.uint8]
Span = tuple[int, int]


def paint(matrix: Matrix, where: Layout, advance: Callable[[int], None]) -> Pixels:
    """Return the colour of every square.

    All rows are looked at, or of a huge matrix one in each row of squares.

    Parameters
    ----------
    matrix : Matrix
    where : Layout
    advance : callable
        Told how many more rows are done.

    Returns
    -------
    (squares down, squares across, 3) array of uint8
    """
    inner = matrix.matrix if isinstance(matrix, Symbolic) else matrix
    if isinstance(inner, ConvolutionMatrix) and inner.transposed:  # whose rows are dearer
        turned = replace(matrix, matrix=inner.T) if isinstance(matrix, Symbolic) else inner.T
        squares = paint(turned, where.T, lambda rows: None)  # noqa: ARG005
        advance(matrix.shape[0])
        return squares.swapaxes(0, 1)
    visited = list(_visited(matrix, where))
    brush: _Samples | _Cells
    if matrix is inner and not isinstance(matrix, ConvolutionMatrix):
        brush = _Samples(matrix, where, visited)
    else:
        brush = _Cells(matrix, where)
    done = 0
    for start, stop in visited:
        brush.add(start, stop)
        advance(stop - done)
        done = stop
    advance(matrix.shape[0] - done)
    return brush.colours()


def _visited(matrix: Matrix, where: Layout) -> Iterator[Span]:
    inner = matrix.matrix if isinstance(matrix, Symbolic) else matrix
    rows, step = matrix.shape[0], where.merged[0]
    block_rows = rows // matrix.block_shape[0]
    if rows * inner.row_entries <= MOST_ENTRIES and block_rows <= MOST_BLOCK_ROWS:
        yield from spans(matrix)
        return
    for square in range(where.squares[0]):
        # Not always the same place in a square: a stride would show what is not there.
        row = min(rows - 1, square * step + int(square * 0.618 % 1 * step))
        yield row, row + 1


class _Cells:
    """Mean colour of the cells in each square."""

    def __init__(self, matrix: Matrix, where: Layout) -> None:
        self.matrix, self.where = matrix, where
        self.zero: Array | None = None
        self.shape = matrix.cell_shape
        if isinstance(matrix, ConvolutionMatrix):
            self.zero = matrix.kernels.reshape(-1) == 0
        self.sums = np.zeros((*where.squares, 4), np.float32)

    def add(self, start: int, stop: int) -> None:
        rows, columns, cells = self.matrix.cells(start, stop)
        (down, across), squares = self.where.merged, self.where.squares[1]
        first, last = start // down, (stop - 1) // down + 1
        flat = (rows // down - first) * squares + columns // across
        weights = np.ones(len(cells))
        colours = self._colours(cells)
        if self.zero is not None:
            weights[self.zero[cells]] = FEATHER
            colours[self.zero[cells]] = PALE
        for channel in range(4):
            amount = weights if channel == 3 else weights * colours[:, channel]
            total = np.bincount(flat, amount, (last - first) * squares)
            self.sums[first:last, :, channel] += total.reshape(last - first, squares)

    def _colours(self, cells: Ints) -> Pixels:
        if math.prod(self.shape) > TABLE:
            return cell_colours(cells, self.shape)
        return cell_colours(np.arange(math.prod(self.shape)), self.shape)[cells]

    def colours(self) -> Pixels:
        if max(self.where.merged) > 1:
            # A band one pixel wide is hard to see: one more, where there is nothing.
            bare = (self.sums[:, :-1, 3] > 0) & (self.sums[:, 1:, 3] == 0)
            self.sums[:, 1:][bare] = self.sums[:, :-1][bare]
        weight = self.sums[..., 3:]
        mean = self.sums[..., :3] / np.where(weight > 0, weight, 1)
        return np.round(np.where(weight > 0, mean, EMPTY)).astype(np.uint8)


class _Samples:
    """Mean brightness of the numbers in each square: from black to white, lowest to highest."""

    def __init__(self, matrix: Matrix, where: Layout, visited: list[Span]) -> None:
        self.matrix, self.where = matrix, where
        self.sums = np.zeros((*where.squares, 2))
        self.low, self.high = 0.0, 255.0
        if matrix.dtype != np.uint8:
            parts = (part[np.isfinite(part)] for part in map(self._numbers, visited))
            ends = [(float(part.min()), float(part.max())) for part in parts if part.size]
            self.low = min((low for low, _ in ends), default=0.0)
            self.high = max((high for _, high in ends), default=0.0)

    def _numbers(self, span: Span) -> Array:
        block: Any = self.matrix.rows(*span)
        return block if isinstance(block, np.ndarray) else block.toarray()

    def add(self, start: int, stop: int) -> None:
        down, across = self.where.merged
        starts = np.arange(0, self.where.shape[1], across)
        numbers = np.nan_to_num(self._numbers((start, stop)), nan=self.low, neginf=self.low, posinf=self.high)
        squares = np.arange(start, stop) // down
        counts = np.diff(starts, append=self.where.shape[1])
        # Divided first, because sums of the largest floats are not floats.
        parts = np.add.reduceat(numbers / (2.0 * down * across), starts, axis=1, dtype=np.float64)
        np.add.at(self.sums[..., 0], squares, parts * (across / counts))
        np.add.at(self.sums[..., 1], squares, 1)

    def colours(self) -> Pixels:
        half_mean = self.sums[..., 0] / np.maximum(self.sums[..., 1], 1) * self.where.merged[0]
        half_extent = self.high / 2 - self.low / 2
        gray = (half_mean - self.low / 2) / (half_extent or 1.0) * 255
        return np.repeat(np.clip(np.round(gray), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
