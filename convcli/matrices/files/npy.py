"""Arrays of NumPy: all entries, dense."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

import numpy as np

from convcli.arrays.library import Array
from convcli.arrays.npy import read_npy
from convcli.matrices.files.shared.cell_text import CELLS, numbers_in, part_of, segments
from convcli.matrices.files.shared.request import Request
from convcli.matrices.matrix import Advance, Matrix, spans

SUMMARY = "NumPy, dense"
EXTENSIONS = (".npy",)
MAGIC = b"\x93NUMPY"
HOLDS_NAMES = False
IS_SPARSE = False


def npy_header(shape: tuple[int, ...], dtype: Any) -> bytes:
    """Return the bytes before the numbers in a file of `numpy.save`."""
    file = io.BytesIO()
    described = np.lib.format.dtype_to_descr(np.dtype(dtype))
    header = {"descr": described, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def raw_bytes(array: Array) -> memoryview:
    """Return the bytes of an array's numbers."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def write(file: BinaryIO, matrix: Matrix, advance: Advance) -> None:
    """Write all cells of a matrix row by row, as `numpy.save` would."""
    file.write(npy_header(matrix.shape, matrix.dtype))
    columns = matrix.shape[1]
    cells = np.zeros(CELLS, matrix.dtype)
    for start, stop in spans(matrix):
        positions, numbers = numbers_in(matrix, start, stop)
        done = start
        for first, last in segments((stop - start) * columns):
            where, part = part_of(positions, numbers, first, last)
            if where is None:
                file.write(raw_bytes(part))
            else:
                cells[where] = part
                file.write(raw_bytes(cells[: last - first]))
                cells[where] = 0
            advance(start + last // columns - done)
            done = start + last // columns


def size(matrix: Matrix) -> tuple[int, bool]:
    """Return the bytes of the file."""
    rows, columns = matrix.shape
    return len(npy_header(matrix.shape, matrix.dtype)) + rows * columns * matrix.dtype.itemsize, True


def read(request: Request) -> Array:
    """Read an array with two axes."""
    values = read_npy(request.file, max_bytes=request.max_bytes, name=request.name)
    if values.ndim != 2:
        raise request.refusal(f"holds an array of shape {values.shape}; a matrix has rows and columns")
    return values
