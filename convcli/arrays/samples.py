"""Values that users give, as arrays that the arithmetic knows."""

import numpy as np
from numpy.typing import ArrayLike

from convcli.arrays import device
from convcli.arrays.library import Array
from convcli.errors import BackendError, UsageError

SMALL = ("kernel", "PSF", "bias")  # what is copied from a GPU without further ado
STAND_INS = {"?": np.uint8, "e": np.float32, "g": np.float64}  # of bool, float16, longdouble


def samples_of(values: ArrayLike, what: str, *, anywhere: bool = False) -> Array:
    """Return real numbers as an array that the arithmetic knows, or refuse them.

    A ``kernel`` becomes int64 or float64 and must be finite. With `anywhere` what lies on a GPU stays there,
    as an array of CuPy; otherwise it is refused, but for what is small: kernels are copied to the host.
    """
    try:
        array = _found(values, what, anywhere)
    except ValueError:
        raise UsageError(f"{what} has rows of different lengths; an array is needed") from None
    if array.dtype.kind in "buif" and not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if what == "kernel" and array.dtype.kind in "OUS":
        raise UsageError(
            f"kernel is of type {array.dtype}, not numbers; for a text use convcli.parse_kernel(text).weights"
        )
    if array.dtype.kind not in "buif":
        raise UsageError(f"{what} is of type {array.dtype}; real numbers are needed")
    array = array.astype(STAND_INS.get(array.dtype.char, array.dtype), copy=False)
    if what != "kernel":
        return array
    if array.dtype.kind in "ui":
        if array.size and int(array.max()) > np.iinfo(np.int64).max:
            raise UsageError(f"kernel cell {array.max()} is beyond 64-bit integers; use floats")
        return array.astype(np.int64)
    if not np.isfinite(array).all():
        cell = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise UsageError(f"kernel cell {cell} is {array[cell]}; every cell must be finite")
    return array.astype(np.float64)


def _found(values: ArrayLike, what: str, anywhere: bool) -> Array:
    """Return an array where it lies, and small ones on the host."""
    if not device.owns(values):
        return np.asarray(values)
    if not anywhere and what not in SMALL:
        raise BackendError(
            f"{what} lies on a GPU, where this is not computed; copy it to the host with .get()"
        )
    reason = device.unavailable()
    if reason is not None:
        raise BackendError(f"{what} lies on a GPU, and cannot be used there: {reason}")
    with device.errors():
        array: Array = device.cupy().asarray(values)
        return array if anywhere else device.to_host(array)


def refuse_overflow(image: Array, weights: Array, outside: float = 0) -> None:
    """Refuse integers, with a border of `outside`, whose sums of products may need more than 64 bits."""
    largest = max(abs(int(image.min(initial=0))), abs(int(image.max(initial=0))), abs(int(outside)))
    bound = largest * float(np.abs(weights.astype(np.float64)).sum(axis=1).max())
    if not bound < 2**63 * (1 - 1e-9):
        raise UsageError(
            f"the product may reach {bound:.3g}, beyond 64-bit integers; convert the image to float64"
        )
