"""The structure of a matrix as a picture: a square per entry, coloured by what stands there."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from convcli.arrays.library import Array
from convcli.images import Image, write_image
from convcli.images.draw import SMALLEST, print_labels
from convcli.matrices.matrix import Matrix
from convcli.matrices.show.colouring import EMPTY, PALE, paint
from convcli.matrices.show.layout import MARGIN, Layout, layout

LINED = 6  # pixels of a square from which on there are lines between all, and ...
FRAMED = 5  # of a block
BOLD = 24  # pixels of a square from which on lines between blocks are thicker
LINE, FAINT_LINE, BORDER = 208, 222, 60  # gray
INK, FAINT_INK, CHALK = (20, 20, 20), (178, 178, 178), (245, 245, 245)
MEMORY_BYTES = 150 * 2**20

Pixels = NDArray[np.uint8]
Label = tuple[float, float, str, tuple[int, int, int]]


def write_picture(file: BinaryIO, matrix: Matrix, advance: Callable[[int], None]) -> None:
    """Write `picture` as PNG."""
    buffer = io.BytesIO()  # what goes wrong with `file` is not for the encoder to report
    write_image(buffer, Image(picture(matrix, advance)), format="PNG", compress=6)
    file.write(buffer.getbuffer())


def png_size(matrix: Matrix) -> tuple[int, bool]:
    """Return about the bytes of the picture."""
    height, width = layout(matrix.shape).size
    return height * width // 10, False


def picture(
    matrix: Matrix,
    advance: Callable[[int], None] = lambda rows: None,  # noqa: ARG005
) -> NDArray[np.uint8]:
    """Draw the structure of a matrix.

    Each cell of the kernel has a colour of its own, pale if it is 0; what is made of several has the
    mean of theirs. An unrolled image shows its brightness, or if it is symbolic, a colour for each
    sample. Squares that are large enough are labelled, and lines show the blocks of a block matrix.
    In a large matrix several rows and columns share a square, which has the mean colour of the entries
    that there are. Of a huge one, one row in each row of squares is looked at.

    Parameters
    ----------
    matrix : Matrix
    advance : callable
        Told now and then how many more rows are done.

    Returns
    -------
    (height, width, 3) array of uint8

    Examples
    --------
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
    """Tell what to write into the squares, if there is room for it."""
    if min(where.cell) < SMALLEST or max(where.merged) > 1:
        return
    found = matrix.rows(0, matrix.shape[0])
    dense: Array = found if isinstance(found, np.ndarray) else found.toarray()
    for row, line in enumerate(dense.tolist()):
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
