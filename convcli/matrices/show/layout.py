"""Where the entries of a matrix are in its picture."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST = 1280  # pixels of the longer side
LARGEST_CELL = 96  # pixels
SLIM = 160  # pixels of the shorter side, if a matrix of few columns or rows can be given as many
MARGIN = 16


@dataclass(frozen=True)
class Layout:
    """Where the entries of a matrix are in its picture.

    Attributes
    ----------
    shape : (int, int)
        Of the matrix.
    merged : (int, int)
        Rows and columns that share a square.
    cell : (int, int)
        Height and width of a square, in pixels.
    """

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
    """Fit a matrix into a picture: squares of one size, smaller the more there are, then several rows to one.

    A matrix much longer than wide gets cells that are wider than high, or the other way round.

    Examples
    --------
    >>> layout((4, 9))
    Layout(shape=(4, 9), merged=(1, 1), cell=(96, 96))
    >>> layout((4356, 4096)).size
    (1121, 1056)
    >>> layout((1000, 1)).cell
    (1, 96)
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
