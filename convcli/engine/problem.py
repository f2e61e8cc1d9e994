"""From arrays and options to a plan and its result: types, exactness, NaN."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, replace

import numpy as np

from convcli.arrays.borders import covered, refuse_wide_borders
from convcli.arrays.gathering import NonFiniteError
from convcli.arrays.library import HOST, Array, array_module
from convcli.engine.execute import Finish, execute
from convcli.engine.planner import Plan, plan
from convcli.engine.separable import Vector, low_rank
from convcli.errors import UsageError
from convcli.spec import MANTISSA_BITS, ConvSpec, choose

PRECISIONS = ("auto", "float32", "float64")


@dataclass(frozen=True)
class Convolution:
    """A convolution that is ready to be computed.

    Attributes
    ----------
    image : (batch, channels, *spatial) array
    kernels : (groups * outputs, channels, *taps) array of int64 or float64
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
    fill: int | float
    interpolate: bool
    result_type: str

    def compute(self) -> Array:
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

    def compute_into(self, output: Array, finish: Finish) -> int:
        """Compute the result tile by tile, each finished while it is in cache.

        Parameters
        ----------
        output : (batch, outputs, *output) array
        finish : callable
            Takes a tile (outputs, *shape) of results, which it may overwrite, and its place in `output`.

        Returns
        -------
        int
            The sum of what `finish` returned.
        """
        if math.isfinite(self.fill):
            try:
                return self._execute(output, finish)
            except NonFiniteError:
                pass
        return sum(finish(item, place) for item, place in zip(self._around_gaps(), output, strict=True))

    def _run(self) -> Array:
        spec = self.plan.spec
        shape = spec.batch, spec.outputs, *spec.output_shape
        result: Array = array_module(self.image).xp.empty(shape, dtype=self.result_type)
        self._execute(result)
        return result

    def _execute(self, result: Array, finish: Finish | None = None) -> int:
        return execute(
            self.plan, self.image, self.kernels, result, fill=self.fill, terms=self.terms, finish=finish
        )

    def _around_gaps(self) -> Array:
        """Compute with zeros in place of gaps, then correct every output that a gap is part of."""
        lib = array_module(self.image)
        finite = np.isfinite(self.image)
        outside = 1.0 if math.isfinite(self.fill) else 0.0
        filled = replace(self, image=np.where(finite, self.image, 0), fill=self.fill if outside else 0.0)
        spec = self.plan.spec
        if self.interpolate:  # small remaining weights would magnify the rounding of float32
            filled = replace(filled, plan=replace(self.plan, spec=replace(spec, dtype="float64")))
        result = filled._run()
        gaps: Array = np.any(~finite, axis=1)
        touched = np.broadcast_to(covered(gaps, spec, not outside)[:, None], result.shape)
        if not self.interpolate:
            result[touched] = np.nan
            return result
        present = replace(filled, image=finite.astype(np.float32), fill=outside, result_type="float64")._run()
        some: Array = np.any(finite, axis=1)
        seen = covered(some, spec, bool(outside))[:, None]
        taps = tuple(range(1, self.kernels.ndim))
        total = self.kernels.sum(axis=taps, keepdims=True)[:, 0]
        least = np.abs(self.kernels).sum(axis=taps, keepdims=True)[:, 0] * 1e-12
        with np.errstate(all="ignore"):
            total, least = lib.to_device(total), lib.to_device(least)
            mended = np.where(seen & (np.abs(present) > least), result * (total / present), np.nan)
        result[touched] = mended[touched]
        return result


def prepare(
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
    padding: tuple[tuple[int, int], ...] | None = None,
    groups: int = 1,
) -> Convolution:
    """Decide the arithmetic and the plan for a bank of kernels.

    Parameters
    ----------
    image : (batch, channels, *spatial) array
    kernels : (groups * outputs, channels, *taps) array
        Both as `samples_of` returns them.
    groups : int
        Item b of the batch meets group b mod `groups` of the kernels; several groups leave no room for
        nan ``interpolate``.

    Other parameters are those of `convcli.convolve`; `max_memory` is the number of bytes that
    temporaries may take; `padding`, (before, after) per spatial axis, takes the place of `mode`.

    Returns
    -------
    Convolution

    Examples
    --------
    >>> problem = prepare(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)), mode="valid")
    >>> problem.compute()[0, 0].tolist()
    [[9.0, 9.0], [9.0, 9.0]]
    """
    choose(precision, PRECISIONS, "precision")
    spec = ConvSpec(
        image_shape=image.shape[2:],
        kernel_shape=kernels.shape[2:],
        batch=image.shape[0],
        channels=image.shape[1],
        outputs=kernels.shape[0] // groups,
        mode=mode,
        border=border,
        op=op,
        origin=origin,
        stride=stride,
        dilation=dilation,
        padding=padding,
    )
    refuse_wide_borders(spec)
    fill = _real(border_value, "border value") if spec.border == "constant" and spec.mode != "valid" else 0
    image, interpolate = _without_gaps(image, kernels, nan)
    dtype, exact, bound, result_type = _arithmetic(image, kernels, fill, precision)
    if not exact:
        image, fill = _in_type(dtype, image, kernels, fill)
    terms: list[tuple[Vector, ...]] = []
    if kernels.shape[:2] == (1, 1):
        terms = low_rank(kernels[0, 0], rtol=1e-9 if dtype == "float32" else 1e-14)
    spec = replace(
        spec,
        dtype=dtype,
        exact=exact,
        bound=bound,
        taps=-(-int(np.count_nonzero(kernels)) // (kernels.shape[0] * kernels.shape[1])),
        rank=len(terms),
    )
    chosen = plan(
        spec, backend, threads=threads, max_memory=max_memory, resident=array_module(image) is not HOST
    )
    return Convolution(image, kernels, chosen, terms, fill, interpolate, result_type)


def _without_gaps(image: Array, kernels: Array, nan: str) -> tuple[Array, bool]:
    """Fill gaps if that is the rule; otherwise say whether to interpolate."""
    rule, value = gap_rule(nan)
    if rule == "fill" and image.dtype.kind == "f":
        if abs(value) > float(np.finfo(image.dtype).max):
            raise UsageError(f"nan fill value {value:g} is beyond {image.dtype}; use a smaller one")
        image = np.where(np.isfinite(image), image, image.dtype.type(value))
    if rule == "interpolate":
        _refuse_zero_sum(kernels)
    return image, rule == "interpolate"


def _in_type(dtype: str, image: Array, kernels: Array, fill: int | float) -> tuple[Array, float]:
    """Bring floats into the type of the arithmetic; what does not fit is not finite, and treated so."""
    if dtype == "float32" and np.abs(kernels).max() > np.finfo(np.float32).max:
        raise UsageError(f"kernel cell {np.abs(kernels).max():.3g} is beyond float32; use precision float64")
    with np.errstate(over="ignore"):
        if image.dtype == np.float64:
            image = image.astype(dtype, copy=False)
        return image, np.array(_nearest_float(fill)).astype(dtype).item()


def _real(value: object, what: str) -> int | float:
    """Return a real number; whole ones as int, which has no largest value."""
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        number = float(value)
        return int(number) if number.is_integer() else number
    raise UsageError(f"{what} {value!r} is not a real number")


def _nearest_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def gap_rule(nan: str) -> tuple[str, float]:
    """Read what ``nan`` says: the rule, and the value that it fills with.

    >>> gap_rule("fill:7")
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


def _arithmetic(
    image: Array, kernels: Array, fill: int | float, precision: str
) -> tuple[str, bool, float, str]:
    """Type of the arithmetic, whether it must be exact, bound of the result, type of the result."""
    narrow = image.dtype.itemsize <= (4 if image.dtype.kind == "f" else 2)
    result_type = precision if precision != "auto" else "float32" if narrow else "float64"
    if kernels.dtype.kind != "i" or (precision != "auto" and image.dtype.kind == "f"):
        return result_type, False, 0.0, result_type
    border = abs(fill) if isinstance(fill, int) or math.isfinite(fill) else 0
    weight = _largest_sum(kernels)
    bound = weight * max(_largest_of_type(image), border)
    if not bound < 2 ** MANTISSA_BITS["float32"]:
        bound = weight * max(_largest_sample(image), border)
    fits = {dtype: bound < 2**bits for dtype, bits in MANTISSA_BITS.items()}
    if image.dtype.kind == "f" or not isinstance(fill, int):
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
        largest: int = np.abs(flat).sum(axis=1).max().item()
        return largest
    rows: list[list[int]] = flat.tolist()
    return max(sum(abs(cell) for cell in row) for row in rows)


def _largest_of_type(image: Array) -> int | float:
    """The largest |x| there could be: known without a look at the samples."""
    if image.dtype.kind == "f":
        return math.inf
    limits = np.iinfo(image.dtype)
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
