"""Matrices as numbers in files of NumPy and SciPy: dense .npy, sparse .npz."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np

from convcli.arrays.library import Array
from convcli.matrices.files.cell_text import CELLS, count_entries, nonzeros_in, numbers_in, part_of, segments
from convcli.matrices.matrix import Ints, Matrix, spans

SAMPLE = 1 << 16  # entries compressed to see whether that pays
WORTHWHILE = 2.0  # times smaller, for deflate to be faster than a disk


def npy_header(shape: tuple[int, ...], dtype: Any) -> bytes:
    """Return the bytes before the numbers in what `numpy.save` writes."""
    file = io.BytesIO()
    described = np.lib.format.dtype_to_descr(np.dtype(dtype))
    header = {"descr": described, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def write_dense_npy(file: BinaryIO, matrix: Matrix, advance: Callable[[int], None]) -> None:
    """Write all cells of a matrix row by row, as `numpy.save` would.

    Examples
    --------
    >>> from convcli.matrices.build import convolution_matrix
    >>> file = io.BytesIO()
    >>> write_dense_npy(file, convolution_matrix([1, 2], 2), lambda rows: None)
    >>> np.load(io.BytesIO(file.getvalue())).tolist()
    [[1, 0], [2, 1], [0, 2]]
    """
    file.write(npy_header(matrix.shape, matrix.dtype))
    columns = matrix.shape[1]
    cells = np.zeros(CELLS, matrix.dtype)
    for start, stop in spans(matrix):
        positions, numbers = numbers_in(matrix, start, stop)
        done = start
        for first, last in segments((stop - start) * columns):
            where, part = part_of(positions, numbers, first, last)
            if where is None:
                file.write(_bytes(part))
            else:
                cells[where] = part
                file.write(_bytes(cells[: last - first]))
                cells[where] = 0
            advance(start + last // columns - done)
            done = start + last // columns


def write_npz(file: BinaryIO, matrix: Matrix, entries: int | None, advance: Callable[[int], None]) -> None:
    """Write the archive that `scipy.sparse.load_npz` reads as a csr_array.

    Its arrays come one after the other, so all rows are made three times: that takes less time than
    the writing, and no matrix has to be held. The file need not be seekable, and is the same if it is.

    Parameters
    ----------
    file : BinaryIO
    matrix : Matrix
    entries : int or None
        How many there are, if it is known. Counted otherwise.
    advance : callable

    Examples
    --------
    >>> from scipy.sparse import load_npz
    >>> from convcli.matrices.build import convolution_matrix
    >>> file = io.BytesIO()
    >>> write_npz(file, convolution_matrix([1, 2], 2), 4, lambda rows: None)
    >>> load_npz(io.BytesIO(file.getvalue())).toarray().tolist()
    [[1, 0], [2, 1], [0, 2]]
    """
    if entries is None:
        entries = count_entries(matrix)
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
            before = 0
            member.write(index.type(0).tobytes())
            for rows, positions, _ in passes:
                counts = np.bincount(positions // matrix.shape[1], minlength=rows)
                member.write(_bytes((before + np.cumsum(counts)).astype(index)))
                before += len(positions)
        with archive.open("indices.npy", "w", force_zip64=True) as member:
            member.write(npy_header((entries,), index))
            for _, positions, _ in passes:
                member.write(_bytes((positions % matrix.shape[1]).astype(index)))
        with archive.open("data.npy", "w", force_zip64=True) as member:
            member.write(npy_header((entries,), held_type(matrix)))
            for _, _, numbers in passes:
                member.write(_bytes(numbers.astype(held_type(matrix), copy=False)))


def index_type(matrix: Matrix, entries: int) -> np.dtype[Any]:
    """Return the type of integers that SciPy would count entries and columns with."""
    return np.dtype(np.int32 if max(entries, *matrix.shape) < 2**31 else np.int64)


def held_type(matrix: Matrix) -> np.dtype[Any]:
    """Return the type of numbers in a sparse archive; SciPy has no half floats."""
    return np.dtype(np.float32) if matrix.dtype == np.float16 else matrix.dtype


def compression(matrix: Matrix) -> float:
    """Tell how many times smaller deflate makes a matrix, from some rows in its middle; 1 for stored.

    The rows of a Toeplitz matrix are much alike; samples of an image are not.
    """
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

    def __init__(self, matrix: Matrix, times: int, advance: Callable[[int], None]) -> None:
        self.matrix, self.times, self.advance = matrix, times, advance
        self.rows = self.told = 0

    def __iter__(self) -> Iterator[tuple[int, Ints, Array]]:
        for start, stop in spans(self.matrix):
            yield stop - start, *nonzeros_in(self.matrix, start, stop)
            self.rows += stop - start
            self.advance(self.rows // self.times - self.told)
            self.told = self.rows // self.times


def _bytes(array: Array) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
