"""How large a file will be, before it is written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convcli.matrices.convolution_matrix import ConvolutionMatrix
from convcli.matrices.files.binary import compression, held_type, index_type, npy_header
from convcli.matrices.files.cell_text import entries_of, plain_number
from convcli.matrices.files.coo_text import market_header
from convcli.matrices.files.dense_text import Style, quoted
from convcli.matrices.matrix import Matrix, Symbolic, spans
from convcli.matrices.show.value_counts import sorts

SAMPLES = 16  # places in a matrix where entries are counted, ...
ENTRIES = 1 << 20  # about so many of them
ARCHIVE_BYTES = 1500  # names, checksums and headers of a zip archive


@dataclass(frozen=True)
class Census:
    """What stands in a matrix.

    Attributes
    ----------
    entries : int
        That are not 0.
    characters : int
        Of all their texts.
    exact : bool
        They were counted, not estimated from some rows.
    """

    entries: int
    characters: int
    exact: bool


def census(matrix: Matrix, style: Style | None = None) -> Census:
    """Count entries, and the characters that they take in a style; of csv by default.

    Examples
    --------
    >>> from convcli.matrices.build import convolution_matrix
    >>> census(convolution_matrix([10, 1], 10**6))
    Census(entries=2000000, characters=3000000, exact=True)
    """
    number, name = (style.number, style.name) if style else (plain_number, quoted)
    tally = matrix.tally() if isinstance(matrix, ConvolutionMatrix) else None
    if tally is not None:
        characters = sum(n * len(number(matrix.dtype.type(value))) for value, n in tally.items())
        return Census(tally.total(), characters, True)
    inner = matrix.matrix if isinstance(matrix, Symbolic) else None
    found_sorts = sorts(inner) if isinstance(inner, ConvolutionMatrix) else None
    if isinstance(matrix, Symbolic) and found_sorts is not None:
        count = characters = 0
        for cells, times in found_sorts:
            count += times
            characters += times * len(name("+".join(matrix.names[cell] for cell in cells)))
        return Census(count, characters, True)
    entries = entries_of(matrix, number, name)
    chosen = list(spans(matrix, SAMPLES))
    rows = count = characters = 0
    largest_step = 1
    for start, stop in chosen:
        _, found = entries.rows(start, stop)
        step = 1 + len(found) * len(chosen) // ENTRIES
        codes = entries.coded(found[::step])
        lengths = np.array([len(text) if text != b"0" else 0 for text in entries.texts])[codes]
        rows += stop - start
        count += step * int(np.count_nonzero(lengths))
        characters += step * int(lengths.sum())
        largest_step = max(step, largest_step)
    scale = matrix.shape[0] / rows
    exact = rows == matrix.shape[0] and largest_step == 1
    return Census(round(count * scale), round(characters * scale), exact)


def text_size(matrix: Matrix, style: Style) -> tuple[int, bool]:
    """Return the bytes of a dense text, and whether they are exact."""
    found = census(matrix, style)
    rows, columns = matrix.shape
    zero = len(style.name("0") if isinstance(matrix, Symbolic) else "0")
    ends = rows * (columns - 1) * len(style.separator) + (rows - 1) * len(style.end)
    around = len(style.opening(matrix.shape)) + len(style.closing)
    zeros = rows * columns - found.entries
    return around + ends + found.characters + zeros * zero, found.exact


def npy_size(matrix: Matrix) -> tuple[int, bool]:
    """Return the bytes of a dense array."""
    rows, columns = matrix.shape
    return len(npy_header(matrix.shape, matrix.dtype)) + rows * columns * matrix.dtype.itemsize, True


def npz_size(matrix: Matrix) -> tuple[int, bool]:
    """Return about the bytes of a sparse archive."""
    entries = census(matrix).entries
    index = index_type(matrix, entries).itemsize
    plain = entries * (index + held_type(matrix).itemsize) + (matrix.shape[0] + 1) * index
    return round(plain / compression(matrix)) + ARCHIVE_BYTES, False


def sparse_csv_size(matrix: Matrix) -> tuple[int, bool]:
    """Return about the bytes of the entries, one a line."""
    found = census(matrix)
    digits = sum(_digits(size, 0) for size in matrix.shape)
    return len("row,col,value\n") + round(found.entries * (digits + len(",,\n"))) + found.characters, False


def market_size(matrix: Matrix) -> tuple[int, bool]:
    """Return about the bytes of a Matrix Market file."""
    found = census(matrix)
    digits = sum(_digits(size, 1) for size in matrix.shape)
    lines = round(found.entries * (digits + len("  \n"))) + found.characters
    return len(market_header(matrix, found.entries)) + lines, False


def _digits(size: int, base: int) -> float:
    """Mean number of digits of the numbers from `base` on, `size` of them.

    >>> _digits(20, 0), _digits(20, 1)
    (1.5, 1.55)
    """
    longest = len(str(size - 1 + base))
    shorter: int = sum(max(0, 10**digits - base) for digits in range(1, longest))
    return longest - shorter / size
