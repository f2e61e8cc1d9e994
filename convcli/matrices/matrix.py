"""A matrix to those that write and show it: rows of numbers, and the cells that they were made of."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from convcli.arrays.library import Array

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Ints = NDArray[np.int64]
Rows: TypeAlias = "csr_array | Array"
Advance = Callable[[int], None]  # told how many more rows are done
BLOCK_ENTRIES = 1 << 18  # of some rows, made together
Method = TypeVar("Method", bound=Callable[..., Any])


@dataclass(eq=False)
class Stopwatch:
    """Seconds that the making of rows has taken."""

    seconds: float = 0.0


def timed(method: Method) -> Method:
    """Let the stopwatch of a matrix run while a method makes rows `start` to `stop`."""

    @functools.wraps(method)
    def made(self: Any, start: int, stop: int) -> Any:
        began = time.perf_counter()
        result = method(self, start, stop)
        self.stopwatch.seconds += time.perf_counter() - began
        return result

    return cast(Method, made)


class Matrix(Protocol):
    """A matrix that need not be in memory: any rows of it can be asked for."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the entries; of kind ``U`` for names."""

    @property
    def block_shape(self) -> tuple[int, int]:
        """Rows and columns of one block of the block matrix that it is."""

    @property
    def cell_shape(self) -> tuple[int, ...]:
        """Shape of the array whose flat indices `cells` returns: the kernels, or the image."""

    @property
    def row_entries(self) -> int:
        """Entries in a row, at most; zeros count where all are stored."""

    def rows(self, start: int, stop: int) -> Rows:
        """Return some rows, sparse or dense as they are made."""

    def cells(self, start: int, stop: int) -> tuple[Ints, Ints, Ints]:
        """Rows and columns, both from 0, and flat indices of the cells there, sorted."""


def spans(matrix: Matrix, most: int | None = None) -> Iterator[tuple[int, int]]:
    """Yield first and last row of as many rows at a time as memory is not strained by.

    Small block rows stay whole. With `most`, about so many of them, evenly spread.
    """
    rows, height = matrix.shape[0], matrix.block_shape[0]
    step = max(1, BLOCK_ENTRIES // max(1, matrix.row_entries))
    if step > height:
        step -= step % height
    stride = 1 if most is None else max(1, -(-rows // step) // most)
    for start in range(0, rows, step * stride):
        yield start, min(rows, start + step)


def blocks(matrix: Matrix) -> Iterator[Rows]:
    """Yield all rows of a matrix in order, some at a time, as `spans` says."""
    for start, stop in spans(matrix):
        yield matrix.rows(start, stop)


def dense_rows(matrix: Matrix, start: int = 0, stop: int | None = None) -> Array:
    """Return some rows, or all, as an array."""
    rows = matrix.rows(start, matrix.shape[0] if stop is None else stop)
    return rows if isinstance(rows, np.ndarray) else rows.toarray()


@dataclass(frozen=True, eq=False)
class Symbolic:
    """A matrix of names in place of numbers, one for every cell that `matrix` is made of."""

    matrix: Matrix
    names: Sequence[str]

    shape = property(lambda self: self.matrix.shape)
    block_shape = property(lambda self: self.matrix.block_shape)
    cell_shape = property(lambda self: self.matrix.cell_shape)
    row_entries = property(lambda self: self.matrix.row_entries)
    stopwatch = property(lambda self: self.matrix.stopwatch)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Strings of the length of the longest name."""
        return np.dtype(f"U{max(map(len, self.names))}")

    def rows(self, start: int, stop: int) -> Array:
        """Return names, joined by + where several cells meet, and "0" elsewhere."""
        written: dict[tuple[int, int], str] = {}
        for row, column, cell in zip(*(part.tolist() for part in self.cells(start, stop)), strict=True):
            before = written.get((row - start, column))
            written[row - start, column] = (before + "+" if before else "") + self.names[cell]
        longest = max(map(len, written.values()), default=1)
        result = np.full((stop - start, self.shape[1]), "0", dtype=f"U{longest}")
        for place, name in written.items():
            result[place] = name
        return result

    def cells(self, start: int, stop: int) -> tuple[Ints, Ints, Ints]:
        """Return those of the matrix."""
        return self.matrix.cells(start, stop)


@dataclass(frozen=True, eq=False)
class Dense:
    """An array as a matrix; each entry is the cell of its own flat index if `own_cells`, else none is."""

    array: Array
    block_shape: tuple[int, int] = (1, 1)
    own_cells: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.array.shape[0], self.array.shape[1]

    dtype = property(lambda self: self.array.dtype)
    cell_shape = property(lambda self: self.shape)
    row_entries = property(lambda self: self.shape[1])

    def rows(self, start: int, stop: int) -> Array:
        """Return a view."""
        return self.array[start:stop]

    def cells(self, start: int, stop: int) -> tuple[Ints, Ints, Ints]:
        """All entries, or none."""
        count = (stop - start) * self.shape[1] if self.own_cells else 0
        flat = start * self.shape[1] + np.arange(count)
        rows, columns = np.divmod(flat, self.shape[1])
        return rows, columns, flat
