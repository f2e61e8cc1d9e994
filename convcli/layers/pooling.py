"""Pooling: the largest sample of every window, or the mean."""

import functools
import math

import numpy as np
from numpy.typing import ArrayLike

from convcli.arithmetic.sizes import transposed_size, window_count
from convcli.arrays.borders import refuse_wide_borders
from convcli.arrays.library import Array
from convcli.errors import UsageError
from convcli.layers.checks import image_of
from convcli.layers.geometry import Padding, Pairs, Sizes, resolve
from convcli.spec import Axis, ConvSpec, PerAxis, per_axis, span
from convcli.text import shape_text


def max_pool(
    x: ArrayLike,
    kernel_shape: Sizes,
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
) -> Array:
    """Take the largest sample of every window.

    y[n, c, i] = max_m x[n, c, s·i + d·m − p] over the cells m of the window that lie inside the image.

    Parameters
    ----------
    x : (N, C, *spatial) array of real numbers
    kernel_shape : int or tuple of int
        Cells of the window, per spatial axis.
    stride : int or tuple of int, optional
        `kernel_shape` by default.
    padding : int, tuple of int or str
        As for `conv`; less than the window on either side. It never wins.
    dilation : int or tuple of int
    ceil_mode : bool
        Keep a last window that is cut off by the end, if it begins inside the image or the padding before it.

    Returns
    -------
    (N, C, *output) array
        Of the type of `x`, except that 16-bit floats become 32-bit ones and bool becomes uint8. NaN wins
        over every number; a dilated window that meets no sample gives the least number of the type.

    Raises
    ------
    UsageError
        For shapes or options that contradict each other.

    Examples
    --------
    >>> max_pool([[[3, 1, 4, 1, 5, 9, 2]]], 2)
    array([[[3, 4, 9]]])
    >>> max_pool([[[3, 1, 4, 1, 5, 9, 2]]], 2, ceil_mode=True)
    array([[[3, 4, 9, 2]]])
    """
    image = image_of(x)
    least = -np.inf if image.dtype.kind == "f" else np.iinfo(image.dtype).min
    spec, _ = _windows(image, kernel_shape, stride, padding, dilation, ceil_mode)
    return _reduced(image, spec, np.maximum, least)


def avg_pool(
    x: ArrayLike,
    kernel_shape: Sizes,
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """Take the mean of every window.

    y[n, c, i] = (1/D_i) Σ_m x[n, c, s·i + d·m − p], where D_i counts the cells of window i inside image
    and padding, or inside the image alone.

    Parameters
    ----------
    x : (N, C, *spatial) array of real numbers
    kernel_shape, stride, padding, dilation, ceil_mode
        As for `max_pool`.
    count_include_pad : bool
        Whether zeros of the padding count; what lies beyond the padding never does.

    Returns
    -------
    (N, C, *output) array
        Of the floats of `x`, 16-bit ones made 32-bit, or float64 for integers, whose sums are exact. A
        dilated window that has nothing to count gives NaN.

    Raises
    ------
    UsageError
        For shapes or options that contradict each other, and for sums beyond 64-bit integers.

    Examples
    --------
    >>> avg_pool([[[3, 1, 4, 1, 5, 9, 2]]], 2, padding=1)
    array([[[1.5, 2.5, 3. , 5.5]]])
    >>> avg_pool([[[3, 1, 4, 1, 5, 9, 2]]], 2, padding=1, count_include_pad=False)
    array([[[3. , 2.5, 3. , 5.5]]])
    """
    image = image_of(x)
    spec, counted = _windows(image, kernel_shape, stride, padding, dilation, ceil_mode)
    if image.dtype.kind != "f":
        image = _summable(image, math.prod(spec.kernel_shape))
    sums = _reduced(image, spec, np.add, 0)
    inside = counted if count_include_pad else ((0, 0),) * len(spec.axes)
    counts = [_counts(axis, *pair) for axis, pair in zip(spec.axes, inside, strict=True)]
    divisor = functools.reduce(np.multiply.outer, counts)
    with np.errstate(invalid="ignore"):
        return np.divide(sums, divisor, dtype=sums.dtype if sums.dtype.kind == "f" else np.float64)


def _summable(image: Array, cells: int) -> Array:
    """Return integers as int64, unless a window of them may sum up to more than that holds."""
    largest = max(int(image.max(initial=0)), -int(image.min(initial=0)))
    if largest * cells > np.iinfo(np.int64).max:
        raise UsageError(
            f"the sum of {cells} samples up to {largest} may be beyond 64-bit integers; "
            "convert the image to float64"
        )
    return image.astype(np.int64, copy=False)


def _reduced(image: Array, spec: ConvSpec, combine: np.ufunc, outside: float) -> Array:
    """Combine the samples of every window, axis by axis: a box is the row of its columns."""
    sides = [(max(axis.before, 0), max(axis.after, 0)) for axis in spec.axes]
    if any(map(any, sides)):
        image = np.pad(image, [(0, 0), (0, 0), *sides], constant_values=np.asarray(outside, image.dtype))
    for number, axis in enumerate(spec.axes, 2):
        lead, reach = (slice(None),) * number, (axis.output - 1) * axis.stride + 1
        first, *rest = (
            image[(*lead, slice(start, start + reach, axis.stride))]
            for start in range(0, axis.extent, axis.dilation)
        )
        image = first.copy()
        with np.errstate(all="ignore"):  # what overflows is infinite
            for cells in rest:
                combine(image, cells, out=image)
    return image


def _counts(axis: Axis, before: int, after: int) -> Array:
    """Count the cells of every window along an axis that lie in the image or that near to it."""
    first = np.arange(axis.output) * axis.stride - axis.before
    below, above = (
        np.clip(-((first - end) // axis.dilation), 0, axis.taps) for end in (-before, axis.size + after)
    )
    return np.asarray(above - below)


def _windows(
    image: Array, cells: Sizes, stride: PerAxis | None, padding: Padding, dilation: PerAxis, ceil: bool
) -> tuple[ConvSpec, Pairs]:
    """Work out the windows, the padding going as far as the last of them; and the padding as given."""
    sizes = image.shape[2:]
    taps = per_axis(cells, len(sizes), "kernel shape", 1)
    strides, dilations, pairs = resolve(sizes, taps, taps if stride is None else stride, padding, dilation)
    extents = tuple(map(span, taps, dilations))
    if any(max(pair) >= extent for pair, extent in zip(pairs, extents, strict=True)):
        raise UsageError(
            f"padding {padding} is as wide as the window {shape_text(extents)}, which would then see "
            "nothing else; use less"
        )
    reach = tuple(map(_rounded_up, sizes, extents, strides, pairs)) if ceil else pairs
    spec = ConvSpec(sizes, taps, op="correlate", stride=strides, dilation=dilations, padding=reach)
    refuse_wide_borders(spec)
    return spec, pairs


def _rounded_up(size: int, extent: int, stride: int, padding: tuple[int, int]) -> tuple[int, int]:
    """Padding as far as the last window goes that begins inside the image or the padding before it."""
    before, after = padding
    count = window_count(size, padding, extent, stride, ceil=True)
    return before, max(after, transposed_size(count, extent, stride) - before - size)
