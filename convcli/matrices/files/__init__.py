"""Matrices in files: each file of this folder is one format.

A new format is a new file here: it is found by itself, its name is the format's, and it defines the names
of `Format`, mostly with parts of ``shared``; ``tsv`` is a short example. May import ``matrices``, ``show``
for pictures, and the rooms below; heavy imports in functions.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from convcli.errors import ConvcliError, InputError, UsageError
from convcli.matrices.files.shared.request import Request
from convcli.matrices.matrix import Advance, Matrix, Rows, Symbolic, spans
from convcli.spec import choose
from convcli.system.files import open_input, shown

FIRST = ("csv", "tsv", "sparse-csv", "npy", "npz", "mtx", "json", "png")  # in lists of the formats
SMALL = 1 << 18  # cells that are written for their size to be known
FIXED_BYTES = 64 * 2**20  # of memory, whatever is written
ENTRY_BYTES = 100  # of memory, for each entry of the rows in hand
NAME_BYTES = 300


class Format(Protocol):
    """Names that a module of this folder defines.

    Optional: ``MEMORY_BYTES``, more that writing takes; ``read(request)``; ``MAGIC``, first bytes of files.
    """

    SUMMARY: str
    EXTENSIONS: tuple[str, ...]  # of the files that are written so by default
    HOLDS_NAMES: bool  # "w11" where others need a number
    IS_SPARSE: bool  # zeros take no room

    def write(self, file: BinaryIO, matrix: Matrix, advance: Advance) -> None:
        """Write a matrix; `advance` is told how many more rows are done."""

    def size(self, matrix: Matrix) -> tuple[int, bool]:
        """Return the bytes of the file, and whether they are exact."""


@functools.cache
def names() -> tuple[str, ...]:
    """Return all formats by name."""
    found = [module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__) if not module.ispkg]
    return tuple(sorted(found, key=lambda name: (*FIRST, name).index(name)))


@functools.cache
def load(name: str) -> Format:
    """Import the format called `name`, or raise a UsageError with those that there are."""
    choose(name, names(), "format")
    return cast(Format, importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))


def holding_names() -> str:
    """List the formats that can hold names."""
    return ", ".join(name for name in names() if load(name).HOLDS_NAMES)


def readers() -> dict[str, Callable[[Request], Rows]]:
    """Return the functions that read a matrix, by extension."""
    found = [(load(name).EXTENSIONS, getattr(load(name), "read", None)) for name in names()]
    return {extension: read for extensions, read in found if read for extension in extensions}


def format_for(name: Path | str) -> str:
    """Return the name of a format from that name, its extension, or a path with that extension.

    >>> format_for("T.CSV"), format_for("npz"), format_for("sparse-csv")
    ('csv', 'npz', 'sparse-csv')
    """
    text = str(name).lower()
    extension = "." + text.rpartition(".")[2]
    for made in names():
        if text == made or extension in load(made).EXTENSIONS:
            return made
    known = " ".join(extension for made in names() for extension in load(made).EXTENSIONS)
    raise UsageError(f'"{shown(name)}" has no extension of a matrix format; use one of {known}, or --format')


def write_matrix(
    file: BinaryIO,
    matrix: Matrix,
    format: str,  # noqa: A002 - as the option is called
    *,
    advance: Advance = lambda rows: None,  # noqa: ARG005
) -> None:
    r"""Write a matrix, or its names if it is `Symbolic`, some rows at a time; `advance` is told how many.

    >>> import io
    >>> from convcli.matrices.build import convolution_matrix
    >>> file = io.BytesIO()
    >>> write_matrix(file, convolution_matrix([1, 2], 2), "csv")
    >>> file.getvalue()
    b'1,0\n2,1\n0,2\n'
    """
    _checked(matrix, format).write(file, matrix, advance)


def file_size(matrix: Matrix, format: str) -> tuple[int, bool]:  # noqa: A002
    """Return the bytes that a file will have, and whether they are exact, as they are for small matrices.

    >>> from convcli.matrices.build import convolution_matrix
    >>> file_size(convolution_matrix([1, 2], 10**6), "csv")
    (2000002000000, True)
    """
    made = _checked(matrix, format)
    tried = not hasattr(made, "MEMORY_BYTES")  # a picture takes long, even a small one
    if tried and matrix.shape[0] * matrix.shape[1] <= SMALL:
        counter = Counted()
        made.write(cast(BinaryIO, counter), matrix, lambda rows: None)  # noqa: ARG005
        return counter.bytes, True
    return made.size(matrix)


def memory_needed(matrix: Matrix, format: str) -> int:  # noqa: A002
    """Return about the bytes of memory that the writing takes; they do not grow with the rows."""
    inner, named = (matrix.matrix, len(matrix.names)) if isinstance(matrix, Symbolic) else (matrix, 0)
    _, rows = next(spans(matrix))
    needed = FIXED_BYTES + ENTRY_BYTES * rows * inner.row_entries + NAME_BYTES * named
    return needed + getattr(load(format), "MEMORY_BYTES", 0)


def _checked(matrix: Matrix, name: str) -> Format:
    """Return the format; refuse names if it holds numbers."""
    made = load(name)
    if isinstance(matrix, Symbolic) and not made.HOLDS_NAMES:
        raise UsageError(f"{name} holds numbers, not names; use one of {holding_names()}")
    return made


class Counted:
    """A file that counts its bytes, and passes them on if it is around another."""

    def __init__(self, file: BinaryIO | None = None) -> None:
        self.file, self.bytes = file, 0

    def write(self, data: bytes | memoryview) -> int:
        """Write or, without a file, drop."""
        self.bytes += memoryview(data).nbytes
        return len(data) if self.file is None else self.file.write(data)

    def flush(self) -> None:
        """Flush the file, if there is one."""
        if self.file is not None:
            self.file.flush()


def recognised(head: bytes) -> str:
    r"""Return the format that reads a file which begins so.

    >>> recognised(b"%%MatrixMarket matrix"), recognised(b"1\t2\n"), recognised(b"1,2\n")
    ('mtx', 'tsv', 'csv')
    """
    for name in names():
        magic = getattr(load(name), "MAGIC", b"")
        if magic and head.startswith(magic):
            return name
    return "tsv" if b"\t" in head.partition(b"\n")[0] else "csv"


def read_matrix(
    source: Path | BinaryIO,
    *,
    max_bytes: int,
    extension: str | None = None,
    name: str | None = None,
    shape: tuple[int, int] | None = None,
) -> Rows:
    r"""Read a matrix of real numbers, sparse as it was written; entries listed twice add up.

    Text gives int64 if all are whole numbers of that range without a point or exponent, else float64. A
    stream needs the `extension` of its content; sparse CSV without a `shape` ends at its last entry.

    >>> import io
    >>> read_matrix(io.BytesIO(b"1,2\n3,4"), extension="csv", max_bytes=100)
    array([[1, 2],
           [3, 4]])
    """
    if isinstance(source, Path):
        extension, name = extension or source.suffix, name or shown(source)
    name = name or "standard input"
    known = readers()
    found = known.get("." + (extension or "").lower().removeprefix("."))
    if found is None:
        from convcli.text import brief

        raise InputError(
            f'{name} has the unknown type "{brief(extension or "")}"; '
            f"matrices are read from {', '.join(known)}"
        )
    with open_input(source) if isinstance(source, Path) else contextlib.nullcontext(source) as file:
        request = Request(file, name, max_bytes, shape)
        request.limit(request.size() or 0, "the file")
        try:
            return found(request)
        except ConvcliError:
            raise
        except OSError as error:
            raise request.refusal(f"cannot be read: {error.strerror or error}") from None
