"""Entries of a matrix as text: each distinct number or name is spelled once, entries carry its code."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.arrays.library import Array
from convcli.matrices.convolution_matrix import ConvolutionMatrix
from convcli.matrices.matrix import Ints, Matrix, Symbolic, spans
from convcli.matrices.value_counts import value_counts

CELLS = 1 << 18  # of a dense matrix, written together
KNOWN = 1 << 16  # distinct numbers remembered from block to block
Spell = Callable[[Any], str]


def part_of(positions: Ints | None, found: Array, first: int, last: int) -> tuple[Ints | None, Array]:
    """Return what is at positions `first` to `last`, and at which of them."""
    if positions is None:
        return None, found[first:last]
    low, high = np.searchsorted(positions, (first, last))
    return positions[low:high] - first, found[low:high]


def segments(cells: int) -> Iterator[tuple[int, int]]:
    """Yield first and last of as many cells at a time as are written together."""
    for first in range(0, cells, CELLS):
        yield first, min(cells, first + CELLS)


def numbers_in(matrix: Matrix, start: int, stop: int) -> tuple[Ints | None, Array]:
    """Return positions and numbers of some rows; None in place of positions where all are there."""
    block = matrix.rows(start, stop)
    if isinstance(block, np.ndarray):
        return None, np.ascontiguousarray(block).reshape(-1)
    rows = np.repeat(np.arange(stop - start), np.diff(block.indptr))
    return rows * matrix.shape[1] + block.indices, block.data


def nonzeros_in(matrix: Matrix, start: int, stop: int) -> tuple[Ints, Array]:
    """Return positions and numbers of some rows, those that are not 0."""
    positions, numbers = numbers_in(matrix, start, stop)
    if positions is None:
        positions = np.flatnonzero(numbers)
        numbers = numbers[positions]
    return positions, numbers


def count_entries(matrix: Matrix) -> int:
    """Count the entries that are not 0, by reading all rows if need be."""
    if isinstance(matrix, ConvolutionMatrix):
        counts, exact = value_counts(matrix)
        if exact:
            return counts.total()
    return sum(len(nonzeros_in(matrix, *span)[0]) for span in spans(matrix))


def plain_number(number: Any) -> str:
    """Write a number in the fewest characters that read back as the same one.

    >>> plain_number(2.0), plain_number(-0.0), plain_number(np.float32(0.1)), plain_number(1e300)
    ('2', '-0', '0.1', '1e+300')
    """
    return str(number).removesuffix(".0")


class Lookup:
    """Texts of entries, the zero last, as rows of an array, each with up to `room` characters after it."""

    def __init__(self, entries: Entries, separator: bytes, room: int = 1) -> None:
        self.entries, self.separator, self.room = entries, separator, room
        self.source: list[bytes] = []
        self.texts: list[bytes] = []
        self.width = 0

    def refresh(self) -> bool:
        """Follow the texts that were added meanwhile; return whether there were any."""
        if self.source is self.entries.texts and len(self.source) == len(self.texts) - 1:
            return False
        self.source = self.entries.texts
        self.texts = [*self.source, self.entries.zero]
        self.width = max(map(len, self.texts))
        self.__dict__.pop("_table", None)
        return True

    def take(self, codes: Ints) -> NDArray[np.uint8]:
        """Return a row for each code: the text, null bytes up to `width`, the separator, null bytes."""
        return self._table[codes][:, None].view(np.uint8)

    @functools.cached_property
    def _table(self) -> NDArray[np.bytes_]:
        table = np.zeros((len(self.texts), self.width + self.room), np.uint8)
        table[:, : self.width] = np.array(self.texts)[:, None].view(np.uint8)
        table[:, self.width : self.width + len(self.separator)] = list(self.separator)
        return table.view(f"S{table.shape[1]}")[:, 0]


class _Numbers:
    """Codes by the bits of a number: −0.0 is not 0.0, and NaN is NaN."""

    def __init__(self, matrix: Matrix, spell: Spell) -> None:
        self.matrix, self.spell = matrix, spell
        self.dtype = np.dtype(np.uint8) if matrix.dtype.kind == "b" else matrix.dtype
        self.bits = np.dtype(f"u{self.dtype.itemsize}")
        self.zero = b"0"
        self.texts: list[bytes] = []
        self.known = np.zeros(0, self.bits)  # sorted, and the code of each
        self.codes = np.zeros(0, np.int64)

    def rows(self, start: int, stop: int) -> tuple[Ints | None, Array]:
        return numbers_in(self.matrix, start, stop)

    def coded(self, entries: Array) -> Ints:
        bits = np.ascontiguousarray(entries).view(self.bits)
        if self.bits.itemsize == 1:
            if not self.texts:
                self._learn(np.arange(256, dtype=self.bits))
            return bits.astype(np.int64)
        places = np.minimum(np.searchsorted(self.known, bits), len(self.known) - 1)
        if len(self.known) == 0 or (self.known[places] != bits).any():
            distinct, places = np.unique(bits, return_inverse=True)
            if len(self.known) + len(distinct) > KNOWN:
                self.known, self.codes, self.texts = self.known[:0], self.codes[:0], []
            self._learn(np.setdiff1d(distinct, self.known, assume_unique=True))
            places = np.searchsorted(self.known, distinct)[places]
        return self.codes[places]

    def _learn(self, bits: NDArray[Any]) -> None:
        numbers = bits.view(self.dtype)
        # A double is spelled alike by Python, and faster.
        each = numbers.tolist() if self.dtype == np.float64 or self.dtype.kind in "iu" else numbers
        self.texts = self.texts + [self.spell(number).encode() for number in each]
        self.known = np.concatenate((self.known, bits))
        self.codes = np.concatenate((self.codes, np.arange(len(self.codes), len(self.texts))))
        order = np.argsort(self.known)
        self.known, self.codes = self.known[order], self.codes[order]


class _Names:
    """Codes are the cells themselves; cells that meet in one place get a code of their own."""

    def __init__(self, matrix: Symbolic, spell: Spell) -> None:
        self.matrix, self.spell = matrix.matrix, spell
        self.names = matrix.names
        self.zero = spell("0").encode()
        self.texts = [spell(name).encode() for name in matrix.names]
        self.sums: dict[tuple[int, ...], int] = {}

    def coded(self, entries: Array) -> Ints:
        return entries

    def rows(self, start: int, stop: int) -> tuple[Ints | None, Array]:
        rows, columns, cells = self.matrix.cells(start, stop)
        positions = (rows - start) * self.matrix.shape[1] + columns
        first = np.flatnonzero(np.diff(positions, prepend=-1))
        if len(first) == len(positions):
            return positions, cells
        codes = cells[first]
        counts = np.diff(first, append=len(positions))
        for place in np.flatnonzero(counts > 1):
            codes[place] = self._sum(tuple(cells[first[place] : first[place] + counts[place]].tolist()))
        return positions[first], codes

    def _sum(self, cells: tuple[int, ...]) -> int:
        if cells not in self.sums:
            self.sums[cells] = len(self.texts)
            self.texts.append(self.spell("+".join(self.names[cell] for cell in cells)).encode())
        return self.sums[cells]


Entries = _Numbers | _Names


def entries_of(matrix: Matrix, number: Spell, name: Spell) -> Entries:
    """Read a matrix as texts, spelled by `number` or, if it is symbolic, by `name`.

    `rows` gives positions, ``row · columns + column`` from row `start` on, sorted, None for all, and the
    entries there; `coded` their codes, indices of `texts`, a new list if codes begin anew.

    >>> from convcli.matrices.build import convolution_matrix
    >>> entries = entries_of(convolution_matrix([3, -1], 2), plain_number, str)
    >>> positions, numbers = entries.rows(0, 3)
    >>> positions.tolist(), [entries.texts[code] for code in entries.coded(numbers)]
    ([0, 2, 3, 5], [b'3', b'-1', b'3', b'-1'])
    """
    return _Names(matrix, name) if isinstance(matrix, Symbolic) else _Numbers(matrix, number)
