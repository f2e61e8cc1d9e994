"""Filter the planes of an image with one or several kernels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from convcli.arrays import Array
from convcli.errors import LimitError, UsageError
from convcli.kernels import Kernel
from convcli.machine import available_memory
from convcli.pixels import (
    DTYPES,
    RANGES,
    finish,
    from_linear,
    luma,
    premultiply,
    to_linear,
    top,
)
from convcli.planner import Plan
from convcli.problem import Problem, pose, samples_of
from convcli.spec import bytes_text, choose, shape_text

NORMALIZATIONS = ("none", "sum", "abs", "auto")
COMBINATIONS = ("none", "magnitude", "max", "sum", "mean")
ALPHAS = ("premultiply", "filter", "ignore")


@dataclass(frozen=True)
class Filter:
    """How to filter: the options of ``convcli convolve`` that concern samples, under the same names.

    Attributes
    ----------
    divisor, bias : float or None
        Take the place of the kernel's own.
    bias_percent : bool
        `bias` is in percent of full brightness.
    range : str or None
        By default ``clamp`` where the result is of an integer type, unless arrays of such a type
        are asked for no type at all.
    max_memory : int or None
        Bytes; what the system has available by default.
    """

    mode: str = "same"
    border: str = "nearest"
    border_value: float = 0.0
    op: str = "convolve"
    origin: int | tuple[int, ...] | None = None
    stride: int | tuple[int, ...] = 1
    dilation: int | tuple[int, ...] = 1
    nan: str = "propagate"
    precision: str = "auto"
    backend: str = "auto"
    threads: int | None = None
    max_memory: int | None = None
    normalize: str = "none"
    divisor: float | None = None
    bias: float | None = None
    bias_percent: bool = False
    range: str | None = None
    dtype: str = "keep"
    gray: bool = False
    linear: bool = False
    alpha: str = "premultiply"
    repeat: int = 1
    combine: str = "none"

    def __post_init__(self) -> None:
        choose(self.normalize, NORMALIZATIONS, "normalize rule")
        choose(self.combine, COMBINATIONS, "combination")
        choose(self.alpha, ALPHAS, "alpha rule")
        choose(self.dtype, DTYPES, "dtype")
        if self.range is not None:
            choose(self.range, RANGES, "range")
        if self.divisor == 0:
            raise UsageError("divisor 0 divides by zero; use another number")
        if self.divisor is not None and self.normalize != "none":
            raise UsageError(f"divisor {self.divisor:g} and normalize {self.normalize} both divide; use one")
        if self.repeat < 1:
            raise UsageError(f"repeat {self.repeat} is below 1; every filter is applied at least once")


@dataclass
class Filtered:
    """What filtering gave.

    Attributes
    ----------
    outputs : list of (channels, height, width) arrays
        One per kernel, or a single one if they were combined; empty after a dry run.
    plan : Plan
        Of the first kernel's first pass over the colours.
    clipped : int
        Samples cut off at the ends of the range.
    plan_seconds, compute_seconds : float
    notes : list of str
        What the user should know.
    """

    outputs: list[Array]
    plan: Plan
    clipped: int = 0
    plan_seconds: float = 0.0
    compute_seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def filter_planes(
    planes: Array,
    kernels: Sequence[Kernel],
    how: Filter,
    *,
    alpha: bool = False,
    photo: bool = True,
    dry_run: bool = False,
) -> Filtered:
    """Filter an image, or an array, with every kernel.

    Parameters
    ----------
    planes : (channels, height, width) array; any array of 1 or more axes if not `photo`
        Leading axes are independent of each other.
    kernels : sequence of Kernel
    how : Filter
    alpha : bool
        The last plane is alpha.
    photo : bool
        Samples are brightness: results return to the type they came in.
    dry_run : bool
        Stop at the plan.

    Returns
    -------
    Filtered

    Examples
    --------
    >>> from convcli.kernels import parse_kernel
    >>> chart = np.full((1, 4, 4), 7, dtype=np.uint8)
    >>> filter_planes(chart, [parse_kernel("box:3")], Filter()).outputs[0].tolist()[0][0]
    [7, 7, 7, 7]
    """
    began = time.perf_counter()
    planes = samples_of(planes, "image")
    source_type = planes.dtype
    if how.gray and len(planes) - alpha == 3:
        planes = np.concatenate([luma(planes[:3]), planes[3:]])
    if how.linear:
        planes = np.concatenate([to_linear(planes[: len(planes) - alpha]), planes[len(planes) - alpha :]])
    notes: list[str] = []
    runs = [
        _Run(_scaled(_fitted(kernel, planes, photo), how, notes), how, source_type, photo)
        for kernel in kernels
    ]
    first = runs[0].pose(planes[:-1] if alpha else planes)
    filtered = Filtered([], first.plan, plan_seconds=time.perf_counter() - began, notes=notes)
    if dry_run:
        return filtered
    began = time.perf_counter()
    results = [run.repeated(planes, alpha) for run in runs]
    if how.linear:
        for result in results:
            colour = result[: len(result) - alpha]
            colour[...] = from_linear(colour, top(source_type))
    for result in _combined(results, how.combine):
        dtype, rule = _target(result, source_type, how, photo)
        # An array, whatever its axes, is one plane; so is a 1-D signal.
        output, clipped = finish(result if photo else result[None], alpha, dtype, rule)
        filtered.outputs.append(output if photo else output[0])
        filtered.clipped += clipped
    filtered.compute_seconds = time.perf_counter() - began
    return filtered


def _fitted(kernel: Kernel, planes: Array, photo: bool) -> Kernel:
    """Match the axes of kernel and image: a row of cells filters a 1-D signal too."""
    values, origin = kernel.values, kernel.origin
    while values.ndim > planes.ndim and values.shape[0] == 1:
        values, origin = values[0], origin and origin[1:]
    if photo and values.ndim > 2:
        raise UsageError(
            f"kernel {shape_text(values.shape)} has 3 axes and an image has 2; use a .npy volume"
        )
    return replace(kernel, values=values, origin=origin)


def _scaled(kernel: Kernel, how: Filter, notes: list[str]) -> Kernel:
    """Put the divisor that the options ask for into the kernel."""
    if how.divisor is not None:
        return replace(kernel, divisor=how.divisor)
    if how.normalize == "none":
        return kernel
    total, weight = float(kernel.values.sum()), float(np.abs(kernel.values).sum())
    zero_sum = abs(total) <= 1e-12 * weight
    divisor = weight if how.normalize == "abs" or (how.normalize == "auto" and zero_sum) else total
    if weight == 0 or (how.normalize == "sum" and zero_sum):
        notes.append(f"kernel {kernel.name} sums to 0 and was not divided; --normalize abs would")
        return kernel
    return replace(kernel, divisor=divisor)


@dataclass(frozen=True)
class _Run:
    """One kernel on one image."""

    kernel: Kernel
    how: Filter
    source_type: np.dtype[Any]
    photo: bool

    def pose(self, planes: Array, values: Array | None = None) -> Problem:
        values = self.kernel.values if values is None else values
        split = planes.ndim - values.ndim
        if split < 0:
            raise UsageError(
                f"image {shape_text(planes.shape)} has {planes.ndim} axes for a kernel with {values.ndim}"
            )
        how = self.how
        limit = how.max_memory if how.max_memory is not None else available_memory()
        problem = pose(
            planes.reshape(-1, 1, *planes.shape[split:]),
            values[None, None],
            mode=how.mode,
            border=how.border,
            border_value=how.border_value,
            op=how.op,
            origin=how.origin if how.origin is not None else self.kernel.origin,
            stride=how.stride,
            dilation=how.dilation,
            nan=how.nan,
            precision=how.precision,
            backend=how.backend,
            threads=how.threads,
            max_memory=limit,
        )
        spec = problem.plan.spec
        if self.photo:
            # Photos stay in the type of the arithmetic: exact integers need no 64 bits here.
            problem = replace(problem, result_type="float64" if spec.dtype == "int64" else spec.dtype)
        size = spec.samples * np.dtype(problem.result_type).itemsize + problem.plan.cost.peak_bytes
        if limit is not None and size > limit:
            raise LimitError(
                f"the result {shape_text(spec.output_shape)} needs {bytes_text(size)} of memory, more than "
                f"the {bytes_text(limit)} allowed; raise --max-memory, or use --stride or --mode valid"
            )
        return problem

    def convolve(self, planes: Array, values: Array | None = None) -> Array:
        problem = self.pose(planes, values)
        result = problem.solve()
        axes = len(problem.plan.spec.kernel_shape)
        return result.reshape(*planes.shape[: planes.ndim - axes], *result.shape[2:])

    @property
    def bias(self) -> float:
        if self.how.bias is None:
            return self.kernel.bias
        return self.how.bias * (top(self.source_type) / 100 if self.how.bias_percent else 1.0)

    def repeated(self, planes: Array, alpha: bool) -> Array:
        for _ in range(self.how.repeat):
            planes = self.once(planes, alpha)
        return planes

    def once(self, planes: Array, alpha: bool) -> Array:
        if not alpha or self.how.alpha == "filter":
            return self._rescaled(self.convolve(planes))
        colour, opacity = planes[:-1], planes[-1:]
        gain = float(self.kernel.values.sum()) / self.kernel.divisor
        flat = abs(gain) <= 1e-9 * float(np.abs(self.kernel.weights).sum())
        if self.how.alpha == "ignore":
            return np.concatenate([self._rescaled(self.convolve(colour)), self._placed(opacity)])
        scale = top(opacity.dtype if opacity.dtype.kind in "ui" else self.source_type)
        product = self.convolve(premultiply(colour, opacity)) / self.kernel.divisor
        if flat:  # an edge detector: opacity weighs the colours and stays as it is
            return np.concatenate([product / scale + self.bias, self._placed(opacity)])
        covered = self.convolve(opacity) / (self.kernel.divisor * gain)
        visible = covered >= 0.5 * scale / 255
        with np.errstate(all="ignore"):
            colour = np.where(visible, product / covered, 0) + self.bias
        return np.concatenate([colour, covered])

    def _rescaled(self, result: Array) -> Array:
        if result.dtype.kind != "f" and (self.kernel.divisor != 1 or self.bias):
            result = result.astype(np.float64)
        if self.kernel.divisor != 1:
            result /= self.kernel.divisor
        if self.bias:
            result += self.bias
        return result

    def _placed(self, opacity: Array) -> Array:
        """Crop or extend alpha exactly as the filter does the colours: filter it with a unit impulse."""
        values = np.zeros_like(self.kernel.values)
        origin = self.pose(opacity).plan.spec.origin
        assert isinstance(origin, tuple)
        values[origin] = 1
        return self.convolve(opacity, values)


def _combined(results: list[Array], rule: str) -> list[Array]:
    """Merge the responses to several kernels."""
    if rule == "none":
        return results
    shapes = {result.shape for result in results}
    if len(shapes) > 1:
        sizes = ", ".join(sorted(shape_text(shape) for shape in shapes))
        raise UsageError(f"outputs of different sizes ({sizes}) cannot be combined; use --mode same")
    if rule == "magnitude":
        return [
            np.sqrt(sum(np.square(result, dtype=np.result_type(result, np.float32)) for result in results))
        ]
    if rule == "max":
        return [np.maximum.reduce(results)]
    total = np.add.reduce(results)
    return [total / len(results) if rule == "mean" else total]


def _target(result: Array, source_type: np.dtype[Any], how: Filter, photo: bool) -> tuple[np.dtype[Any], str]:
    """Type of the output, and what happens to samples outside its range."""
    if how.dtype != "keep":
        dtype = np.dtype(how.dtype)
    elif photo:
        dtype = source_type
    else:
        return result.dtype, how.range or "none"
    return dtype, how.range or "clamp"
