"""From arrays and options to a plan and its result: types, exactness, NaN."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from convcli.arrays import Array, covered
from convcli.errors import UsageError
from convcli.execute import NonFiniteError, execute
from convcli.plan import Plan, plan
from convcli.separable import Vector, low_rank
from convcli.spec import MANTISSA_BITS, ConvSpec, choose

PRECISIONS = ("auto", "float32", "float64")


@dataclass(frozen=True)
class Problem:
    """A convolution that is ready to be computed.

    Attributes
    ----------
    image : (batch, channels, *spatial) array
    kernels : (outputs, channels, *taps) array of int64 or float64
    plan : Plan
    terms : list of (one vector per axis)
        Separable form of a single kernel; empty if there is none.
    fill : float
        Value outside the image for border ``constant``.
    interpolate : bool
        Leave non-finite pixels out rather than let them spread.
    result_type : str
    """

    image: Array
    kernels: Array
    plan: Plan
    terms: list[tuple[Vector, ...]]
    fill: float
    interpolate: bool
    result_type: str

    def solve(self) -> Array:
        """Compute the result.

        Returns
        -------
        (batch, outputs, *output) array
        """
        if math.isfinite(self.fill):
            try:
                return self._run()
            except NonFiniteError:
                pass
        return self._around_gaps()

    def _run(self) -> Array:
        spec = self.plan.spec
        result = np.empty((spec.batch, spec.outputs, *spec.output_shape), dtype=self.result_type)
        execute(self.plan, self.image, self.kernels, result, fill=self.fill, terms=self.terms)
        return result

    def _around_gaps(self) -> Array:
        """Compute with zeros in place of gaps, then correct every output that a gap is part of."""
        finite = np.isfinite(self.image)
        outside = 1.0 if math.isfinite(self.fill) else 0.0
        filled = replace(self, image=np.where(finite, self.image, 0), fill=self.fill if outside else 0.0)
        result = filled._run()
        spec = self.plan.spec
        gaps: Array = np.any(~finite, axis=1)
        touched = np.broadcast_to(covered(gaps, spec, not outside)[:, None], result.shape)
        if not self.interpolate:
            result[touched] = np.nan
            return result
        present = replace(self, image=finite.astype(self.image.dtype), fill=outside)._run()
        some: Array = np.any(finite, axis=1)
        seen = covered(some, spec, bool(outside))[:, None]
        taps = tuple(range(1, self.kernels.ndim))
        total = self.kernels.sum(axis=taps, keepdims=True)[:, 0]
        least = np.abs(self.kernels).sum(axis=taps, keepdims=True)[:, 0] * 1e-6
        with np.errstate(all="ignore"):
            mended = np.where(seen & (np.abs(present) > least), result * (total / present), np.nan)
        result[touched] = mended[touched]
        return result


def pose(
    image: Array,
    kernels: Array,
    *,
    mode: str = "same",
    border: str = "zero",
    border_value: float = 0.0,
    op: str = "convolve",
    origin: int | tuple[int, ...] | None = None,
    stride: int | tuple[int, ...] = 1,
    dilation: int | tuple[int, ...] = 1,
    nan: str = "propagate",
    precision: str = "auto",
    backend: str = "auto",
    threads: int | None = None,
    max_memory: int | None = None,
) -> Problem:
    """Decide the arithmetic and the plan for a bank of kernels.

    Parameters
    ----------
    image : (batch, channels, *spatial) array
    kernels : (outputs, channels, *taps) array
        Both as `samples_of` returns them.

    Other parameters are those of `convcli.convolve`; `max_memory` is the number of bytes that
    temporaries may take.

    Returns
    -------
    Problem

    Examples
    --------
    >>> problem = pose(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)), mode="valid")
    >>> problem.solve()[0, 0].tolist()
    [[9.0, 9.0], [9.0, 9.0]]
    """
    choose(precision, PRECISIONS, "precision")
    spec = ConvSpec(
        image_shape=image.shape[2:],
        kernel_shape=kernels.shape[2:],
        batch=image.shape[0],
        channels=image.shape[1],
        outputs=kernels.shape[0],
        mode=mode,
        border=border,
        op=op,
        origin=origin,
        stride=stride,
        dilation=dilation,
    )
    if threads is not None and threads < 1:
        raise UsageError(f"{threads} threads; at least 1 is needed")
    fill = float(border_value) if spec.border == "constant" else 0.0
    rule, value = _gap_rule(nan)
    if rule == "fill" and image.dtype.kind == "f":
        image = np.where(np.isfinite(image), image, np.asarray(value, dtype=image.dtype))
    if rule == "interpolate":
        _refuse_zero_sum(kernels)
    dtype, exact, bound, result_type = _arithmetic(image, kernels, fill, precision)
    terms = low_rank(kernels[0, 0]) if kernels.shape[:2] == (1, 1) else []
    spec = replace(
        spec,
        dtype=dtype,
        exact=exact,
        bound=bound,
        taps=-(-int(np.count_nonzero(kernels)) // (kernels.shape[0] * kernels.shape[1])),
        rank=len(terms),
    )
    chosen = plan(spec, backend, threads=threads, max_memory=max_memory)
    return Problem(image, kernels, chosen, terms, fill, rule == "interpolate", result_type)


def samples_of(values: ArrayLike, what: str) -> Array:
    """Return real numbers as an array that the arithmetic knows.

    Parameters
    ----------
    values : array_like
    what : {"image", "kernel"}
        Kernels become int64 or float64 and must be finite.

    Raises
    ------
    UsageError
        For anything but real numbers.
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise UsageError(f"{what} has rows of different lengths; an array is needed") from None
    if array.dtype.kind not in "buif":
        raise UsageError(f"{what} is of type {array.dtype}; real numbers are needed")
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    elif array.dtype == np.longdouble:
        array = array.astype(np.float64)
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


def _gap_rule(nan: str) -> tuple[str, float]:
    rule, colon, text = nan.partition(":")
    if rule == "fill" and colon:
        try:
            return rule, float(text)
        except ValueError:
            raise UsageError(f'nan "{nan}" has no number after the colon; write for example fill:0') from None
    if nan not in ("propagate", "interpolate"):
        raise UsageError(f'unknown nan rule "{nan}"; use one of propagate, interpolate, fill:V')
    return rule, 0.0


def _refuse_zero_sum(kernels: Array) -> None:
    for kernel in kernels:
        if abs(kernel.sum()) <= 1e-12 * np.abs(kernel).sum():
            raise UsageError(
                'kernel sums to 0, so nan "interpolate" has no weights to renormalise; '
                "use propagate or fill:V"
            )


def _arithmetic(image: Array, kernels: Array, fill: float, precision: str) -> tuple[str, bool, float, str]:
    """Type of the arithmetic, whether it must be exact, bound of the result, type of the result."""
    narrow = image.dtype.itemsize <= (4 if image.dtype.kind == "f" else 2)
    integers = image.dtype.kind in "ui" and kernels.dtype.kind == "i" and fill.is_integer()
    if not integers:
        dtype = precision if precision != "auto" else "float32" if narrow else "float64"
        return dtype, False, 0.0, dtype
    bound = _largest_sum(kernels) * max(_largest_sample(image), abs(int(fill)))
    if precision != "auto":
        return precision, bound < 2 ** MANTISSA_BITS[precision], float(bound), precision
    types = ("float32", "float64", "int64") if narrow else ("float64", "int64")
    for dtype in types:
        if bound < 2 ** MANTISSA_BITS[dtype]:
            return dtype, True, float(bound), "int64"
    raise UsageError(
        f"the result may reach {bound:.3g}, beyond 64-bit integers; "
        "convert the image to float64, or use precision float64"
    )


def _largest_sum(kernels: Array) -> int:
    """Σ|k| of the heaviest kernel, without overflow."""
    flat = kernels.reshape(len(kernels), -1)
    if np.abs(flat.astype(np.float64)).sum() < 2**53:
        largest: int = np.abs(flat).sum(axis=1).max().item()
        return largest
    rows: list[list[int]] = flat.tolist()
    return max(sum(abs(cell) for cell in row) for row in rows)


def _largest_sample(image: Array) -> int:
    """The largest |x| that may occur: of the type for small integers, of the data for wide ones."""
    if image.dtype.itemsize <= 2:
        limits = np.iinfo(image.dtype)
        return max(int(limits.max), -int(limits.min))
    return max(int(image.max()), -int(image.min())) if image.size else 0
