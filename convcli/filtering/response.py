"""The response of an image to one kernel: divisor, bias, transparency, repetition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convcli.arrays.library import Array
from convcli.engine.problem import Convolution, prepare
from convcli.errors import UsageError
from convcli.filtering.options import Filter, Percent
from convcli.images.colour import from_linear, premultiply, store, to_linear, top
from convcli.kernels import Kernel
from convcli.text import shape_text

STEPS = 4096
"""Steps per sample value to which the intermediate results of integer kernels are rounded."""


@dataclass(frozen=True)
class Response:
    """One kernel, to be applied to the planes of one image.

    Attributes
    ----------
    kernel : Kernel
    how : Filter
    source_type : data-type
        Of the image's samples as they were read.
    photo : bool
        Samples are brightness.
    """

    kernel: Kernel
    how: Filter
    source_type: np.dtype[Any]
    photo: bool

    def prepare(
        self, planes: Array, values: Array | None = None, outside: float | None = None
    ) -> Convolution:
        """Plan the convolution of all planes, (..., *spatial).

        Parameters
        ----------
        values : array, optional
            In place of the kernel's.
        outside : float, optional
            In place of the border value, for planes on a scale of their own.
        """
        values = self.kernel.values if values is None else values
        split = planes.ndim - values.ndim
        if split < 0:
            raise UsageError(
                f"an array {shape_text(planes.shape) or 'of one number'} has {planes.ndim} axes for a kernel "
                f"with {values.ndim}; use a kernel with at most as many"
            )
        how = self.how
        problem = prepare(
            planes.reshape(int(np.prod(planes.shape[:split])), 1, *planes.shape[split:]),
            values[None, None],
            mode=how.mode,
            border=how.border,
            border_value=self.outside if outside is None else outside,
            op=how.op,
            origin=how.origin if how.origin is not None else self.kernel.origin,
            stride=how.stride,
            dilation=how.dilation,
            nan=how.nan,
            precision=how.precision,
            backend=how.backend,
            threads=how.threads,
            max_memory=how.max_memory,
        )
        dtype = problem.plan.spec.dtype
        # Photos stay in the type of the arithmetic: exact integers need no 64 bits here.
        return (
            replace(problem, result_type="float64" if dtype == "int64" else dtype) if self.photo else problem
        )

    def respond(self, planes: Array, alpha: bool) -> Array:
        """Apply the kernel as often as is asked for.

        Parameters
        ----------
        planes : (channels, height, width) array, or any array
        alpha : bool
            The last plane is alpha.

        Returns
        -------
        array with the leading axes of `planes`
        """
        for _ in range(self.how.repeat):
            planes = self._once(planes, alpha)
        return planes

    def in_one_go(self, planes: Array, alpha: bool) -> bool:
        """Whether every sample of the output is made of one sample of the result alone."""
        flat = self.photo and planes.ndim == 3 and self.kernel.values.ndim == 2
        stepped = self.how.linear and self._exact  # light is rounded to steps first
        return flat and not (alpha or stepped) and self.how.repeat == 1 and self.how.range != "minmax"

    @property
    def _exact(self) -> bool:
        """Whether whole numbers meet whole numbers."""
        return self.kernel.values.dtype.kind == "i" and self.source_type.kind in "ui"

    def respond_into(
        self, problem: Convolution, dtype: np.dtype[Any], rule: str, *, snap: bool
    ) -> tuple[Array, int]:
        """Filter an image `in_one_go`: no more than a few tiles of results are held at a time.

        Parameters
        ----------
        problem : Convolution
            As `prepare` made it.
        dtype, rule, snap
            As in `convcli.images.colour.finish`.

        Returns
        -------
        (channels, height, width) array of `dtype`, and how many samples were clipped
            The colours of a pixel lie next to each other, as in a file.
        """
        spec = problem.plan.spec
        light, absolute = self.how.linear, rule == "abs"
        divisor, bias = float(self.kernel.divisor), float(self.bias)

        def finish(tile: Array, target: Array) -> int:
            if light:
                tile[...] = from_linear(tile / divisor + bias, top(self.source_type))
                return store(tile, target, absolute=absolute, snap=snap)
            return store(tile, target, divisor=divisor, bias=bias, absolute=absolute, snap=snap)

        output = np.moveaxis(np.empty((*spec.output_shape, spec.batch), dtype), -1, 0)
        return output, problem.compute_into(output[:, None], finish)

    def _once(self, planes: Array, alpha: bool) -> Array:
        if not alpha or self.how.alpha == "filter":
            return self._rescaled(self._convolve(planes))
        colour, opacity = planes[:-1], planes[-1:]
        if self.how.alpha == "ignore":
            return np.concatenate([self._rescaled(self._convolve(colour)), self._placed(opacity)])
        scale = top(opacity.dtype if opacity.dtype.kind in "ui" else self.source_type)
        products = premultiply(colour, opacity)
        product = self._convolve(products, outside=self.outside * self.how.border_value) / self.kernel.divisor
        gain = float(self.kernel.values.sum()) / self.kernel.divisor
        if abs(gain) <= 1e-9 * float(np.abs(self.kernel.weights).sum()):
            # An edge detector: opacity weighs the colours and stays as it is.
            return np.concatenate([product / scale + self.bias, self._placed(opacity)])
        covered = self._convolve(opacity, outside=self.how.border_value) / (self.kernel.divisor * gain)
        # Half a level rounds to none. Steps keep the last bits, which differ by backend, out of it.
        visible = np.rint(covered * (255 / scale * STEPS)) > STEPS / 2
        colour = np.where(visible, product / covered, 0) + self.bias
        return np.concatenate([colour, covered])

    @property
    def outside(self) -> float:
        """The border value on the scale of the colours, which may be light."""
        value = self.how.border_value
        if not self.how.linear:
            return value
        scale = top(self.source_type)
        return float(to_linear(np.array([value / scale]))[0]) * scale

    def _convolve(self, planes: Array, values: Array | None = None, outside: float | None = None) -> Array:
        scale = 1
        outside = self.outside if outside is None else outside
        if self.photo and self._exact:
            planes, scale = _in_steps(planes)
        problem = self.prepare(planes, values, outside * scale)
        result = problem.compute()
        if scale != 1:
            result /= scale
        axes = len(problem.plan.spec.kernel_shape)
        return result.reshape(*planes.shape[: planes.ndim - axes], *result.shape[2:])

    @property
    def bias(self) -> float:
        """What is added to the colours, in sample units."""
        if self.how.bias is None:
            return self.kernel.bias
        return self.how.bias * (top(self.source_type) / 100 if isinstance(self.how.bias, Percent) else 1.0)

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
        origin = self.prepare(opacity).plan.spec.origin
        assert isinstance(origin, tuple)
        values[origin] = 1
        return self._convolve(opacity, values, self.how.border_value)


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
