"""The response of an image to one kernel: divisor, bias, transparency, repetition."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from convcli.arrays.library import Array
from convcli.engine.problem import Convolution, Options, prepare
from convcli.errors import UsageError
from convcli.filtering.options import Filter, Percent
from convcli.images.colour import from_linear, premultiplied_type, premultiply, store, to_linear, white
from convcli.kernels import Kernel
from convcli.spec import ConvSpec
from convcli.text import shape_text

STEPS = 4096  # per sample value, to which the intermediate results of integer kernels are rounded


@dataclass(frozen=True, eq=False, repr=False)
class Samples:
    """Shape, type and largest magnitudes of an image that is not there yet: all that a plan needs to know."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    largest: float  # of the colours
    opacity: float  # of alpha


@dataclass(frozen=True, eq=False, repr=False)
class Response:
    """One kernel, to be applied to the planes of one image; `alpha` says that the last plane is alpha."""

    kernel: Kernel
    options: Filter
    source_type: np.dtype[Any]  # of the image's samples as they were read
    photo: bool  # samples are brightness

    def prepare(
        self, planes: Array, values: Array | None = None, outside: float | None = None
    ) -> Convolution:
        """Plan the convolution of planes (..., *spatial), with cells and a border value of their own."""
        values = self.kernel.values if values is None else values
        if planes.ndim < values.ndim:
            raise UsageError(
                f"an array {shape_text(planes.shape) or 'of one number'} has {planes.ndim} axes for a kernel "
                f"with {values.ndim}; use a kernel with at most as many"
            )
        options = engine_options(self.options)
        options["border_value"] = self.outside if outside is None else outside
        if options["origin"] is None:
            options["origin"] = self.kernel.origin
        made = prepare(_batch(planes, values.ndim), values[None, None], **options)
        dtype = made.plan.spec.dtype
        # Photos stay in the type of the arithmetic: exact integers need no 64 bits here.
        return replace(made, result_type="float64" if dtype == "int64" else dtype) if self.photo else made

    def first(self, samples: Samples, alpha: bool) -> Convolution:
        """Plan the first convolution of the colours of an image, of which `respond` is given `samples`."""
        outside = self.outside
        if alpha and self.options.alpha != "filter":
            samples = replace(samples, shape=(samples.shape[0] - 1, *samples.shape[1:]))
        if alpha and self.options.alpha == "premultiply":
            largest = samples.largest * samples.opacity
            samples = replace(samples, dtype=premultiplied_type(samples.dtype), largest=largest)
            outside *= self.border_value
        sample, scale = np.array([samples.largest], samples.dtype), 1
        if self._steps:
            sample, scale = _in_steps(sample)
        return self.prepare(np.broadcast_to(sample[0], samples.shape), outside=outside * scale)

    def respond(self, planes: Array, alpha: bool, first: Convolution) -> Array:
        """Apply the kernel as often as is asked for; `first` is planned before."""
        for number in range(self.options.repeat):
            planes = self._once(planes, alpha, None if number else first)
        return planes

    def in_one_go(self, planes: Array, alpha: bool) -> bool:
        """Whether every sample of the output is made of one sample of the result alone."""
        flat = self.photo and planes.ndim == 3 and self.kernel.values.ndim == 2
        stepped = self.options.linear and self._steps  # light is rounded to steps first
        once = self.options.repeat == 1 and self.options.range != "minmax"
        return flat and not (alpha or stepped) and once

    @property
    def _steps(self) -> bool:
        """Whether intermediate results are rounded to steps: those of integer photos and kernels."""
        return self.photo and self.kernel.values.dtype.kind == "i" and self.source_type.kind in "ui"

    def respond_into(
        self, planes: Array, first: Convolution, dtype: np.dtype[Any], rule: str, *, snap: bool
    ) -> tuple[Array, int]:
        """Filter an image `in_one_go`: no more than a few tiles of results are held at a time.

        Return (channels, height, width), the colours of a pixel next to each other as in a file, and how many
        samples were clipped. `dtype`, `rule` and `snap` are those of `convcli.images.colour.finish`.
        """
        spec = first.plan.spec
        light, absolute = self.options.linear, rule == "abs"
        divisor, bias = float(self.kernel.divisor), float(self.bias)

        def finish(tile: Array, target: Array) -> int:
            if light:
                tile[...] = from_linear(tile / divisor + bias, white(self.source_type))
                return store(tile, target, absolute=absolute, snap=snap)
            return store(tile, target, divisor=divisor, bias=bias, absolute=absolute, snap=snap)

        output = np.moveaxis(np.empty((*spec.output_shape, spec.batch), dtype), -1, 0)
        return output, first.compute_into(planes[:, None], output[:, None], finish)

    def _once(self, planes: Array, alpha: bool, first: Convolution | None) -> Array:
        if not alpha or self.options.alpha == "filter":
            return self._rescaled(self._convolve(planes, made=first))
        colour, opacity = planes[:-1], planes[-1:]
        if self.options.alpha == "ignore":
            return np.concatenate([self._rescaled(self._convolve(colour, made=first)), self._placed(opacity)])
        scale = self._opacity(opacity.dtype)
        products = premultiply(colour, opacity)
        outside = self.outside * self.border_value
        product = self._convolve(products, outside=outside, made=first)
        product = product / self.kernel.divisor
        gain = float(self.kernel.values.sum()) / self.kernel.divisor
        if abs(gain) <= 1e-9 * float(np.abs(self.kernel.weights).sum()):
            # An edge detector: opacity weighs the colours and stays as it is.
            return np.concatenate([product / scale + self.bias, self._placed(opacity)])
        outside = self.border_value
        covered = self._convolve(opacity, outside=outside) / (self.kernel.divisor * gain)
        # Half a level rounds to none. Steps keep the last bits, which differ by backend, out of it.
        visible = np.rint(covered * (255 / scale * STEPS)) > STEPS / 2
        colour = np.where(visible, product / covered, 0) + self.bias
        return np.concatenate([colour, covered])

    def _opacity(self, dtype: np.dtype[Any]) -> float:
        """Sample value of full opacity."""
        return white(dtype if dtype.kind in "ui" else self.source_type)

    @property
    def border_value(self) -> float:
        """Value of the border as it was given, 0 by default."""
        return self.options.border_value or 0

    @property
    def outside(self) -> float:
        """The border value on the scale of the colours, which may be light."""
        value = self.border_value
        if not self.options.linear:
            return value
        scale = white(self.source_type)
        return float(to_linear(np.array([value / scale]))[0]) * scale

    def _convolve(
        self,
        planes: Array,
        values: Array | None = None,
        outside: float | None = None,
        made: Convolution | None = None,
    ) -> Array:
        scale = 1
        if self._steps:
            planes, scale = _in_steps(planes)
        if made is None or made.image_type != planes.dtype:
            made = self.prepare(planes, values, (self.outside if outside is None else outside) * scale)
        axes = len(made.plan.spec.kernel_shape)
        result = made.compute(_batch(planes, axes))
        if scale != 1:
            result /= scale
        return result.reshape(*planes.shape[: planes.ndim - axes], *result.shape[2:])

    @property
    def bias(self) -> float:
        """Value that is added to the colours, in sample units."""
        if self.options.bias is None:
            return self.kernel.bias
        return self.options.bias * (
            white(self.source_type) / 100 if isinstance(self.options.bias, Percent) else 1.0
        )

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
        values = np.zeros(self.kernel.values.shape, dtype=np.int64)
        asked = self.options.origin if self.options.origin is not None else self.kernel.origin
        origin = ConvSpec(values.shape, values.shape, origin=asked).origin
        assert isinstance(origin, tuple)
        values[origin] = 1
        return self._convolve(opacity, values, self.border_value)


def engine_options(options: Filter) -> dict[str, Any]:
    """Return the options that the engine knows by the same names."""
    known = {f.name: getattr(options, f.name) for f in fields(Options) if hasattr(options, f.name)}
    return known | {"border_value": options.border_value or 0}


def _batch(planes: Array, axes: int) -> Array:
    """View planes (..., *spatial) as a batch of one channel each."""
    split = planes.ndim - axes
    return planes.reshape(math.prod(planes.shape[:split]), 1, *planes.shape[split:])


def _in_steps(planes: Array) -> tuple[Array, int]:
    """Round floats of an earlier pass to integers on a fixed grid, on which every backend is exact."""
    if planes.dtype.kind != "f":
        return planes, 1
    stepped = np.rint(planes * STEPS)
    if not np.abs(stepped).max(initial=0) < 2**31:  # NaN too
        return planes, 1
    return stepped.astype(np.int64 if stepped.dtype == np.float64 else np.int32), STEPS
