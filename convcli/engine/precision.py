"""In which type a convolution is computed: exactness, precision, non-finite samples."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from convcli.arrays.library import Array
from convcli.errors import UsageError
from convcli.spec import MANTISSA_BITS, choose

PRECISIONS = ("auto", "float32", "float64")
NAN_RULES = ("propagate", "interpolate", "fill:V")


def check_nan(rule: str, value: float, kernels: Array, image_dtype: np.dtype[Any]) -> None:
    """Refuse a rule for non-finite samples that this image and these kernels cannot follow."""
    if rule == "fill" and image_dtype.kind == "f" and abs(value) > float(np.finfo(image_dtype).max):
        raise UsageError(f"nan fill value {value:g} is beyond {image_dtype}; use a smaller one")
    if rule != "interpolate":
        return
    for kernel in kernels:
        if abs(kernel.sum()) <= 1e-12 * np.abs(kernel).sum():
            raise UsageError(
                'kernel sums to 0, so nan "interpolate" has no weights to renormalise; '
                "use propagate or fill:V"
            )


def in_type(dtype: str, kernels: Array, fill: int | float) -> float:
    """Refuse kernels beyond the type of the arithmetic, and return the fill value in it."""
    if dtype == "float32" and np.abs(kernels).max() > np.finfo(np.float32).max:
        raise UsageError(f"kernel cell {np.abs(kernels).max():.3g} is beyond float32; use precision float64")
    try:
        value = float(fill)
    except OverflowError:
        value = math.inf if fill > 0 else -math.inf
    with np.errstate(over="ignore"):
        return float(np.array(value).astype(dtype).item())


def real(value: object, what: str) -> int | float:
    """Return a real number; whole ones as int, which has no largest value."""
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        number = float(value)
        return int(number) if number.is_integer() else number
    raise UsageError(f"{what} {value!r} is not a real number")


def nan_rule(nan: str) -> tuple[str, float]:
    """Read what ``nan`` says: the rule, and the value that it fills with.

    >>> nan_rule("fill:7")
    ('fill', 7.0)
    """
    rule, colon, text = str(nan).partition(":")
    if rule == "fill" and colon:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UsageError(f'nan "{nan}" has no finite number after the colon; write for example fill:0')
        return rule, value
    choose(nan, NAN_RULES, "nan rule")
    return rule, 0.0


def largest(image: Array, kernels: Array, precision: str) -> int | float | None:
    """Return the largest |x| where it decides about the arithmetic and the type does not tell; else None.

    Of floats it only decides whether sums of whole numbers fit float32, so infinity stands for too large.
    """
    if kernels.dtype.kind != "i" or (
        image.dtype.kind == "f" and (precision != "auto" or not _narrow(image.dtype))
    ):
        return None
    weight = _largest_sum(kernels)
    if weight * _largest_of_type(image.dtype) < 2 ** MANTISSA_BITS["float32"]:
        return None
    largest = _largest_sample(image)
    if image.dtype.kind != "f":
        return largest
    return 0 if weight * largest < 2 ** MANTISSA_BITS["float32"] else math.inf


def _narrow(dtype: np.dtype[Any]) -> bool:
    """Whether float32 has room for every sample."""
    return dtype.itemsize <= (4 if dtype.kind == "f" else 2)


def arithmetic(
    image_dtype: np.dtype[Any], largest: int | float | None, kernels: Array, fill: int | float, precision: str
) -> tuple[str, bool, float, str]:
    """Type of the arithmetic, whether it must be exact, bound of the result, type of the result."""
    narrow = _narrow(image_dtype)
    result_type = precision if precision != "auto" else "float32" if narrow else "float64"
    if kernels.dtype.kind != "i" or (image_dtype.kind == "f" and (precision != "auto" or not narrow)):
        return result_type, False, 0.0, result_type
    border = abs(fill) if isinstance(fill, int) or math.isfinite(fill) else 0
    samples = _largest_of_type(image_dtype) if largest is None else largest
    bound = _largest_sum(kernels) * max(samples, border)
    fits = {dtype: bound < 2**bits for dtype, bits in MANTISSA_BITS.items()}
    if image_dtype.kind == "f" or not isinstance(fill, int):
        dtype = result_type if fits["float32"] else "float64"
        return dtype if precision == "auto" else precision, False, 0.0, result_type
    if precision != "auto":
        return precision, fits[precision], float(bound) if fits[precision] else math.inf, precision
    for dtype in ("float32", "float64", "int64") if narrow else ("float64", "int64"):
        if fits[dtype]:
            return dtype, True, float(bound), "int64"
    raise UsageError(
        f"the result may have {int(bound).bit_length()} bits and a sign, beyond 64-bit integers; "
        "convert the image to float64, or use precision float64"
    )


def _largest_sum(kernels: Array) -> int:
    """Σ|k| of the heaviest kernel, without overflow."""
    flat = kernels.reshape(len(kernels), -1)
    if np.abs(flat.astype(np.float64)).sum() < 2**53:
        return int(np.abs(flat).sum(axis=1).max())
    return int(max(sum(map(abs, row)) for row in flat.tolist()))


def _largest_of_type(dtype: np.dtype[Any]) -> int | float:
    """The largest |x| there could be: known without a look at the samples."""
    if dtype.kind == "f":
        return math.inf
    limits = np.iinfo(dtype)
    return max(int(limits.max), -int(limits.min))


def _largest_sample(image: Array) -> int | float:
    """The largest |x| that is finite."""
    if image.size == 0:
        return 0
    low: int | float = image.min().item()
    high: int | float = image.max().item()
    if not math.isfinite(high - low):
        finite = image[np.isfinite(image)]
        low, high = (finite.min().item(), finite.max().item()) if finite.size else (0, 0)
    return max(high, -low)
