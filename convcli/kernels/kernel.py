"""The kernel itself, and the rules that hold wherever it comes from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convcli.arrays.library import Array
from convcli.errors import UsageError
from convcli.spec import checked_origin
from convcli.text import brief, printable, shape_text

MAX_AXIS = 4096
MAX_CELLS = 2**24
LIMITS = f"the limits are {MAX_AXIS} per axis and {MAX_CELLS} in all"
DECIMAL_SCALES = (10, 100, 1000, 10**4, 10**5, 2**12, 2**16)
EXACT_FLOAT = 2**53  # up to here every whole number is a float64


@dataclass(frozen=True, eq=False)
class Kernel:
    """A convolution kernel as its user wrote it; the result is ``y / divisor + bias``.

    Parameters
    ----------
    values : (taps,), (height, width) or (depth, height, width) array
        Or a bank with outputs and channels in front: 4 or 5 axes. Kept, read-only, as int64 if every
        cell is a whole number that fits, or a decimal of a few digits (the divisor takes up the
        scale); else as float64.
    name : str
        Short: ``gaussian:3``, ``inline``, or the stem of a file name.
    divisor : float
        Keeps `values` whole numbers where the weights are fractions.
    bias : float
        Added to the result, in units of the image's samples.
    origin : tuple of int, optional
        Index of the cell that sits on the output pixel; ``(n - 1) // 2`` per axis by default.
    scale : float
        The part of `divisor` that is there only to write the cells as whole numbers: another
        divisor in its place leaves it.

    Raises
    ------
    UsageError
        For values that are not a finite, non-empty array of 1 to 5 axes, for a divisor that is 0,
        and for an origin outside the array.

    Examples
    --------
    >>> kernel = Kernel(np.array([[1.0, 2.0, 1.0]]), "row", divisor=4)
    >>> kernel.values, kernel.weights
    (array([[1, 2, 1]]), array([[0.25, 0.5 , 0.25]]))
    """

    values: Array
    name: str
    divisor: float = 1.0
    bias: float = 0.0
    origin: tuple[int, ...] | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        values, scale = short_decimals(exact(self.values))
        values.setflags(write=False)
        put = object.__setattr__
        put(self, "values", values)
        put(self, "name", printable(self.name))
        put(self, "divisor", finite(self.divisor, "divisor") * scale)
        put(self, "scale", self.scale * scale)
        put(self, "bias", finite(self.bias, "bias"))
        if self.divisor == 0 or not math.isfinite(float(np.abs(values).max()) / abs(self.divisor)):
            raise UsageError(
                f"divisor {self.divisor:g} cannot divide the kernel; use a larger one, or leave it out"
            )
        if self.origin is not None:
            put(self, "origin", checked_origin(self.origin, self.taps))

    @property
    def is_bank(self) -> bool:
        """Whether outputs and channels come before the spatial axes."""
        return self.values.ndim > 3

    @property
    def taps(self) -> tuple[int, ...]:
        """Spatial shape."""
        return self.values.shape[2:] if self.is_bank else self.values.shape

    @property
    def weights(self) -> NDArray[np.float64]:
        """What the samples are multiplied by: ``values / divisor``, float64."""
        return np.asarray(self.values / self.divisor, dtype=np.float64)


def exact(values: Array) -> Array:
    """Copy an array to int64 if every cell is a whole number that fits, else to float64; or refuse it."""
    values = np.asarray(values)
    if values.dtype.kind not in "biuf":
        raise UsageError(f"a kernel of type {brief(str(values.dtype))} is not made of real numbers")
    if not 1 <= values.ndim <= 5:
        raise UsageError(
            f"a kernel with {values.ndim} axes; it has 1, 2 or 3, and a bank 2 more for outputs and channels"
        )
    if values.size == 0:
        raise UsageError(f"a kernel of {shape_text(values.shape)} cells is empty; it needs at least one")
    if values.dtype.kind in "bi" or (values.dtype.kind == "u" and values.max() < 2**63):
        return values.astype(np.int64)
    with np.errstate(over="ignore"):  # a wider float that overflows is reported with its cell, below
        floats = values.astype(np.float64)
    wrong = ~np.isfinite(floats)
    if wrong.any():
        index = int(np.argmax(wrong))
        raise UsageError(f"{place(index, floats.shape)} is {floats.flat[index]}; every cell must be finite")
    whole = np.abs(floats).max() <= EXACT_FLOAT and bool((floats == np.trunc(floats)).all())
    return floats.astype(np.int64) if whole else floats


def short_decimals(values: Array) -> tuple[Array, int]:
    """Write floats that are decimals of a few digits, or binary fractions, as integers and a divisor.

    Integer kernels give the same result on every backend, to the last bit. Other values have divisor 1.

    >>> short_decimals(np.array([0.25, 0.5, 0.25]))
    (array([1, 2, 1]), 4)
    """
    if values.dtype.kind == "i":
        return values, 1
    for scale in DECIMAL_SCALES:
        with np.errstate(over="ignore"):
            whole = np.rint(values * scale)
        if (whole / scale == values).all() and np.abs(whole).sum() <= EXACT_FLOAT:
            cells = whole.astype(np.int64)
            common = math.gcd(scale, int(np.gcd.reduce(cells.reshape(-1))))
            return cells // common, scale // common
    return values, 1


def finite(value: object, what: str) -> float:
    """Return `value` as a float, or refuse what is not one finite number."""
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{what} {brief(str(value))} is not a finite number")
    return number


def check_shape(shape: Sequence[int]) -> None:
    """Refuse a kernel that is larger than any convolution here should be given, before it is made."""
    if any(n > MAX_AXIS for n in shape) or math.prod(shape) > MAX_CELLS:
        raise UsageError(f"a kernel of {shape_text(shape)} cells is too large; {LIMITS}")


def place(index: int, shape: Sequence[int], axes: int | None = None) -> str:
    """Name a cell by its flat index, counting from 1 as people do.

    With `axes`, `shape` is that of the leading axes of an array of so many, as for a whole row.

    >>> place(5, (2, 3)), place(1, (2,), axes=2)
    ('row 2, cell 3', 'row 2')
    """
    numbers = np.unravel_index(index, tuple(shape))
    count = axes or len(shape)
    spatial = ("plane", "row", "cell")
    names = ("output", "channel", *spatial[5 - count :]) if count > 3 else spatial[-count:]
    return ", ".join(f"{name} {n + 1}" for name, n in zip(names, numbers, strict=False))
