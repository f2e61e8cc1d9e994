"""Shapes of layers: what padding, stride and dilation make of an image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from convcli.errors import UsageError
from convcli.spec import ConvSpec, PerAxis, choose, paddings, per_axis, shape_text

Padding = int | str | Iterable[int]
Pairs = tuple[tuple[int, int], ...]

PADDING_NAMES = ("valid", "same", "same-upper", "same-lower")


def padding_pairs(padding: Padding, totals: Sequence[int], stride: Sequence[int]) -> Pairs:
    """Write padding as (before, after) per spatial axis.

    Parameters
    ----------
    padding : int, iterable of int or str
        One number, one per axis, all begins and then all ends, or a name of `PADDING_NAMES`.
    totals : one int per axis
        What the names with ``same`` share out between both sides.
    stride : one int per axis
        ``same`` goes with stride 1.

    Raises
    ------
    UsageError
        For anything else.

    Examples
    --------
    >>> padding_pairs((0, 1, 2, 3), (0, 0), (1, 1))
    ((0, 2), (1, 3))
    >>> padding_pairs("same-lower", (3, 2), (2, 2))
    ((2, 1), (1, 1))
    """
    axes = len(totals)
    if isinstance(padding, str):
        name = choose(padding, PADDING_NAMES, "padding")
        if name == "same" and max(stride) > 1:
            raise UsageError(
                f'padding "same" goes with stride 1, not {shape_text(stride)}; '
                'use "same-upper" or "same-lower"'
            )
        if name == "valid":
            return ((0, 0),) * axes
        return tuple(shared(total, name) for total in totals)
    return paddings(padding, axes)


def shared(total: int, name: str) -> tuple[int, int]:
    """Halve a total; an odd sample goes to the end, for ``same-lower`` to the beginning.

    >>> shared(3, "same"), shared(3, "same-lower")
    ((1, 2), (2, 1))
    """
    less, more = total // 2, total - total // 2
    return (more, less) if name == "same-lower" else (less, more)


def resolve(
    image_shape: tuple[int, ...],
    kernel_shape: tuple[int, ...],
    stride: PerAxis,
    padding: Padding,
    dilation: PerAxis,
) -> tuple[tuple[int, ...], tuple[int, ...], Pairs]:
    """Return stride, dilation and padding per axis.

    >>> resolve((5, 6), (3, 2), 2, "same-upper", 1)
    ((2, 2), (1, 1), ((1, 1), (0, 0)))
    """
    axes = len(image_shape)
    strides = per_axis(stride, axes, "stride", 1)
    dilations = per_axis(dilation, axes, "dilation", 1)
    totals = [
        max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        for n, k, s, d in zip(image_shape, kernel_shape, strides, dilations, strict=True)
    ]
    return strides, dilations, padding_pairs(padding, totals, strides)


def geometry(
    image_shape: tuple[int, ...],
    kernel_shape: tuple[int, ...],
    stride: PerAxis,
    padding: Padding,
    dilation: PerAxis,
) -> ConvSpec:
    """Work out a layer's axes from what its caller wrote.

    Parameters
    ----------
    image_shape, kernel_shape : tuple of int
        Spatial.
    stride, padding, dilation
        As in `convcli.layers.conv`.

    Returns
    -------
    ConvSpec
        With stride, dilation and padding per axis.

    Raises
    ------
    UsageError
        If they contradict each other, or no window fits.

    Examples
    --------
    >>> geometry((5, 6), (3, 2), 2, "same-upper", 1).output_shape
    (3, 3)
    """
    strides, dilations, pairs = resolve(image_shape, kernel_shape, stride, padding, dilation)
    return ConvSpec(
        image_shape=image_shape,
        kernel_shape=kernel_shape,
        op="correlate",
        stride=strides,
        dilation=dilations,
        padding=pairs,
    )
