"""Sparse matrices as text: one line per entry, its row, its column, and what stands there."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

from convcli.arrays.library import Array
from convcli.matrices.files.cell_text import Lookup, count_entries, entries_of, plain_number
from convcli.matrices.files.dense_text import quoted
from convcli.matrices.matrix import Ints, Matrix, Symbolic, spans

GROUP = 10_000  # digits are looked up four at a time
LINES = 1 << 17  # written together, if they have not more than ...
WIDE = 1 << 24  # characters of values
FIELDS = {"b": "integer", "i": "integer", "u": "integer", "f": "real"}


def write_sparse_csv(file: BinaryIO, matrix: Matrix, advance: Callable[[int], None]) -> None:
    r"""Write a line of names, then row, column and value of every entry, both counted from 0.

    Examples
    --------
    >>> import io
    >>> from convcli.matrices.build import convolution_matrix
    >>> file = io.BytesIO()
    >>> write_sparse_csv(file, convolution_matrix([1, 0.5], 2), lambda rows: None)
    >>> file.getvalue()
    b'row,col,value\n0,0,1\n1,0,0.5\n1,1,1\n2,1,0.5\n'
    """
    file.write(b"row,col,value\n")
    _write_lines(file, matrix, b",", 0, advance)


def write_matrix_market(
    file: BinaryIO, matrix: Matrix, entries: int | None, advance: Callable[[int], None]
) -> None:
    r"""Write a Matrix Market file: row and column, counted from 1, and value of every entry.

    Parameters
    ----------
    file : BinaryIO
    matrix : Matrix
    entries : int or None
        How many there are, if it is known: the file says so before the first. Counted otherwise.
    advance : callable

    References
    ----------
    Boisvert, Pozo and Remington (1996), "The Matrix Market exchange formats", section 2.

    Examples
    --------
    >>> import io
    >>> from convcli.matrices.build import convolution_matrix
    >>> file = io.BytesIO()
    >>> write_matrix_market(file, convolution_matrix([3, 4], 2, mode="valid"), 2, lambda rows: None)
    >>> print(file.getvalue().decode(), end="")
    %%MatrixMarket matrix coordinate integer general
    1 2 2
    1 1 4
    1 2 3
    """
    file.write(market_header(matrix, count_entries(matrix) if entries is None else entries))
    _write_lines(file, matrix, b" ", 1, advance)


def market_header(matrix: Matrix, entries: int) -> bytes:
    """Return the first two lines of a Matrix Market file."""
    field = "unsigned-integer" if matrix.dtype == np.uint64 else FIELDS[matrix.dtype.kind]
    rows, columns = matrix.shape
    return f"%%MatrixMarket matrix coordinate {field} general\n{rows} {columns} {entries}\n".encode()


def _write_lines(
    file: BinaryIO, matrix: Matrix, separator: bytes, base: int, advance: Callable[[int], None]
) -> None:
    entries = entries_of(matrix, plain_number, quoted)
    lookup = Lookup(entries, b"\n")
    groups = [_groups(size) for size in matrix.shape]
    for start, stop in spans(matrix):
        positions, found = entries.rows(start, stop)
        for first in range(0, len(found), LINES):
            part = found[first : first + LINES]
            where = (
                positions[first : first + LINES] if positions is not None else first + np.arange(len(part))
            )
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


def _groups(number: int) -> int:
    return -(-len(str(number)) // 4)


def decimal(numbers: Ints, groups: int) -> Array:
    r"""Spell numbers, four digits to a group, each digit a byte; leading zeros are null bytes.

    Examples
    --------
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
