"""Arrays in ``.npy`` files: numbers only, and never more memory than the file has bytes."""

import io
import math
import os
import stat
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from convcli.arrays.library import Array
from convcli.errors import InputError, LimitError
from convcli.system.files import open_input, shown

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npy(source: Path | BinaryIO, *, max_bytes: int | None = None, name: str | None = None) -> Array:
    """Read an array of bool, integers or floats; a stream need not be seekable.

    The header is checked against the size of the file and `max_bytes` before memory is taken. Big-endian
    numbers are turned to the machine's order, so that nothing downstream need care. `name` is for messages.
    """
    if isinstance(source, Path):
        with open_input(source) as file:
            return read_npy(file, max_bytes=max_bytes, name=name or shown(source))
    name = name or "standard input"
    shape, fortran, dtype = _read_header(source, name)
    size = math.prod(shape) * dtype.itemsize
    present = _bytes_left(source)
    if present is not None and size > present:
        raise _truncated(name, shape, dtype, size, present)
    if max_bytes is not None and size > max_bytes:
        raise LimitError(f"{name} holds {size:,} bytes, over the limit of {max_bytes:,}; raise --max-memory")
    try:
        buffer, got = np.empty(size, np.uint8), 0
        while got < size and (count := source.readinto(buffer.data[got:])):  # type: ignore[attr-defined]
            got += count
        if got < size:
            raise _truncated(name, shape, dtype, size, got)
        return _arranged(buffer, shape, fortran, dtype)
    except InputError:
        raise
    except (MemoryError, ValueError) as error:
        raise InputError(f"{name} has an array of shape {shape}, which cannot be held: {error}") from None


def write_npy(file: BinaryIO, array: Any) -> None:
    """Write an array of numbers or bool, from memory as it lies where that is possible."""
    array = np.asarray(array)
    header = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(file, header)
    if header["fortran_order"]:
        array = array.T
    # Part by part if it has to be copied; through file.write, not array.tofile, which forgets why the
    # system refused.
    for part in [array] if array.flags.c_contiguous or array.ndim < 2 else array:
        file.write(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)


def _read_header(file: BinaryIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(file)
    except ValueError:
        raise InputError(f"{name} is not a .npy file: it does not start with \\x93NUMPY") from None
    if version not in _HEADERS:
        raise InputError(
            f"{name} is a .npy file of version {version[0]}.{version[1]}; 1.0 and 2.0 hold numbers"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers of Python 2 are read all the same
            shape, fortran, dtype = _HEADERS[version](file)
    except Exception as error:
        raise InputError(f"{name} has a damaged .npy header: {str(error).splitlines()[0][:100]}") from None
    if dtype.hasobject:
        raise InputError(
            f"{name} holds pickled Python objects, which could run code; save it as plain numbers"
        )
    if dtype.kind not in "biuf":
        raise InputError(f"{name} holds {dtype}; only bool, integers and floats are read")
    if any(n < 0 for n in shape):
        raise InputError(f"{name} has a damaged .npy header: shape {shape} is negative")
    return shape, fortran, dtype


def _bytes_left(file: BinaryIO) -> int | None:
    if isinstance(file, io.BytesIO):
        return len(file.getbuffer()) - file.tell()
    try:
        status = os.fstat(file.fileno())
        return status.st_size - file.tell() if stat.S_ISREG(status.st_mode) else None
    except (OSError, AttributeError):
        return None


def _arranged(
    buffer: np.ndarray[Any, np.dtype[np.uint8]], shape: tuple[int, ...], fortran: bool, dtype: np.dtype[Any]
) -> Array:
    if dtype.kind == "b":
        array: Array = buffer != 0  # any byte but 0 and 1 would be a bool that equals neither
    else:
        array = buffer.view(dtype)
        if not dtype.isnative:
            array = array.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def _truncated(
    name: str, shape: tuple[int, ...], dtype: np.dtype[Any], size: int, present: int
) -> InputError:
    return InputError(
        f"{name} is truncated: its header promises {size:,} bytes, "
        f"shape {shape} of {dtype}, and {present:,} follow"
    )
