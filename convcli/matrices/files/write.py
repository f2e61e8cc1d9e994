"""Matrices to files: which formats there are, how large a file gets, and the writing of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from convcli.errors import UsageError
from convcli.matrices.convolution_matrix import ConvolutionMatrix
from convcli.matrices.files import sizes
from convcli.matrices.files.binary import write_dense_npy, write_npz
from convcli.matrices.files.coo_text import write_matrix_market, write_sparse_csv
from convcli.matrices.files.dense_text import CSV, JSON, TSV, Style, write_text
from convcli.matrices.matrix import Matrix, Symbolic, spans
from convcli.matrices.show import picture
from convcli.system.files import shown

Advance = Callable[[int], None]
SMALL = 1 << 18  # cells that are written for their size to be known
FIXED_BYTES = 64 * 2**20  # of memory, whatever is written
ENTRY_BYTES = 100  # of memory, for each entry of the rows in hand
NAME_BYTES = 300


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes
    ----------
    name : str
    extensions : tuple of str
        The files that are written so by default.
    summary : str
        For lists of the formats.
    holds_names : bool
        It can say "w11" where others need a number.
    write : callable
        Takes file, matrix and what to tell how many more rows are done.
    size : callable
        Takes a matrix; returns the bytes of its file, and whether they are exact.
    """

    name: str
    extensions: tuple[str, ...]
    summary: str
    holds_names: bool
    write: Callable[[BinaryIO, Matrix, Advance], None]
    size: Callable[[Matrix], tuple[int, bool]]


def _text(name: str, style: Style, summary: str) -> Format:
    return Format(
        name,
        (f".{name}",),
        summary,
        True,
        lambda file, matrix, advance: write_text(file, matrix, style, advance),
        lambda matrix: sizes.text_size(matrix, style),
    )


def _entries(matrix: Matrix) -> int | None:
    """Count entries where that is cheap."""
    tally = matrix.tally() if isinstance(matrix, ConvolutionMatrix) else None
    return None if tally is None else tally.total()


FORMATS = {
    made.name: made
    for made in (
        _text("csv", CSV, "all entries, by commas"),
        _text("tsv", TSV, "all entries, by tabs"),
        Format(
            "sparse-csv",
            (),
            "row,col,value of entries other than 0, counted from 0",
            True,
            write_sparse_csv,
            sizes.sparse_csv_size,
        ),
        Format(
            "npy",
            (".npy",),
            "NumPy, dense",
            False,
            write_dense_npy,
            sizes.npy_size,
        ),
        Format(
            "npz",
            (".npz",),
            "SciPy, sparse (CSR)",
            False,
            lambda file, matrix, advance: write_npz(file, matrix, _entries(matrix), advance),
            sizes.npz_size,
        ),
        Format(
            "mtx",
            (".mtx",),
            "Matrix Market, sparse",
            False,
            lambda file, matrix, advance: write_matrix_market(file, matrix, _entries(matrix), advance),
            sizes.market_size,
        ),
        _text("json", JSON, "shape and rows"),
        Format("png", (".png",), "a picture of the structure", True, picture.write_picture, picture.png_size),
    )
}


def format_for(name: Path | str) -> Format:
    """Return a format by its name, its extension, or a path with that extension.

    Raises
    ------
    UsageError
        For an extension that stands for none.

    Examples
    --------
    >>> format_for("T.CSV").name, format_for("npz").name, format_for("sparse-csv").extensions
    ('csv', 'npz', ())
    """
    text = str(name).lower()
    extension = "." + text.rpartition(".")[2]
    for made in FORMATS.values():
        if text == made.name or extension in made.extensions:
            return made
    known = " ".join(extension for made in FORMATS.values() for extension in made.extensions)
    raise UsageError(f'"{shown(name)}" has no extension of a matrix format; use one of {known}, or --format')


def write_matrix(
    file: BinaryIO,
    matrix: Matrix,
    format: str,  # noqa: A002 - as the option is called
    *,
    advance: Advance = lambda rows: None,  # noqa: ARG005
) -> None:
    r"""Write a matrix without ever holding more of it than some rows.

    Parameters
    ----------
    file : BinaryIO
        Need not be seekable.
    matrix : Matrix
        Its numbers are written, or its names if it is `Symbolic`.
    format : str
        A name in `FORMATS`.
    advance : callable
        Told now and then how many more rows are done; all its arguments add up to the rows.

    Raises
    ------
    UsageError
        For names in a format of numbers.

    Examples
    --------
    >>> import io
    >>> from convcli.matrices.build import convolution_matrix
    >>> file = io.BytesIO()
    >>> write_matrix(file, convolution_matrix([1, 2], 2), "csv")
    >>> file.getvalue()
    b'1,0\n2,1\n0,2\n'
    """
    made = FORMATS[format]
    _check_holds(made, matrix)
    made.write(file, matrix, advance)


def file_size(matrix: Matrix, format: str) -> tuple[int, bool]:  # noqa: A002
    """Return the bytes that a file will have, and whether they are exact.

    Of dense text and .npy they are, for every matrix of a convolution; the other formats are
    estimated, unless the matrix is small.

    Examples
    --------
    >>> from convcli.matrices.build import convolution_matrix
    >>> file_size(convolution_matrix([1, 2], 10**6), "csv")
    (2000002000000, True)
    """
    made = FORMATS[format]
    _check_holds(made, matrix)
    if made.name != "png" and matrix.shape[0] * matrix.shape[1] <= SMALL:
        counter = _Counter()
        made.write(counter, matrix, lambda rows: None)  # type: ignore[arg-type]  # noqa: ARG005
        return counter.total, True
    return made.size(matrix)


def memory_needed(matrix: Matrix, format: str) -> int:  # noqa: A002
    """Return about the bytes of memory that the writing takes; they do not grow with the rows.

    Examples
    --------
    >>> from convcli.matrices.build import convolution_matrix
    >>> sizes = 10**6, 10**9
    >>> len({memory_needed(convolution_matrix([1, 2], size), "csv") for size in sizes})
    1
    """
    inner, names = (matrix.matrix, len(matrix.names)) if isinstance(matrix, Symbolic) else (matrix, 0)
    _, rows = next(spans(matrix))
    needed = FIXED_BYTES + ENTRY_BYTES * rows * inner.row_entries + NAME_BYTES * names
    return needed + (picture.MEMORY_BYTES if format == "png" else 0)


def _check_holds(made: Format, matrix: Matrix) -> None:
    if isinstance(matrix, Symbolic) and not made.holds_names:
        able = ", ".join(other.name for other in FORMATS.values() if other.holds_names)
        raise UsageError(f"{made.name} holds numbers, not names; use one of {able}")


class _Counter:
    """A file that only counts."""

    total = 0

    def write(self, data: bytes) -> int:
        self.total += memoryview(data).nbytes
        return len(data)

    def flush(self) -> None:
        pass
