"""The device that an image is restored on: the processor, or a GPU."""

import contextlib
from collections.abc import Iterator

from convcli.arrays import device
from convcli.arrays.library import HOST, Array, ArrayLib, array_module, gpu
from convcli.errors import unusable
from convcli.spec import choose
from convcli.system.resources import check_memory

BACKENDS = ("auto", "cpu", "cuda")


def require(backend: str) -> None:
    """Refuse a name that is not in `BACKENDS`, and a GPU that cannot be used here."""
    choose(backend, BACKENDS, "backend")
    reason = device.unavailable() if backend == "cuda" else None
    if reason is not None:
        raise unusable(backend, reason)


def library_for(backend: str, samples: Array) -> ArrayLib:
    """Return the library to compute with: for ``auto`` the one that the samples belong to."""
    there = array_module(samples)
    if backend == "cpu" and there is not HOST:
        raise unusable(backend, "the image lies on the GPU; copy it to the host with .get()")
    return gpu() if backend == "cuda" else there


def to_library(array: Array, lib: ArrayLib) -> Array:
    """Return an array as one of `lib`: a copy, if it lies elsewhere."""
    there = array_module(array)
    return lib.to_device(array) if there is HOST else array if lib is not HOST else there.to_host(array)


@contextlib.contextmanager
def memory_budget(lib: ArrayLib, needed: float, limit: int | None, what: str) -> Iterator[None]:
    """Refuse work that would not fit, before it begins; meanwhile errors of a GPU become `BackendError`."""
    if lib is HOST or limit is not None:
        check_memory(needed, limit, what, "a smaller image")
    if lib is HOST:
        yield
        return
    try:
        with device.errors():
            if needed > device.free_bytes():
                raise device.OutOfDeviceMemoryError
            yield
    except device.OutOfDeviceMemoryError:
        device.release()
        raise device.out_of_memory(needed) from None
