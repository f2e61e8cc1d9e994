"""The response of an image to one kernel: divisor, bias, transparency, repetition."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convcli.arrays.library import Array
from convcli.engine.problem import Convolution, prepare
from convcli.errors import UsageError
from convcli.filtering.options import Filter, Percent
from convcli.images.colour import from_linear, premultiplied_type, premultiply, store, to_linear, white
from convcli.kernels import Kernel
from convcli.spec import ConvSpec
from convcli.text import shape_text

STEPS = 4096
"""Steps per sample value to which the intermediate results of integer kernels are rounded."""


ENGINE = (
    *("mode", "border", "border_value", "op", "origin", "stride", "dilation", "nan"),
    *("precision", "backend", "threads", "max_memory"),
)
"""Options that the engine knows by the same names."""


@dataclass(frozen=True)
class Samples:
    """Shape and type of an image, and a bound of its samples: all that a plan needs to know.

    Attributes
    ----------
    shape : tuple of int
    dtype : data-type
    largest : float
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    largest: float

    def array(self) -> Array:
        """Return an array of that shape and type that takes no memory."""
        return np.broadcast_to(np.array(self.largest, self.dtype), self.shape)


@dataclass(frozen=True)
class Response:
    """One kernel, to be applied to the planes of one image.

    Attributes
    ----------
    kernel : Kernel
    options : Filter
    source_type : data-type
        Type of the image's samples as they were read.
    photo : bool
        Samples are brightness.
    """

    kernel: Kernel
    options: Filter
    source_type: np.dtype[Any]
    photo: bool

    def prepare(
        self, planes: Array, values: Array | None = None, outside: float | None = None
    ) -> Convolution:
        """Plan the convolution of all planes, (..., *spatial).

        Parameters
        ----------
        values : array, optional
            Cells in place of the kernel's.
        outside : float, optional
            Value in place of the border value, for planes on a scale of their own.
        """
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

    def first(self, planes: Array, samples: Samples, alpha: bool) -> Convolution:
        """Plan the first convolution of the colours.

        Parameters
        ----------
        planes : array
            The image as it was read.
        samples : Samples
            What `respond` will be given.
        alpha : bool
            The last plane is alpha.
        """
        if not alpha and (samples.shape, samples.dtype) == (planes.shape, planes.dtype):
            return self.prepare(planes)
        outside = self.outside
        if alpha and self.options.alpha != "filter":
            samples = replace(samples, shape=(samples.shape[0] - 1, *samples.shape[1:]))
        if alpha and self.options.alpha == "premultiply":
            largest = samples.largest * self._opacity(samples.dtype)
            samples = replace(samples, dtype=premultiplied_type(samples.dtype), largest=largest)
            outside = self._outside_premultiplied
        stepped, scale = _in_steps(np.array([samples.largest], samples.dtype)) if self._steps else (None, 1)
        if stepped is not None:
            samples = replace(samples, dtype=stepped.dtype, largest=stepped[0])
        return self.prepare(samples.array(), outside=outside * scale)

    def respond(self, planes: Array, alpha: bool, first: Convolution) -> Array:
        """Apply the kernel as often as is asked for.

        Parameters
        ----------
        planes : (channels, height, width) array, or any array
        alpha : bool
            The last plane is alpha.
        first : Convolution
            As `first` planned it.

        Returns
        -------
        array with the leading axes of `planes`
        """
        planes = self._once(planes, alpha, first)
        for _ in range(self.options.repeat - 1):
            planes = self._once(planes, alpha, None)
        return planes

    def in_one_go(self, planes: Array, alpha: bool) -> bool:
        """Whether every sample of the output is made of one sample of the result alone."""
        flat = self.photo and planes.ndim == 3 and self.kernel.values.ndim == 2
        stepped = self.options.linear and self._exact  # light is rounded to steps first
        once = self.options.repeat == 1 and self.options.range != "minmax"
        return flat and not (alpha or stepped) and once

    @property
    def _steps(self) -> bool:
        """Whether intermediate results are rounded to steps."""
        return self.photo and self._exact

    @property
    def _exact(self) -> bool:
        """Whether whole numbers meet whole numbers."""
        return self.kernel.values.dtype.kind == "i" and self.source_type.kind in "ui"

    def respond_into(
        self, planes: Array, first: Convolution, dtype: np.dtype[Any], rule: str, *, snap: bool
    ) -> tuple[Array, int]:
        """Filter an image `in_one_go`: no more than a few tiles of results are held at a time.

        Parameters
        ----------
        planes, first
            As in `respond`.
        dtype, rule, snap
            As in `convcli.images.colour.finish`.

        Returns
        -------
        (channels, height, width) array of `dtype`, and how many samples were clipped
            The colours of a pixel lie next to each other, as in a file.
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
        product = self._convolve(products, outside=self._outside_premultiplied, made=first)
        product = product / self.kernel.divisor
        gain = float(self.kernel.values.sum()) / self.kernel.divisor
        if abs(gain) <= 1e-9 * float(np.abs(self.kernel.weights).sum()):
            # An edge detector: opacity weighs the colours and stays as it is.
            return np.concatenate([product / scale + self.bias, self._placed(opacity)])
        outside = self.options.border_value or 0
        covered = self._convolve(opacity, outside=outside) / (self.kernel.divisor * gain)
        # Half a level rounds to none. Steps keep the last bits, which differ by backend, out of it.
        visible = np.rint(covered * (255 / scale * STEPS)) > STEPS / 2
        colour = np.where(visible, product / covered, 0) + self.bias
        return np.concatenate([colour, covered])

    def _opacity(self, dtype: np.dtype[Any]) -> float:
        """Sample value of full opacity."""
        return white(dtype if dtype.kind in "ui" else self.source_type)

    @property
    def _outside_premultiplied(self) -> float:
        return self.outside * (self.options.border_value or 0)

    @property
    def outside(self) -> float:
        """The border value on the scale of the colours, which may be light."""
        value = self.options.border_value or 0
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
        return self._convolve(opacity, values, self.options.border_value or 0)


def engine_options(options: Filter) -> dict[str, Any]:
    """Return the options that the engine knows by the same names."""
    return {name: getattr(options, name) for name in ENGINE} | {"border_value": options.border_value or 0}


def _batch(planes: Array, axes: int) -> Array:
    """View planes (..., *spatial) as a batch of one channel each."""
    split = planes.ndim - axes
    return planes.reshape(math.prod(planes.shape[:split]), 1, *planes.shape[split:])


def _in_steps(planes: Array) -> tuple[Array, int]:
    """Round what an earlier pass left to a fixed grid, as integers.

    An integer kernel is exact on integers, on every backend, however often it is repeated; rounding
    by 1/8192 of a grey level is not seen.
    """
    if planes.dtype.kind != "f":
        return planes, 1
    stepped = np.rint(planes * STEPS)
    if not np.abs(stepped).max(initial=0) < 2**31:  # NaN too
        return planes, 1
    return stepped.astype(np.int64 if stepped.dtype == np.float64 else np.int32), STEPS
