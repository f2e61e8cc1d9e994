"""Where an image is restored: on the processor, or on a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from convcli.arrays import device
from convcli.arrays.library import HOST, Array, ArrayLib, array_module, gpu
from convcli.errors import unusable
from convcli.spec import choose
from convcli.system.resources import check_memory

BACKENDS = ("auto", "cpu", "cuda")


def require(backend: str) -> None:
    """Refuse a backend that there is not, or that cannot be used here.

    Raises
    ------
    UsageError
        If the name is none of `BACKENDS`.
    BackendError
        If it is that of a GPU and there is none.

    Examples
    --------
    >>> require("cpu")
    """
    choose(backend, BACKENDS, "backend")
    reason = device.unavailable() if backend == "cuda" else None
    if reason is not None:
        raise unusable(backend, reason)


def library_for(backend: str, samples: Array) -> ArrayLib:
    """Return what is to compute: for ``auto`` what the samples belong to.

    Raises
    ------
    BackendError
        If they lie on a GPU and the processor is asked for.

    Examples
    --------
    >>> import numpy as np
    >>> library_for("auto", np.zeros(3)) is HOST
    True
    """
    there = array_module(samples)
    if backend == "cpu" and there is not HOST:
        raise unusable(backend, "the image lies on the GPU; copy it to the host with .get()")
    return gpu() if backend == "cuda" else there


def brought(array: Array, lib: ArrayLib) -> Array:
    """Return an array where `lib` computes: a copy, if it lies elsewhere.

    >>> import numpy as np
    >>> brought(np.arange(3), HOST)
    array([0, 1, 2])
    """
    there = array_module(array)
    return lib.to_device(array) if there is HOST else array if lib is not HOST else there.to_host(array)


@contextlib.contextmanager
def room(lib: ArrayLib, needed: float, limit: int | None, what: str) -> Iterator[None]:
    """Refuse work that would not fit, before it is begun; say in a line what goes wrong on a GPU meanwhile.

    Parameters
    ----------
    lib : ArrayLib
    needed : float
        Bytes, about.
    limit : int, optional
        Bytes; what is free where the work is done, by default.
    what : str
        What it is for.

    Raises
    ------
    LimitError
        If the limit, or the host's memory, is too small.
    BackendError
        If that of the GPU is, or whatever else fails there.
    """
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
