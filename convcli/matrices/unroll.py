"""im2col and its inverse, col2im: an image as the matrix of its patches, and patches added up to an image."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convcli.arrays.borders import refuse_wide_borders
from convcli.arrays.library import Array
from convcli.arrays.samples import samples_of
from convcli.errors import UsageError
from convcli.matrices.build import ORDERS, cell_names, in_order
from convcli.matrices.col2im import put_back
from convcli.matrices.im2col import LAYOUTS, Unrolled
from convcli.spec import ConvSpec, PerAxis, choose, paddings, shape_of

REDUCTIONS = ("sum", "mean")


def unroll(
    image: ArrayLike,
    kernel_shape: int | Iterable[int],
    *,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    padding: PerAxis = 0,
    border: str = "zero",
    layout: str = "rows",
) -> Array:
    """Unroll an image to the matrix of its patches: im2col.

    A patch is what lies under the kernel at one position, as it lies in the image. So the matrix times
    the flattened kernel is the correlation with that kernel; for a convolution, turn the kernel round.

    Parameters
    ----------
    image : (*spatial) or (channels, *spatial) array of real numbers
        1 to 3 spatial axes.
    kernel_shape : int or tuple of int
        Cells per spatial axis; an int for one axis.
    stride, dilation : int or tuple of int
        Distance of positions, and of a patch's samples.
    padding : int or tuple of int
        Samples added around the image: one number, one per axis, or all begins and then all ends.
    border : str
        What those samples are: ``zero`` (``constant`` is the same here), ``nearest``, ``symmetric``,
        ``mirror`` or ``wrap``, and their aliases.
    layout : {"rows", "columns"}
        One patch per row, or one per column as ``torch.nn.Unfold`` has it.

    Returns
    -------
    (positions, channels * cells) array, or its transpose
        Of the image's type. Positions, channels and cells are in row-major order.

    Raises
    ------
    UsageError
        For options or shapes that contradict each other.
    LimitError
        If the matrix is more than memory can hold.

    References
    ----------
    Chellapilla, Puri and Simard (2006), "High performance convolutional neural networks for document
    processing".

    Examples
    --------
    >>> unroll([[1, 2, 3], [4, 5, 6]], (2, 2))
    array([[1, 2, 4, 5],
           [2, 3, 5, 6]])
    >>> unroll([1, 2, 3], 3, padding=1, layout="columns")
    array([[0, 1, 2],
           [1, 2, 3],
           [2, 3, 0]])
    """
    matrix = unrolled(
        image, kernel_shape, padding=padding, border=border, stride=stride, dilation=dilation, layout=layout
    )
    return matrix.rows(0, matrix.shape[0])


def fold(
    columns: ArrayLike,
    image_shape: int | Iterable[int],
    kernel_shape: int | Iterable[int],
    *,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    padding: PerAxis = 0,
    layout: str = "rows",
    reduce: str = "sum",
) -> Array:
    """Put patches back where `unroll` took them from: col2im.

    What falls on the padding is dropped.

    Parameters
    ----------
    columns : (positions, channels * cells) array of real numbers, or its transpose
        As `unroll` makes it.
    image_shape : int or tuple of int
        (*spatial) or (channels, *spatial) of the result.
    kernel_shape, stride, dilation, padding, layout
        As in `unroll`.
    reduce : {"sum", "mean"}
        What becomes of samples on which several patches lie. ``sum`` makes the adjoint of `unroll`
        under a border of zeros: ⟨unroll(x), y⟩ = ⟨x, fold(y)⟩. ``mean`` makes its inverse.

    Returns
    -------
    array of shape `image_shape`
        0 where no patch lies. A sum of integers is int64 (of uint64, uint64), a sum of floats has their
        type, float32 at least; a mean is float64.

    Raises
    ------
    UsageError
        For options or shapes that contradict each other.

    Examples
    --------
    >>> fold(unroll([1, 2, 3, 4], 2), 4, 2)
    array([1, 4, 6, 4])
    >>> fold(unroll([1, 2, 3, 4], 2), 4, 2, reduce="mean")
    array([1., 2., 3., 4.])
    """
    options: Any = {"stride": stride, "dilation": dilation, "padding": padding}
    return folded(columns, image_shape, kernel_shape, layout=layout, reduce=reduce, **options)


def unrolled(
    image: ArrayLike,
    kernel_shape: int | Iterable[int],
    *,
    mode: str = "valid",
    padding: PerAxis | None = None,
    border: str = "zero",
    border_value: float = 0,
    layout: str = "rows",
    order: str = "C",
    **options: Any,
) -> Unrolled:
    """Describe the matrix that `unroll` builds; `padding`, if given, goes before `mode`.

    For order F, column by column as MATLAB's im2col, the image of the result has its spatial axes reversed.

    >>> matrix = unrolled([[16, 2, 3], [5, 11, 10], [9, 7, 6]], (2, 2), layout="columns", order="F")
    >>> matrix.rows(0, 1)  # im2col(A, [2 2], "sliding")
    array([[16,  5,  2, 11]])
    """
    samples_of(image, "image")  # refuses what is not numbers
    samples = np.asarray(image)  # nothing is computed with: bool and float16 may stay
    taps = shape_of(kernel_shape, "kernel_shape")
    shape = _with_channels(samples.shape, len(taps), "image")
    spec = _patch_spec(shape[1:], taps, padding, order, mode=mode, border=border, **options)
    samples = in_order(samples.reshape(shape), order)
    fill = _fill_of(border_value, samples.dtype) if spec.border == "constant" else 0
    return Unrolled(samples, spec, choose(layout, LAYOUTS, "layout"), fill)


def folded(
    columns: ArrayLike,
    image_shape: int | Iterable[int],
    kernel_shape: int | Iterable[int],
    *,
    mode: str = "valid",
    padding: PerAxis | None = None,
    layout: str = "rows",
    order: str = "C",
    reduce: str = "sum",
    **options: Any,
) -> Array:
    """Do what `fold` does, for every matrix that `unrolled` describes."""
    taps = shape_of(kernel_shape, "kernel_shape")
    sizes = shape_of(image_shape, "image_shape")
    shape = _with_channels(sizes, len(taps), "image_shape")
    spec = _patch_spec(shape[1:], taps, padding, order, mode=mode, **options)
    choose(reduce, REDUCTIONS, "reduce")
    values = samples_of(columns, "columns")
    _check_fit(values.shape, shape, spec, choose(layout, LAYOUTS, "layout"))
    patches = values if layout == "rows" else values.T
    patches = patches.reshape(*spec.output_shape, shape[0], *spec.kernel_shape)
    total = put_back(patches, spec, mean=reduce == "mean")
    return in_order(total, order).reshape(sizes)


def _with_channels(shape: tuple[int, ...], axes: int, what: str) -> tuple[int, ...]:
    """Put one channel in front of a shape that has none."""
    if len(shape) not in (axes, axes + 1):
        raise UsageError(
            f"{what} {shape} has {len(shape)} axes for a kernel of {axes}; "
            f"it takes {axes}, or {axes + 1} with channels in front"
        )
    if len(shape) > axes and not shape[0]:
        raise UsageError(f"{what} {shape} has no channels; it needs at least one")
    return shape if len(shape) > axes else (1, *shape)


def _patch_spec(
    sizes: tuple[int, ...], taps: tuple[int, ...], padding: PerAxis | None, order: str, **options: Any
) -> ConvSpec:
    """Describe the correlation whose patches are meant; for order F, of the image turned over."""
    pairs = None if padding is None else paddings(padding, len(taps))
    spec = ConvSpec(sizes, taps, op="correlate", padding=pairs, **options)
    refuse_wide_borders(spec)
    return spec if choose(order, ORDERS, "order") == "C" else spec.reversed()


def _fill_of(value: float, dtype: np.dtype[Any]) -> float:
    """Refuse a border that the image's type would change."""
    if dtype.kind == "f":
        return float(value)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if not low <= value <= high or value != int(value):
        raise UsageError(
            f"border value {value} is not a sample of {dtype}; use a whole number from {low} to {high}, "
            "or an image of floats"
        )
    return int(value)


def _check_fit(given: tuple[int, ...], image: tuple[int, ...], spec: ConvSpec, layout: str) -> None:
    """Refuse columns that cannot have come from such an image."""
    sides = math.prod(spec.output_shape), image[0] * math.prod(spec.kernel_shape)
    expected = sides if layout == "rows" else sides[::-1]
    if given == expected:
        return
    other = LAYOUTS[1 - LAYOUTS.index(layout)]
    way = f"use layout {other}" if given == expected[::-1] else "check the shapes, stride and padding"
    raise UsageError(
        f"columns of shape {given} are not the {sides[0]} positions and {sides[1]} cells, {expected} in "
        f"layout {layout}, that the image and the kernel make; {way}"
    )


def sample_names(shape: tuple[int, ...], order: str = "C", letter: str = "x") -> list[str]:
    """Name every sample of an `Unrolled`'s image by row and column, from 1; channels come in front.

    >>> sample_names((1, 2, 2)), sample_names((1, 2, 2), "F")
    (['x11', 'x12', 'x21', 'x22'], ['x11', 'x21', 'x12', 'x22'])
    """
    spatial = shape[1:] if order == "C" else shape[:0:-1]
    planes = shape[:1] if shape[0] > 1 else ()
    names = np.array(cell_names(np.broadcast_to(0, (1, 1, *planes, *spatial)), letter=letter))
    result: list[str] = in_order(names.reshape(shape[0], *spatial), order).reshape(-1).tolist()
    return result
