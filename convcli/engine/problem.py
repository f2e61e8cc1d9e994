"""From arrays and options to an executable convolution: types, exactness, NaN."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from dataclasses import dataclass, replace
from types import NoneType
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
from convcli.engine.precision import PRECISIONS, arithmetic, check_nan, in_type, largest, nan_rule, real
from convcli.engine.separable import Vector, low_rank
from convcli.errors import UsageError
from convcli.spec import ConvSpec, ceil_div, choose
from convcli.system.resources import cpu_count
from convcli.text import shape_text

SPECIFIED = ("mode", "border", "op", "origin", "stride", "dilation", "padding")  # to `ConvSpec`, too
MOST_KEPT = 1 << 18  # bytes of a kernel beyond which it is planned anew for every image
MOST_INDICES = 1 << 14  # samples of the padded axes beyond which their positions are worked out every time


@dataclass(frozen=True, eq=False, repr=False)
class Convolution:
    """A convolution that is ready to be computed, for any image of one shape and type.

    It holds no samples, can be sent to another process, and printed. Whole numbers of more than 16 bits must
    not be larger than those of the image that it was prepared for, which decided about the arithmetic.

    >>> image = np.ones((1, 1, 6, 4))
    >>> convolution = prepare(image, np.ones((1, 1, 3, 3)), border="nearest")
    >>> convolution.compute(image, region=(slice(0, 2), slice(0, 3)))[0, 0].tolist()
    [[9.0, 9.0, 9.0], [9.0, 9.0, 9.0]]
    """

    image_type: np.dtype[Any]
    kernels: Array  # (groups * outputs, channels, *taps) of int64 or float64
    plan: Plan
    terms: tuple[tuple[Vector, ...], ...]  # separable form of a single kernel; empty if there is none
    fill: int | float  # value outside the image for border ``constant``
    nan: str  # rule for non-finite samples: propagate, interpolate or fill
    nan_fill: float  # value that takes their place under fill
    result_type: str

    def __str__(self) -> str:
        return str(self.plan)

    def compute(self, image: Array, region: tuple[slice, ...] | None = None) -> Array:
        """Compute the result (batch, outputs, *output) of an image (batch, channels, *spatial).

        Of the outputs in a `region`, a slice per spatial axis, only the samples that they need are read, and
        they have the same bits as when all are computed.
        """
        indices = self._indices()
        if region is not None:
            region = tuple(map(_part, region, self.plan.spec.output_shape))
            if backends.on_device(backends.load(self.plan.backend)):
                return self.compute(image)[(slice(None), slice(None), *region)]
            self._check(image)
            image, indices = self._needed(image, indices, region)
        else:
            self._check(image)
        image = self._ready(image)
        if math.isfinite(self.fill):
            with contextlib.suppress(NonFiniteError):
                return self._run(image, indices, region)
        return self._around_nonfinite(image, indices, region)

    def compute_into(self, image: Array, output: Array, finish: Finish) -> int:
        """Compute the result tile by tile, each finished while it is in cache; return the sum of `finish`.

        `finish` takes a tile (outputs, *shape) of results, which it may overwrite, and its place in `output`.
        """
        self._check(image)
        image, indices = self._ready(image), self._indices()
        if math.isfinite(self.fill):
            with contextlib.suppress(NonFiniteError):
                return execute(self._job(image, indices, output, finish=finish))
        result = self._around_nonfinite(image, indices, None)
        return sum(finish(item, place) for item, place in zip(result, output, strict=True))

    def _check(self, image: Array) -> None:
        """Refuse an image of another shape or type than the one that this was prepared for."""
        spec = self.plan.spec
        shape = (spec.batch, spec.channels, *spec.image_shape)
        if image.shape != shape or image.dtype != self.image_type:
            raise UsageError(
                f"image {shape_text(image.shape)} of {image.dtype} is not what was prepared for: "
                f"{shape_text(shape)} of {self.image_type}; prepare it again"
            )

    def _indices(self) -> list[NDArray[np.intp]]:
        """Return the position in the image of each sample of the padded image; short ones are kept."""
        found: list[NDArray[np.intp]] | None = self.__dict__.get("indices")
        if found is None:
            found = border_indices(self.plan.spec)
            if sum(map(len, found)) <= MOST_INDICES:
                self.__dict__["indices"] = found
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "indices"}

    def _needed(
        self, image: Array, indices: list[NDArray[np.intp]], region: tuple[slice, ...]
    ) -> tuple[Array, list[NDArray[np.intp]]]:
        """Leave out the samples that no tile of a region reads."""
        read = []
        for number, (axis, index) in enumerate(zip(self.plan.spec.axes, indices, strict=True)):
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


def _part(outputs: slice, size: int) -> slice:
    """Return a run of outputs with its ends inside the result."""
    start, stop, step = outputs.indices(size)
    if step != 1:
        raise UsageError(f"region has step {step}; use a run of outputs, and take every {step}th of it")
    return slice(start, max(start, stop))


@dataclass(frozen=True)
class Options:
    """Options of a convolution, most of them the parameters of `convcli.convolve`.

    Item b of the batch meets group b mod `groups` of the kernels; several groups exclude nan ``interpolate``.
    """

    mode: str = "same"
    border: str = "zero"
    border_value: float = 0.0
    op: str = "convolve"
    origin: int | tuple[int, ...] | None = None
    stride: int | tuple[int, ...] = 1
    dilation: int | tuple[int, ...] = 1
    nan: str = "propagate"
    precision: str = "auto"
    backend: str = "auto"
    threads: int | None = None
    max_memory: int | None = None  # bytes that temporaries may take
    padding: tuple[tuple[int, int], ...] | None = None  # before and after, per spatial axis; not `mode`
    groups: int = 1

    def told_apart(self) -> bool:
        """Whether only the same values equal these; 2 and 2.0 are equal, and one of them is a stride."""
        others = (v for name, v in vars(self).items() if name not in ("border_value", "padding"))
        flat = itertools.chain.from_iterable(v if type(v) is tuple else (v,) for v in others)
        return type(self.border_value) in (int, float) and {type(v) for v in flat} <= {str, int, NoneType}


def prepare(image: Array, kernels: Array, **options: Any) -> Convolution:
    """Decide everything about a convolution, given `Options`; the same decision is found again at once.

    `image` (batch, channels, *spatial) and `kernels` (groups * outputs, channels, *taps) are as `samples_of`
    returns them. The image's shape and type count, and its largest sample where integers may grow too large.

    >>> image = np.ones((1, 1, 4, 4))
    >>> prepare(image, np.ones((1, 1, 3, 3)), mode="valid").compute(image)[0, 0].tolist()
    [[9.0, 9.0], [9.0, 9.0]]
    """
    asked = Options(**options)
    choose(asked.precision, PRECISIONS, "precision")
    resident = array_module(image) is not HOST
    arguments = (image.shape, image.dtype, largest(image, kernels, asked.precision), resident, asked)
    if kernels.nbytes > MOST_KEPT or not asked.told_apart():
        return _decided(kernels, *arguments)
    state = cpu_count(), planner.state(asked.backend)
    return _known(kernels.tobytes(), kernels.shape, kernels.dtype.str, state, *arguments)


@functools.lru_cache(maxsize=64)
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
    largest_sample: int | float | None,
    resident: bool,
    asked: Options,
) -> Convolution:
    spec = ConvSpec(
        image_shape=image_shape[2:],
        kernel_shape=kernels.shape[2:],
        batch=image_shape[0],
        channels=image_shape[1],
        outputs=kernels.shape[0] // asked.groups,
        **{name: getattr(asked, name) for name in SPECIFIED},
    )
    refuse_wide_borders(spec)
    fill: int | float = 0
    if spec.border == "constant" and spec.mode != "valid":
        fill = real(asked.border_value, "border value")
    rule, nan_fill = nan_rule(asked.nan)
    check_nan(rule, nan_fill, kernels, image_dtype)
    dtype, exact, bound, result_type = arithmetic(image_dtype, largest_sample, kernels, fill, asked.precision)
    if rule == "interpolate" and image_dtype.kind == "f":
        dtype = "float64"  # small remaining weights would magnify the rounding of float32
    if not exact:
        fill = in_type(dtype, kernels, fill)
    terms: list[tuple[Vector, ...]] = []
    if kernels.shape[:2] == (1, 1):
        terms = low_rank(kernels[0, 0], rtol=1e-9 if dtype == "float32" else 1e-14)
    spec = replace(
        spec,
        dtype=dtype,
        exact=exact,
        bound=bound,
        taps=ceil_div(int(np.count_nonzero(kernels)), kernels.shape[0] * kernels.shape[1]),
        rank=len(terms),
    )
    limits = {name: getattr(asked, name) for name in ("threads", "max_memory", "groups")}
    found = planner.plan(spec, asked.backend, resident=resident, **limits)
    return Convolution(image_dtype, kernels, found, tuple(terms), fill, rule, nan_fill, result_type)
