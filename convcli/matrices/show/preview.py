"""Some rows and columns of a matrix, as text and colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from convcli.arrays.library import Array
from convcli.matrices.matrix import Matrix, Rows, Symbolic

Colour = tuple[int, int, int]
Preview = tuple[list[list[str]], list[list[Colour | None]]]
Look = Callable[[list[int], list[int]], Preview]


def preview(matrix: Matrix, colours: Callable[[int], Colour]) -> Look:
    """Return a function from rows and columns to the texts there and the `colours` of their cells.

    >>> from convcli.matrices.build import convolution_matrix
    >>> preview(convolution_matrix([1, 2], 3), lambda cell: (cell, 0, 0))([0, 1], [0, 1, 2])[0]
    [['1', '0', '0'], ['2', '1', '0']]
    """

    def look(rows: list[int], columns: list[int]) -> Preview:
        text: list[list[str]] = []
        shades: list[list[Colour | None]] = []
        for start, stop in _runs(rows):
            cells = list(_cells(matrix, start, stop, columns))
            lines = _lines(matrix, start, stop, columns, cells)
            text += lines
            shades += [[None] * len(columns) for _ in lines]
            for row, place, cell in cells:
                if lines[row][place] != "0":
                    shades[row - len(lines)][place] = colours(cell)
        return text, shades

    return look


def _cells(matrix: Matrix, start: int, stop: int, columns: list[int]) -> Iterator[tuple[int, int, int]]:
    """Yield row, place among the columns, and cell of the entries in some rows and columns."""
    places = {column: place for place, column in enumerate(columns)}
    found = matrix.cells(start, stop)
    wanted = np.isin(found[1], columns)
    for row, column, cell in zip(*(part[wanted].tolist() for part in found), strict=True):
        yield row - start, places[column], cell


def _lines(
    matrix: Matrix, start: int, stop: int, columns: list[int], cells: list[tuple[int, int, int]]
) -> list[list[str]]:
    """Text of some rows and columns; of names only those are made that are shown."""
    if not isinstance(matrix, Symbolic):
        dense = _chosen(matrix.rows(start, stop), columns)
        return [[entry(value) for value in line] for line in dense.tolist()]
    names = [[""] * len(columns) for _ in range(start, stop)]
    for row, place, cell in cells:
        before = names[row][place]
        names[row][place] = before + ("+" if before else "") + matrix.names[cell]
    return [[name or "0" for name in line] for line in names]


def _chosen(rows: Rows, columns: list[int]) -> Array:
    """Columns of some rows; SciPy's own selection takes memory for every column that there is."""
    if isinstance(rows, np.ndarray):
        return rows[:, columns]
    wanted = np.array(columns)
    place = np.minimum(np.searchsorted(wanted, rows.indices), len(wanted) - 1)
    met = wanted[place] == rows.indices
    line = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    dense = np.zeros((rows.shape[0], len(columns)), rows.dtype)
    dense[line[met], place[met]] = rows.data[met]
    return dense


def entry(value: Any) -> str:
    """Write an entry for people: to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Split ascending numbers into runs (start, stop) without holes: 0 1 2 7 8 into (0, 3), (7, 9)."""
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] != numbers[place - 1] + 1:
            yield numbers[start], numbers[place - 1] + 1
            start = place
