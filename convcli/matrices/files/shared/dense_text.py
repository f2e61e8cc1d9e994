"""Dense matrices as text: csv, tsv, json.

Nearly all of a Toeplitz matrix is zeros: rows are slices of one "0,0,0,…" with the few entries between them.
Memory does not grow with the matrix, nor, for one that is made sparse, with a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from convcli.matrices.files.shared.cell_text import Entries, Lookup, Spell, entries_of, part_of, segments
from convcli.matrices.matrix import Advance, Ints, Matrix, spans

RUN = 1 << 11  # zeros written together: pieces of text stay in the cache
CROWDED = 8  # entries with fewer cells to each are not worth finding the zeros between
WIDEST = 48  # characters of the longest entry, where all take as many
CACHED = 1 << 13  # characters of a piece and ...
PIECES = 1 << 11  # ... pieces kept
SPECIAL = frozenset('",\t\r\n')  # characters that names are quoted for


@dataclass(frozen=True)
class Style:
    """Text after an entry, a row, and around all (`closing` replaces the last `end`); spelling of entries."""

    separator: bytes
    end: bytes
    number: Spell
    name: Spell
    opening: Callable[[tuple[int, int]], bytes] = lambda shape: b""  # noqa: ARG005
    closing: bytes = b"\n"


def quoted(name: str) -> str:
    """Quote a name as CSV demands, and TSV too, if they do.

    >>> quoted("w11"), quoted('a "b", c')
    ('w11', '"a ""b"", c"')
    """
    if SPECIAL.isdisjoint(name):
        return name
    return '"' + name.replace('"', '""') + '"'


def write_text(file: BinaryIO, matrix: Matrix, advance: Advance, style: Style) -> None:
    """Write all cells of a matrix, zeros too, row by row."""
    entries = entries_of(matrix, style.number, style.name)
    pieces = _Pieces(entries, style)
    rows, columns = matrix.shape
    file.write(style.opening(matrix.shape))
    for start, stop in spans(matrix):
        positions, found = entries.rows(start, stop)
        done = start
        for first, last in segments((stop - start) * columns):
            where, part = part_of(positions, found, first, last)
            text = pieces.text(where, entries.coded(part), last - first, first % columns, columns)
            at_end = stop == rows and last == (stop - start) * columns
            file.write(text[: -len(style.end)] + style.closing if at_end else text)
            advance(start + last // columns - done)
            done = start + last // columns


class _Pieces(dict[int, bytes]):
    """Text of a stretch of cells, from pieces of some zeros and one entry each, looked up by number.

    The number is the count of zeros times 2³², plus twice the entry's code, plus 1 if that ends its row.
    """

    def __init__(self, entries: Entries, style: Style) -> None:
        super().__init__()
        self.style = style
        self.zeros = (entries.zero + style.separator) * RUN
        self.unit = len(entries.zero + style.separator)
        self.lookup = Lookup(entries, style.separator, len(style.end))

    def __missing__(self, number: int) -> bytes:
        code, last = divmod(number % 2**32, 2)
        piece = self.zeros[: (number >> 32) * self.unit] + self.lookup.texts[code]
        piece += self.style.end if last else self.style.separator
        if len(piece) < CACHED and len(self) < PIECES:
            self[number] = piece
        return piece

    def text(self, where: Ints | None, codes: Ints, cells: int, first: int, columns: int) -> bytes:
        """Write `cells` cells, the first of which is in column `first`."""
        if self.lookup.refresh():
            self.clear()  # codes may stand for others than before
        ends = np.arange(columns - 1 - first, cells, columns)
        zero = len(self.lookup.texts) - 1
        if where is None:
            return self._dense(codes, ends)
        if (len(where) * CROWDED > cells or columns < CROWDED) and self.lookup.width <= WIDEST:
            dense = np.full(cells, zero)
            dense[where] = codes
            return self._dense(dense, ends)
        # Rows end with an entry, and so does what is too long for `zeros`: with a "0" if need be.
        marks = np.concatenate((ends, np.arange(RUN - 1, cells, RUN), [cells - 1]))
        where, chosen = np.unique(np.concatenate((where, marks)), return_index=True)
        codes = np.concatenate((codes, np.full(len(marks), zero)))[chosen]
        numbers = (np.diff(where, prepend=-1) - 1 << 32) + 2 * codes
        numbers += (first + where) % columns == columns - 1
        return b"".join(map(self.__getitem__, numbers.tolist()))

    def _dense(self, codes: Ints, ends: Ints) -> bytes:
        """Look up all cells at once, each as wide as the widest, and delete what fills up."""
        text = self.lookup.take(codes)
        text[ends, self.lookup.width :] = list(self.style.end)
        result: bytes = text.tobytes().translate(None, b"\0")
        return result
