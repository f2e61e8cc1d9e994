"""Matrix Market files of real numbers: Boisvert, Pozo and Remington (1996), NISTIR 5935.

Not read by `scipy.io.mmread` (1.17): it writes beyond its array for a symmetric one that is not square, cuts
1.5 down to 1 where whole numbers are promised, and takes memory on the word of the header.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from convcli.arrays.library import Array
from convcli.matrices.files.shared.cell_text import count_entries
from convcli.matrices.files.shared.census import lines_size
from convcli.matrices.files.shared.coo_text import write_lines
from convcli.matrices.files.shared.read_text import Line, from_entries, lines_of, table
from convcli.matrices.files.shared.request import Request
from convcli.matrices.matrix import Advance, Matrix, Rows
from convcli.text import brief

SUMMARY = "Matrix Market, sparse"
EXTENSIONS = (".mtx",)
MAGIC = b"%%MatrixMarket"
HOLDS_NAMES = False
IS_SPARSE = True
LONGEST_LINE = 1024
WRITTEN = {"b": "integer", "i": "integer", "u": "integer", "f": "real"}
MATRIX = ["%%matrixmarket", "matrix"]
FORMS = ("coordinate", "array")
FIELDS = ("integer", "unsigned-integer", "real", "double", "pattern")
MIRRORED = {"general": 0, "symmetric": 1, "skew-symmetric": -1}  # factor of what is not listed


def write(file: BinaryIO, matrix: Matrix, advance: Advance) -> None:
    """Write the number of entries, then row and column, counted from 1, and value of each."""
    file.write(_header(matrix, count_entries(matrix)))
    write_lines(file, matrix, advance, separator=b" ", base=1)


def size(matrix: Matrix) -> tuple[int, bool]:
    """Return about the bytes of the file."""
    lines, entries = lines_size(matrix, base=1)
    return len(_header(matrix, entries)) + lines, False


def _header(matrix: Matrix, entries: int) -> bytes:
    field = "unsigned-integer" if matrix.dtype == np.uint64 else WRITTEN[matrix.dtype.kind]
    rows, columns = matrix.shape
    return f"%%MatrixMarket matrix coordinate {field} general\n{rows} {columns} {entries}\n".encode()


def read(request: Request) -> Rows:
    """Read a matrix by its entries, sparse, or by all of its cells, dense."""
    form, field, mirrored = _banner(request)
    lines = _lines(request)
    shape, promised = _size(request, lines, form)
    if mirrored and shape[0] != shape[1]:
        raise request.refusal(f"has {shape[0]}×{shape[1]} cells, but a symmetric matrix is square")
    if form == "array" and mirrored:
        promised = shape[0] * (shape[0] + mirrored) // 2
    width = 1 if form == "array" else 2 if field == "pattern" else 3
    cells = table(request, lines, b" ", width)
    if len(cells) != promised:
        raise request.refusal(f"is damaged: {promised:,} entries are promised, and {len(cells):,} follow")
    dtype = np.float64 if field in ("real", "double") else cells.dtype
    if form == "array":
        return _dense(cells[:, 0].astype(dtype), shape, mirrored)
    if field == "pattern":
        cells = np.column_stack((cells, np.ones(len(cells), np.int64)))
    if mirrored:
        other = cells[cells[:, 0] != cells[:, 1]][:, [1, 0, 2]] * np.array([1, 1, mirrored])
        cells = np.concatenate((cells, other))
    return from_entries(request, cells, shape, first=1).astype(dtype, copy=False)


def _banner(request: Request) -> tuple[str, str, int]:
    """Read the first line: form, field, and the factor of what is not listed."""
    words = request.file.readline(LONGEST_LINE).decode("ascii", "replace").lower().split()
    if len(words) != 5 or words[:2] != MATRIX:
        raise request.refusal('is not a Matrix Market file: it does not begin with "%%MatrixMarket matrix"')
    for word, allowed in zip(words[2:], (FORMS, FIELDS, tuple(MIRRORED)), strict=True):
        if word not in allowed:
            raise request.refusal(f'has "{brief(word)}" in line 1; read are {", ".join(allowed)}')
    return words[2], words[3], MIRRORED[words[4]]


def _lines(request: Request) -> Iterator[Line]:
    """Yield the lines that are no comments, their cells one blank apart."""
    for number, line in lines_of(request, b"%", start=2):
        if len(line) > LONGEST_LINE:
            raise request.refusal(f"has {len(line):,} bytes in line {number}; {LONGEST_LINE:,} are allowed")
        yield number, b" ".join(line.split())


def _size(request: Request, lines: Iterator[Line], form: str) -> tuple[tuple[int, int], int]:
    """Read the line of sizes: the shape, and how many entries follow."""
    number, line = next(lines, (2, b""))
    try:
        sizes = [int(word) for word in line.split()]
    except ValueError:
        sizes = []
    if len(sizes) != 3 - FORMS.index(form) or min(sizes) < 0:
        raise request.refusal(
            f'has "{brief(line.decode("ascii", "replace"))}" for its sizes in line {number}'
        )
    rows, columns = sizes[:2]
    if form == "array":
        request.limit(8 * rows * columns, f"a matrix of {rows:,} × {columns:,}")
    return (rows, columns), sizes[2] if form == "coordinate" else rows * columns


def _dense(cells: Array, shape: tuple[int, int], mirrored: int) -> Array:
    """Arrange cells that are listed column by column; of a symmetric matrix, from the diagonal down."""
    if not mirrored:
        return cells.reshape(shape[::-1]).T
    columns, rows = np.triu_indices(shape[0], k=0 if mirrored > 0 else 1)
    matrix = np.zeros(shape, cells.dtype)
    matrix[columns, rows] = cells * mirrored
    matrix[rows, columns] = cells
    return matrix
