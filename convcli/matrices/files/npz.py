"""Sparse matrices in archives, as SciPy writes them."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from convcli.arrays import npz
from convcli.arrays.library import Array
from convcli.arrays.npy import read_npy
from convcli.arrays.samples import samples_of
from convcli.errors import ConvcliError, UsageError
from convcli.matrices.files.npy import npy_header, raw_bytes
from convcli.matrices.files.shared.cell_text import count_entries, nonzeros_in
from convcli.matrices.files.shared.census import census
from convcli.matrices.files.shared.request import Request
from convcli.matrices.matrix import Advance, Ints, Matrix, spans
from convcli.system.files import read_bounded
from convcli.text import brief

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SUMMARY = "SciPy, sparse (CSR)"
EXTENSIONS = (".npz",)
MAGIC = b"PK"
HOLDS_NAMES = False
IS_SPARSE = True
SAMPLE = 1 << 16  # entries compressed to see whether that pays
WORTHWHILE = 2.0  # times smaller, for deflate to be faster than a disk
ARCHIVE_BYTES = 1500  # names, checksums and headers of a zip archive
PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # other methods may ask for gigabytes to unpack
INDICES = {"csr": ("indices", "indptr"), "csc": ("indices", "indptr"), "coo": ("row", "col")}
LONGEST_FORMAT = 1024  # bytes of the member that holds three letters


def write(file: BinaryIO, matrix: Matrix, advance: Advance) -> None:
    """Write the archive that `scipy.sparse.load_npz` reads as a csr_array.

    Its arrays come one after the other, so all rows are made three times, which is faster than the writing.
    """
    entries = matrix.shape[0] * matrix.row_entries
    entries = entries if entries < 2**31 else count_entries(matrix)
    index = index_type(matrix, entries)
    stream = SimpleNamespace(write=file.write, flush=file.flush)
    method = zipfile.ZIP_DEFLATED if compression(matrix) > 1 else zipfile.ZIP_STORED
    passes = _Passes(matrix, 3, advance)
    with zipfile.ZipFile(stream, "w", method, compresslevel=1) as archive:
        for name, array in (("format", b"csr"), ("shape", matrix.shape), ("_is_array", True)):
            with archive.open(f"{name}.npy", "w") as member:
                np.save(member, array)
        with archive.open("indptr.npy", "w", force_zip64=True) as member:
            member.write(npy_header((matrix.shape[0] + 1,), index))
            entries = 0
            member.write(index.type(0).tobytes())
            for rows, positions, _ in passes:
                counts = np.bincount(positions // matrix.shape[1], minlength=rows)
                member.write(raw_bytes((entries + np.cumsum(counts)).astype(index)))
                entries += len(positions)
        with archive.open("indices.npy", "w", force_zip64=True) as member:
            member.write(npy_header((entries,), index))
            for _, positions, _ in passes:
                member.write(raw_bytes((positions % matrix.shape[1]).astype(index)))
        with archive.open("data.npy", "w", force_zip64=True) as member:
            member.write(npy_header((entries,), held_type(matrix)))
            for _, _, numbers in passes:
                member.write(raw_bytes(numbers.astype(held_type(matrix), copy=False)))


def size(matrix: Matrix) -> tuple[int, bool]:
    """Return about the bytes of the archive."""
    entries = census(matrix).entries
    index = index_type(matrix, entries).itemsize
    plain = entries * (index + held_type(matrix).itemsize) + (matrix.shape[0] + 1) * index
    return round(plain / compression(matrix)) + ARCHIVE_BYTES, False


def index_type(matrix: Matrix, entries: int) -> np.dtype[Any]:
    """Return the type of integers that SciPy would count entries and columns with."""
    return np.dtype(np.int32 if max(entries, *matrix.shape) < 2**31 else np.int64)


def held_type(matrix: Matrix) -> np.dtype[Any]:
    """Return the type of numbers in a sparse archive; SciPy has no half floats."""
    return np.dtype(np.float32) if matrix.dtype == np.float16 else matrix.dtype


def compression(matrix: Matrix) -> float:
    """Tell how many times smaller deflate makes a matrix, from some rows in its middle; 1 for stored."""
    rows = matrix.shape[0]
    _, step = next(spans(matrix))
    start = (rows - 1) // step // 2 * step
    positions, numbers = nonzeros_in(matrix, start, min(rows, start + step))
    columns = (positions[:SAMPLE] % matrix.shape[1]).astype(index_type(matrix, 0))
    plain = columns.tobytes() + numbers[:SAMPLE].tobytes()
    ratio = len(plain) / len(zlib.compress(plain, 1)) if plain else 1.0
    return ratio if ratio > WORTHWHILE else 1.0


class _Passes:
    """All rows of a matrix, several times over, which `advance` is told of as if they were once."""

    def __init__(self, matrix: Matrix, times: int, advance: Advance) -> None:
        self.matrix, self.times, self.advance = matrix, times, advance
        self.rows = self.told = 0

    def __iter__(self) -> Iterator[tuple[int, Ints, Array]]:
        for start, stop in spans(self.matrix):
            yield stop - start, *nonzeros_in(self.matrix, start, stop)
            self.rows += stop - start
            self.advance(self.rows // self.times - self.told)
            self.told = self.rows // self.times


def read(request: Request) -> csr_array:
    """Read what `scipy.sparse.save_npz` writes in the formats csr, csc and coo."""
    file = request.file
    if request.size() is None:
        file = io.BytesIO(read_bounded(file, request.name, request.max_bytes))
    try:
        npz.check_directory(file)
        with zipfile.ZipFile(file) as archive:
            return _unpacked(request, archive)
    except UsageError as error:
        raise request.refusal(str(error)) from None
    except (ConvcliError, MemoryError):
        raise
    # Damage shows up as almost any exception of zipfile, of its decompressors and of SciPy.
    except Exception as error:
        raise request.refusal(f"is damaged: {brief(str(error) or type(error).__name__)}") from None


def _unpacked(request: Request, archive: zipfile.ZipFile) -> csr_array:
    import scipy.sparse

    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if not {"format", "shape", "data"} <= members.keys():
        raise request.refusal(
            f"holds {brief(', '.join(members)) or 'nothing'}, which is not what scipy.sparse.save_npz "
            "writes; save a dense matrix as .npy"
        )
    request.limit(sum(info.file_size for info in members.values()), "the unpacked matrix")
    if any(info.compress_type not in PLAIN for info in members.values()):
        raise request.refusal("is packed in an unusual way; use scipy.sparse.save_npz")
    form = _format(request, archive, members["format"])
    rows, columns = _shape(request, _numbers(request, archive, members["shape"]))
    missing = [name for name in INDICES[form] if name not in members]
    if missing:
        raise request.refusal(f"has no member {missing[0]}.npy; use scipy.sparse.save_npz")
    data = samples_of(_numbers(request, archive, members["data"]), "matrix")
    indices = [_numbers(request, archive, members[name]) for name in INDICES[form]]
    if any(index.dtype.kind not in "iu" for index in indices):
        raise request.refusal("has indices that are not whole numbers")
    # A cast that overflows makes negative numbers, which SciPy refuses.
    places: Any = tuple(index.astype(np.int64) if index.dtype.kind == "u" else index for index in indices)
    if form == "coo":
        return scipy.sparse.coo_array((data, places), shape=(rows, columns)).tocsr()
    make: Any = scipy.sparse.csr_array if form == "csr" else scipy.sparse.csc_array
    matrix = make((data, *places), shape=(rows, columns))
    matrix.check_format(full_check=True)
    result: csr_array = matrix.tocsr()
    result.sum_duplicates()
    return result


def _format(request: Request, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    """Return the three letters that a member ends with, be they bytes or UTF-32."""
    if member.file_size > LONGEST_FORMAT:
        raise request.refusal("does not name its sparse format; use scipy.sparse.save_npz")
    with archive.open(member) as file:
        text = file.read(LONGEST_FORMAT)  # archive.read() unpacks all there is, whatever size was promised
    form = text.replace(b"\0", b"")[-3:].decode("ascii")
    if form not in INDICES:
        raise request.refusal(f'has the sparse format "{brief(form)}"; use one of {", ".join(INDICES)}')
    return form


def _shape(request: Request, shape: Array) -> tuple[int, int]:
    if shape.shape != (2,) or shape.dtype.kind not in "iu" or min(shape) < 0:
        raise request.refusal(f"has the shape {brief(str(shape.tolist()))}; a matrix has rows and columns")
    rows, columns = map(int, shape)
    request.limit_sparse(rows, columns)
    return rows, columns


def _numbers(request: Request, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    with archive.open(member) as file:
        name = f"{request.name}: {brief(member.filename)}"
        return read_npy(cast("io.BufferedReader", file), max_bytes=request.max_bytes, name=name)
