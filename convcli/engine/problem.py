"""From arrays and options to an executable convolution: types, exactness, NaN."""

from __future__ import annotations

import functools
import itertools
import math
import numbers
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli import backends
from convcli.arrays.borders import OUTSIDE, border_indices, covered, refuse_wide_borders
from convcli.arrays.gathering import NonFiniteError
from convcli.arrays.library import HOST, Array, array_module
from convcli.engine import planner
from convcli.engine.chunks import needed
from convcli.engine.execute import Finish, Run, execute
from convcli.engine.planner import Plan
from convcli.engine.separable import Vector, low_rank
from convcli.errors import UsageError
from convcli.spec import MANTISSA_BITS, ConvSpec, choose
from convcli.system.resources import cpu_count

PRECISIONS = ("auto", "float32", "float64")
MOST_KEPT = 1 << 18
"""Bytes of a kernel beyond which it is planned anew for every image."""


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution that is ready to be computed, for any image of one shape and type.

    It holds no samples, can be sent to another process, and printed.

    Attributes
    ----------
    image_type : data-type
        Type of the images that it is for.
    kernels : (groups * outputs, channels, *taps) array of int64 or float64
    plan : Plan
    terms : tuple of (one vector per axis)
        Separable form of a single kernel; empty if there is none.
    fill : float
        Value outside the image for border ``constant``.
    nan : str
        Rule for non-finite samples: ``propagate``, ``interpolate`` or ``fill``.
    nan_fill : float
        Value that takes their place under ``fill``.
    result_type : str

    Examples
    --------
    >>> image = np.ones((1, 1, 6, 4))
    >>> convolution = prepare(image, np.ones((1, 1, 3, 3)), border="nearest")
    >>> convolution.compute(image, region=(slice(0, 2), slice(0, 3)))[0, 0].tolist()
    [[9.0, 9.0, 9.0], [9.0, 9.0, 9.0]]
    """

    image_type: np.dtype[Any]
    kernels: Array
    plan: Plan
    terms: tuple[tuple[Vector, ...], ...]
    fill: int | float
    nan: str
    nan_fill: float
    result_type: str

    def __str__(self) -> str:
        return str(self.plan)

    def compute(self, image: Array, region: tuple[slice, ...] | None = None) -> Array:
        """Compute the result.

        Parameters
        ----------
        image : (batch, channels, *spatial) array
        region : tuple of slice, optional
            Outputs that are wanted, per spatial axis; all by default. Only the samples that they need are
            read, and they have the same bits as when all are computed.

        Returns
        -------
        (batch, outputs, *output) array, or (batch, outputs, *region) array
        """
        indices = self._indices
        if region is not None and backends.on_device(backends.load(self.plan.backend)):
            whole = self.compute(image)
            return whole[(slice(None), slice(None), *region)]
        if region is not None:
            region = tuple(
                slice(*part.indices(axis.output))
                for part, axis in zip(region, self.plan.spec.axes, strict=True)
            )
            image, indices = self._needed(image, region)
        image = self._ready(image)
        if math.isfinite(self.fill):
            try:
                return self._run(image, indices, region)
            except NonFiniteError:
                pass
        return self._around_nonfinite(image, indices, region)

    def compute_into(self, image: Array, output: Array, finish: Finish) -> int:
        """Compute the result tile by tile, each finished while it is in cache.

        Parameters
        ----------
        image : (batch, channels, *spatial) array
        output : (batch, outputs, *output) array
        finish : callable
            Takes a tile (outputs, *shape) of results, which it may overwrite, and its place in `output`.

        Returns
        -------
        int
            The sum of what `finish` returned.
        """
        image = self._ready(image)
        if math.isfinite(self.fill):
            try:
                return execute(self._job(image, self._indices, output, finish=finish))
            except NonFiniteError:
                pass
        result = self._around_nonfinite(image, self._indices, None)
        return sum(finish(item, place) for item, place in zip(result, output, strict=True))

    @functools.cached_property
    def _indices(self) -> list[NDArray[np.intp]]:
        return border_indices(self.plan.spec)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_indices"}

    def _needed(self, image: Array, region: tuple[slice, ...]) -> tuple[Array, list[NDArray[np.intp]]]:
        """Leave out the samples that no tile of a region reads."""
        read = []
        for number, (axis, index) in enumerate(zip(self.plan.spec.axes, self._indices, strict=True)):
            first, last = self.plan.schedule.reach(number, region[number])
            used = np.full_like(index, OUTSIDE)
            span = slice(first * axis.stride, (last - 1) * axis.stride + axis.extent)
            used[span] = index[span]
            read.append(used)
        return needed(image, read)

    def _ready(self, image: Array) -> Array:
        """Fill non-finite samples if that is the rule, and bring wide floats into the arithmetic's type."""
        if self.nan == "fill" and image.dtype.kind == "f":
            image = np.where(np.isfinite(image), image, image.dtype.type(self.nan_fill))
        if image.dtype == np.float64 and self.plan.spec.dtype == "float32":
            with np.errstate(over="ignore"):  # samples that do not fit are not finite, and treated so
                image = image.astype(np.float32)
        return image

    def _job(self, image: Array, indices: list[NDArray[np.intp]], result: Array, **more: Any) -> Run:
        kernels = self.kernels.reshape(-1, self.plan.spec.outputs, *self.kernels.shape[1:])
        return Run(self.plan, kernels, self.terms, self.fill, image, indices, result, **more)

    def _run(self, image: Array, indices: list[NDArray[np.intp]], region: tuple[slice, ...] | None) -> Array:
        spec = self.plan.spec
        output = spec.output_shape if region is None else tuple(part.stop - part.start for part in region)
        result: Array = array_module(image).xp.empty((len(image), spec.outputs, *output), self.result_type)
        execute(self._job(image, indices, result, region=region))
        return result

    def _around_nonfinite(
        self, image: Array, indices: list[NDArray[np.intp]], region: tuple[slice, ...] | None
    ) -> Array:
        """Compute with zeros in place of non-finite samples, then correct the outputs that they touch."""
        lib, spec = array_module(image), self.plan.spec
        finite = np.isfinite(image)
        outside = 1.0 if math.isfinite(self.fill) else 0.0
        filled = replace(self, fill=self.fill if outside else 0.0)
        result = filled._run(np.where(finite, image, 0), indices, region)
        missing: Array = np.any(~finite, axis=1)
        touched = np.broadcast_to(covered(missing, spec, indices, not outside, region)[:, None], result.shape)
        if self.nan != "interpolate":
            result[touched] = np.nan
            return result
        weights = replace(filled, fill=outside, result_type="float64")
        present = weights._run(finite.astype(np.float32), indices, region)
        some: Array = np.any(finite, axis=1)
        seen = covered(some, spec, indices, bool(outside), region)[:, None]
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
    """Decide everything about a convolution; the same decision is found again at once.

    Parameters
    ----------
    image : (batch, channels, *spatial) array
        Its shape and type count, and its largest sample where whole numbers may grow too large.
    kernels : (groups * outputs, channels, *taps) array
        Both as `samples_of` returns them.
    groups : int
        Item b of the batch meets group b mod `groups` of the kernels; several groups leave no room for
        nan ``interpolate``.

    Other parameters are those of `convcli.convolve`; `max_memory` is the number of bytes that
    temporaries may take; `padding`, (before, after) per spatial axis, takes the place of `mode`.

    Examples
    --------
    >>> image = np.ones((1, 1, 4, 4))
    >>> prepare(image, np.ones((1, 1, 3, 3)), mode="valid").compute(image)[0, 0].tolist()
    [[9.0, 9.0], [9.0, 9.0]]
    """
    choose(precision, PRECISIONS, "precision")
    threads = cpu_count() if threads is None else threads
    words = (mode, border, op, nan, precision, backend)
    axes = (origin, stride, dilation, threads, max_memory, groups)
    arguments = (
        image.shape,
        image.dtype,
        _largest(image, kernels, precision),
        words,
        axes,
        border_value,
        padding,
        array_module(image) is not HOST,
    )
    if kernels.nbytes > MOST_KEPT or not _plain(words, axes, border_value):
        return _decided(kernels, *arguments)
    return _known(kernels.tobytes(), kernels.shape, kernels.dtype.str, planner.state(backend), *arguments)


def _plain(words: tuple[object, ...], axes: tuple[object, ...], value: object) -> bool:
    """Whether arguments that are equal mean the same; 2 and 2.0 are, and only one of them is a stride."""
    numbers = itertools.chain.from_iterable(n if type(n) is tuple else (n,) for n in axes)
    return (
        all(type(word) is str for word in words)
        and all(n is None or type(n) is int for n in numbers)
        and type(value) in (int, float)
    )


@functools.lru_cache(maxsize=64, typed=True)
def _known(
    cells: bytes,
    shape: tuple[int, ...],
    dtype: str,
    state: object,  # noqa: ARG001 - estimates depend on it
    *arguments: Any,
) -> Convolution:
    return _decided(np.frombuffer(cells, dtype).reshape(shape), *arguments)


def _decided(
    kernels: Array,
    image_shape: tuple[int, ...],
    image_dtype: np.dtype[Any],
    largest: int | float | None,
    words: tuple[str, ...],
    axes: tuple[Any, ...],
    border_value: int | float,
    padding: tuple[tuple[int, int], ...] | None,
    resident: bool,
) -> Convolution:
    mode, border, op, nan, precision, backend = words
    origin, stride, dilation, threads, max_memory, groups = axes
    spec = ConvSpec(
        image_shape=image_shape[2:],
        kernel_shape=kernels.shape[2:],
        batch=image_shape[0],
        channels=image_shape[1],
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
    rule, nan_fill = nan_rule(nan)
    _check_nan(rule, nan_fill, kernels, image_dtype)
    dtype, exact, bound, result_type = _arithmetic(image_dtype, largest, kernels, fill, precision)
    if rule == "interpolate" and image_dtype.kind == "f":
        dtype = "float64"  # small remaining weights would magnify the rounding of float32
    if not exact:
        fill = _in_type(dtype, kernels, fill)
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
    found = planner.plan(
        spec, backend, threads=threads, max_memory=max_memory, resident=resident, groups=groups
    )
    return Convolution(image_dtype, kernels, found, tuple(terms), fill, rule, nan_fill, result_type)


def _check_nan(rule: str, value: float, kernels: Array, image_dtype: np.dtype[Any]) -> None:
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


def _in_type(dtype: str, kernels: Array, fill: int | float) -> float:
    """Refuse kernels beyond the type of the arithmetic, and return the fill value in it."""
    if dtype == "float32" and np.abs(kernels).max() > np.finfo(np.float32).max:
        raise UsageError(f"kernel cell {np.abs(kernels).max():.3g} is beyond float32; use precision float64")
    with np.errstate(over="ignore"):
        found: float = np.array(_nearest_float(fill)).astype(dtype).item()
        return found


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
    if nan not in ("propagate", "interpolate"):
        raise UsageError(f'unknown nan rule "{nan}"; use one of propagate, interpolate, fill:V')
    return rule, 0.0


def _largest(image: Array, kernels: Array, precision: str) -> int | float | None:
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


def _arithmetic(
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
        largest: int = np.abs(flat).sum(axis=1).max().item()
        return largest
    rows: list[list[int]] = flat.tolist()
    return max(sum(abs(cell) for cell in row) for row in rows)


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
