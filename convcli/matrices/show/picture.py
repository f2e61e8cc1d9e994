"""The structure of a matrix as a picture: a square per entry, coloured by the cell that stands there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.images.draw import SMALLEST, print_labels
from convcli.matrices.convolution_matrix import ConvolutionMatrix
from convcli.matrices.matrix import Advance, Ints, Matrix, Symbolic, dense_rows, spans
from convcli.matrices.show.palette import cell_colours

LONGEST = 1280  # pixels of the longer side
LARGEST_CELL = 96  # pixels
SLIM = 160  # pixels of the shorter side, if a matrix of few columns or rows can be given as many
MARGIN = 16
LINED = 6  # pixels of a square from which on there are lines between all, and ...
FRAMED = 5  # of a block
BOLD = 24  # pixels of a square from which on lines between blocks are thicker
LINE, FAINT_LINE, BORDER = 208, 222, 60  # gray
INK, FAINT_INK, CHALK = (20, 20, 20), (178, 178, 178), (245, 245, 245)
MOST_ENTRIES = 1 << 22  # looked at one by one
MOST_BLOCK_ROWS = 1 << 12
TABLE = 1 << 16  # cells whose colours are worked out beforehand
EMPTY, PALE = (255, 255, 255), (238, 238, 238)  # no cell of the kernel, and one that is 0
FEATHER = 1e-9  # weight of a pale one among others

Pixels = NDArray[np.uint8]
Span = tuple[int, int]
Label = tuple[float, float, str, tuple[int, int, int]]


@dataclass(frozen=True)
class Layout:
    """Squares of a picture: the shape of the matrix, rows and columns that share one, and its sides."""

    shape: tuple[int, int]
    merged: tuple[int, int]
    cell: tuple[int, int]

    @property
    def squares(self) -> tuple[int, int]:
        """Squares down and across."""
        return -(-self.shape[0] // self.merged[0]), -(-self.shape[1] // self.merged[1])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture, in pixels."""
        down, across = (n * side + 2 * MARGIN for n, side in zip(self.squares, self.cell, strict=True))
        return down, across

    @property
    def T(self) -> Layout:  # noqa: N802 - as in NumPy
        """That of the transpose."""
        return Layout(self.shape[::-1], self.merged[::-1], self.cell[::-1])

    def middle(self, row: int, column: int) -> tuple[float, float]:
        """Pixel row and column of the middle of an entry's square."""
        y, x = (
            MARGIN + (n // step + 0.5) * side
            for n, step, side in zip((row, column), self.merged, self.cell, strict=True)
        )
        return y, x


def layout(shape: tuple[int, int]) -> Layout:
    """Fit a matrix into a picture: equal squares, smaller the more there are, then several entries to one.

    A matrix much longer than wide gets cells that are wider than high, and vice versa.

    >>> layout((4, 9)).size, layout((4356, 4096)).size, layout((1000, 1)).cell
    ((416, 896), (1121, 1056), (1, 96))
    """
    longest = max(shape)
    usual = -(-longest // LONGEST), max(1, min(LARGEST_CELL, LONGEST // longest))
    scales = []
    for n in shape:
        step, side = usual
        if -(-n // step) * side < SLIM:
            step = -(-n // SLIM)
            side = max(side, min(LARGEST_CELL, SLIM // -(-n // step)))
        scales.append((step, side))
    (down, height), (across, width) = scales
    return Layout(shape, (down, across), (height, width))


def paint(matrix: Matrix, where: Layout, advance: Advance) -> Pixels:
    """Return the colours (down, across, 3) of the squares; of a huge matrix, from some rows."""
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
        self.zero: NDArray[np.bool_] | None = None
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
            parts = (part[np.isfinite(part)] for part in (dense_rows(matrix, *span) for span in visited))
            ends = [(float(part.min()), float(part.max())) for part in parts if part.size]
            self.low = min((low for low, _ in ends), default=0.0)
            self.high = max((high for _, high in ends), default=0.0)

    def add(self, start: int, stop: int) -> None:
        down, across = self.where.merged
        starts = np.arange(0, self.where.shape[1], across)
        numbers = np.nan_to_num(
            dense_rows(self.matrix, start, stop), nan=self.low, neginf=self.low, posinf=self.high
        )
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


def picture(
    matrix: Matrix,
    advance: Advance = lambda rows: None,  # noqa: ARG005
) -> NDArray[np.uint8]:
    """Draw the structure of a matrix.

    Each cell of the kernel has a colour, pale if 0; squares of several have the mean of theirs. An unrolled
    image shows its brightness, or if it is symbolic, a colour for each sample. Large squares are labelled.

    >>> from convcli.matrices.build import convolution_matrix
    >>> picture(convolution_matrix([[1, 2], [3, 4]], (3, 3), mode="valid")).shape
    (416, 896, 3)
    """
    where = layout(matrix.shape)
    squares = paint(matrix, where, advance)
    pixels = np.full((*where.size, 3), 255, np.uint8)
    inside = squares.repeat(where.cell[0], axis=0).repeat(where.cell[1], axis=1)
    pixels[MARGIN:-MARGIN, MARGIN:-MARGIN] = inside
    for axis in (0, 1):
        _rule(pixels.swapaxes(0, axis), where, axis, matrix.block_shape[axis])
    return print_labels(pixels, list(_labels(matrix, where, squares)), where.cell)


def _rule(pixels: Pixels, where: Layout, axis: int, block: int) -> None:
    """Draw lines across the first axis of `pixels`, which is an axis of the matrix."""
    paper = pixels[:, MARGIN:-MARGIN]
    count, side = where.squares[axis], where.cell[axis]
    lined = side >= LINED
    if lined:
        for square in range(1, count):
            paper[MARGIN + square * side] = LINE
    blocks = where.shape[axis] // block
    pitch = block * side / where.merged[axis]
    if blocks > 1 and pitch >= FRAMED and block * where.merged[axis] > 1:
        thickness = 1 + (side >= LINED) + (side >= BOLD)
        for number in range(1, blocks):
            at = MARGIN + round(number * pitch) - thickness // 2
            line = paper[at : at + thickness]
            # Lines as wide as the squares would hide them: draw where nothing is.
            line[...] = BORDER if lined else np.where(line == 255, FAINT_LINE, line)
    for edge in (MARGIN - 2, -MARGIN):
        pixels[edge : edge + 2, MARGIN - 2 : 2 - MARGIN] = BORDER


def _labels(matrix: Matrix, where: Layout, squares: Pixels) -> Iterator[Label]:
    """Yield the labels of the squares, if there is room for them."""
    if min(where.cell) < SMALLEST or max(where.merged) > 1:
        return
    for row, line in enumerate(dense_rows(matrix).tolist()):
        for column, value in enumerate(line):
            y, x = where.middle(row, column)
            yield x, y, label(value), _ink(squares[row, column], value)


def label(value: Any) -> str:
    """Write an entry in few characters.

    >>> label("w11"), label(100000), label(1 / 9), label(-0.0625)
    ('w11', '100000', '.111', '-.0625')
    """
    if not isinstance(value, float):
        return str(int(value) if isinstance(value, bool) else value)
    return f"{value:.3g}".replace("0.", ".", 1) if 0 < abs(value) < 1 else f"{value:.3g}"


def _ink(square: Pixels, value: Any) -> tuple[int, int, int]:
    """Return a colour that can be read on a square; zeros stand back."""
    if tuple(square) in (EMPTY, PALE):
        return FAINT_INK if value in (0, "0") else INK
    return INK if int(square[1]) > 118 else CHALK
