"""Memory: pointers, and the pool that says how much is in use."""
# ruff: noqa: ARG002

import ctypes
import math

import numpy as np

from cupy._state import state


class OutOfMemoryError(MemoryError):
    """Not enough memory on the device."""

    def __init__(self, size, total, limit=0):
        limited = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(
            f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes{limited})."
        )


class UnownedMemory:
    """Memory that something else owns, and keeps as long as this lives."""

    def __init__(self, ptr, size, owner, device_id=-1):
        self.ptr, self.size, self._owner, self.device_id = ptr, size, owner, 0


def _address(mem):
    return mem if isinstance(mem, int) else mem.value


class MemoryPointer:
    """A place in memory."""

    def __init__(self, mem, offset):
        self.mem, self.ptr, self.device_id = mem, mem.ptr + offset, mem.device_id

    def __int__(self):
        return self.ptr

    def __add__(self, offset):
        return MemoryPointer(self.mem, self.ptr - self.mem.ptr + offset)

    def __sub__(self, offset):
        return self + -offset

    def _view(self, shape, dtype, strides, order):
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if strides is None:
            nbytes = math.prod(shape) * dtype.itemsize
        else:
            nbytes = dtype.itemsize + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        memory = (ctypes.c_char * max(nbytes, 0)).from_address(self.ptr)
        return np.ndarray(shape, dtype, memory, strides=strides, order=order or "C")

    def copy_from_device(self, src, size):
        """Copy bytes from another place on the device."""
        if not isinstance(src, MemoryPointer):
            raise TypeError(
                f"Argument 'src' has incorrect type (expected MemoryPointer, got {type(src).__name__})"
            )
        ctypes.memmove(self.ptr, src.ptr, size)

    def copy_from_device_async(self, src, size, stream=None):
        """Copy bytes from another place on the device."""
        self.copy_from_device(src, size)

    def copy_from_host(self, mem, size):
        """Copy bytes from the host: from an address, or a ctypes pointer."""
        ctypes.memmove(self.ptr, _address(mem), size)
        state.log.append(("to_device", size))

    def copy_from_host_async(self, mem, size, stream=None):
        """Copy bytes from the host: from an address, or a ctypes pointer."""
        self.copy_from_host(mem, size)

    def copy_to_host(self, mem, size):
        """Copy bytes to the host: to an address, or a ctypes pointer."""
        ctypes.memmove(_address(mem), self.ptr, size)
        state.log.append(("to_host", size))

    def copy_to_host_async(self, mem, size, stream=None):
        """Copy bytes to the host: to an address, or a ctypes pointer."""
        self.copy_to_host(mem, size)

    def memset(self, value, size):
        """Set bytes to a value."""
        ctypes.memset(self.ptr, value, size)

    def memset_async(self, value, size, stream=None):
        """Set bytes to a value."""
        self.memset(value, size)


def alloc(size):
    """New memory of so many bytes."""
    from cupy._core import ndarray

    return ndarray((size,), np.uint8).data


class MemoryPool:
    """The pool that all memory comes from; it gives back at once what is free."""

    def used_bytes(self):
        """The bytes that arrays hold."""
        return state.used_bytes

    def total_bytes(self):
        """The bytes that the pool holds: those in use, here."""
        return state.used_bytes

    def free_bytes(self):
        """The bytes that the pool holds and nobody uses: none, here."""
        return 0

    def n_free_blocks(self):
        """The number of pieces that the pool holds and nobody uses: none, here."""
        return 0

    def free_all_blocks(self, stream=None):
        """Give back what nobody uses."""

    def get_limit(self):
        """The bytes that the pool may hold; 0 for no limit."""
        return state.limit

    def set_limit(self, size=None, fraction=None):
        """Limit the bytes that the pool may hold."""
        if (size is None) == (fraction is None):
            raise ValueError("size or fraction must be specified, not both")
        state.limit = int(state.total_bytes * fraction) if size is None else size

    def malloc(self, size):
        """New memory of so many bytes."""
        return alloc(size)
