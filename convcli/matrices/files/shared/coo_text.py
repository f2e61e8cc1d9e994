"""Sparse matrices as text: one line per entry, its row, its column, and what stands there."""

from __future__ import annotations

import functools
from typing import BinaryIO

import numpy as np

from convcli.arrays.library import Array
from convcli.matrices.files.shared.cell_text import Lookup, entries_of, plain_number
from convcli.matrices.files.shared.dense_text import quoted
from convcli.matrices.matrix import Advance, Ints, Matrix, Symbolic, spans

GROUP = 10_000  # digits are looked up four at a time
LINES = 1 << 17  # written together, if they have not more than ...
WIDE = 1 << 24  # characters of values


def write_lines(file: BinaryIO, matrix: Matrix, advance: Advance, *, separator: bytes, base: int) -> None:
    """Write row and column, counted from `base`, and value of every entry."""
    entries = entries_of(matrix, plain_number, quoted)
    lookup = Lookup(entries, b"\n")
    groups = [-(-len(str(size)) // 4) for size in matrix.shape]
    for start, stop in spans(matrix):
        positions, found = entries.rows(start, stop)
        for first in range(0, len(found), LINES):
            part = found[first : first + LINES]
            where = first + np.arange(len(part)) if positions is None else positions[first : first + LINES]
            if not isinstance(matrix, Symbolic):
                where, part = where[part != 0], part[part != 0]
            codes = entries.coded(part)
            lookup.refresh()
            rows, columns = np.divmod(where, matrix.shape[1])
            gap = np.full((len(rows), 1), ord(separator), np.uint8)
            digits = decimal(rows + start + base, groups[0]), decimal(columns + base, groups[1])
            step = max(1, WIDE // lookup.width)
            for low in range(0, len(codes), step):
                some = slice(low, low + step)
                values = lookup.take(codes[some])
                lines = np.hstack([digits[0][some], gap[some], digits[1][some], gap[some], values])
                file.write(lines.tobytes().translate(None, b"\0"))
        advance(stop - start)


def decimal(numbers: Ints, groups: int) -> Array:
    r"""Spell numbers, four digits to a group, each digit a byte; leading zeros are null bytes.

    >>> decimal(np.array([0, 12345]), 2).tobytes()
    b'\x00\x00\x00\x00\x00\x00\x000\x00\x00\x0012345'
    """
    padded, plain = _fours()
    result = np.empty((len(numbers), groups), np.uint32)
    for place in reversed(range(groups)):
        rest, group = np.divmod(numbers, GROUP)
        result[:, place] = np.where(rest > 0, padded[group], plain[group])
        numbers = rest
    view = result.view(np.uint8)
    view[:, -1] |= ord("0")  # what is 0 has a digit all the same
    return view


@functools.cache
def _fours() -> tuple[Array, Array]:
    """All groups of four digits, with leading zeros and without."""
    padded = np.array([b"%04d" % n for n in range(GROUP)])
    plain = np.array([(b"%d" % n).rjust(4, b"\0") for n in range(GROUP)], "S4")
    plain[0] = b""
    return padded.view(np.uint32), plain.view(np.uint32)
