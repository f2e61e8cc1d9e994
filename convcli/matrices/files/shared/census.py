"""How large a file will be, before it is written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convcli.matrices.convolution_matrix import ConvolutionMatrix
from convcli.matrices.files.shared.cell_text import entries_of, plain_number
from convcli.matrices.files.shared.dense_text import Style, quoted
from convcli.matrices.matrix import Matrix, Symbolic, spans
from convcli.matrices.value_counts import cell_counts, is_small, value_counts

SAMPLES = 16  # places in a matrix where entries are counted, ...
ENTRIES = 1 << 20  # about so many of them
SPARSE_STYLE = Style(b"", b"", plain_number, quoted)


@dataclass(frozen=True)
class Census:
    """Entries of a matrix that are not 0, the characters of all their texts, and whether both are exact."""

    entries: int
    characters: int
    exact: bool


def census(matrix: Matrix, style: Style = SPARSE_STYLE) -> Census:
    """Count entries, and the characters that they take in a style.

    >>> from convcli.matrices.build import convolution_matrix
    >>> census(convolution_matrix([10, 1], 10**6))
    Census(entries=2000000, characters=3000000, exact=True)
    """
    inner = matrix.matrix if isinstance(matrix, Symbolic) else matrix
    if isinstance(inner, ConvolutionMatrix):
        counts, exact = cell_counts(inner)
        if exact or not is_small(inner):
            if isinstance(matrix, Symbolic):
                lengths = np.array([len(style.name(name)) for name in matrix.names]).reshape(-1, len(counts))
                planes = len(lengths)
                return Census(planes * int(counts.sum()), int((lengths * counts).sum()), exact)
            values = value_counts(inner)[0].items()
            characters = sum(n * len(style.number(matrix.dtype.type(value))) for value, n in values)
            return Census(sum(n for _, n in values), characters, exact)
    return _sampled(matrix, style)


def _sampled(matrix: Matrix, style: Style) -> Census:
    """Count in some rows; in all of a small matrix."""
    entries = entries_of(matrix, style.number, style.name)
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


def lines_size(matrix: Matrix, base: int) -> tuple[int, int]:
    """Return about the bytes of all entries, one a line with row and column, and how many there are."""
    found = census(matrix)
    digits = sum(_digits(size, base) for size in matrix.shape)
    return round(found.entries * (digits + len(",,\n"))) + found.characters, found.entries


def _digits(size: int, base: int) -> float:
    """Mean number of digits of the numbers from `base` on, `size` of them."""
    longest = len(str(size - 1 + base))
    shorter: int = sum(max(0, 10**digits - base) for digits in range(1, longest))
    return longest - shorter / size
