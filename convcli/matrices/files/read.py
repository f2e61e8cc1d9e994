"""Matrices from files, which may be damaged, cut off, or lie about their size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from convcli.arrays.library import Array
from convcli.arrays.npy import read_npy
from convcli.errors import ConvcliError, InputError
from convcli.kernels.kernel import brief
from convcli.matrices.files.read_mtx import read_mtx
from convcli.matrices.files.read_npz import read_npz
from convcli.matrices.files.read_request import Request
from convcli.matrices.files.read_text import read_csv, read_tsv
from convcli.system.files import open_input, shown

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def read_matrix(
    source: Path | BinaryIO,
    *,
    max_bytes: int,
    extension: str | None = None,
    name: str | None = None,
    shape: tuple[int, int] | None = None,
) -> Array | csr_array:
    r"""Read a matrix of real numbers from a file of one of the types of `READERS`.

    Parameters
    ----------
    source : Path or BinaryIO
        A stream need not be seekable.
    max_bytes : int
        Largest file, and largest matrix in memory, to accept.
    extension : str, optional
        Type of the content; that of the file name by default.
    name : str, optional
        What errors call a stream.
    shape : (int, int), optional
        Rows and columns of a sparse CSV file, which does not say so itself: what lies behind its last
        row and column with an entry is lost without this.

    Returns
    -------
    (rows, columns) ndarray or csr_array
        Sparse as it was written. From text: int64 if all are whole numbers of that range and written
        without a point or exponent, float64 otherwise; entries listed twice add up.

    Raises
    ------
    InputError
        For what is missing, damaged or no matrix; of text, the line and the cell are named.
    LimitError
        For what is over `max_bytes`.

    Examples
    --------
    >>> import io
    >>> read_matrix(io.BytesIO(b"1,2\n3,4"), extension="csv", max_bytes=100)
    array([[1, 2],
           [3, 4]])
    """
    if isinstance(source, Path):
        extension, name = extension or source.suffix, name or shown(source)
    name = name or "standard input"
    reader = READERS.get("." + (extension or "").lower().removeprefix("."))
    if reader is None:
        raise InputError(
            f'{name} has the unknown type "{brief(extension or "")}"; '
            f"matrices are read from {', '.join(READERS)}"
        )
    if isinstance(source, Path):
        with open_input(source) as file:
            return _read(Request(file, name, max_bytes, shape), reader)
    return _read(Request(source, name, max_bytes, shape), reader)


def _read(request: Request, reader: Callable[[Request], Array | csr_array]) -> Array | csr_array:
    request.limit(request.size() or 0, "the file")
    try:
        return reader(request)
    except ConvcliError:
        raise
    except OSError as error:
        raise request.refusal(f"cannot be read: {error.strerror or error}") from None


def _read_npy(request: Request) -> Array:
    values = read_npy(request.file, max_bytes=request.max_bytes, name=request.name)
    if values.ndim != 2:
        raise request.refusal(f"holds an array of shape {values.shape}; a matrix has rows and columns")
    return values


READERS = {".csv": read_csv, ".tsv": read_tsv, ".npy": _read_npy, ".npz": read_npz, ".mtx": read_mtx}
