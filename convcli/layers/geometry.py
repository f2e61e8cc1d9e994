"""Shapes of layers: what padding, stride and dilation make of an image."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from convcli.arithmetic.sizes import halved, transposed_size
from convcli.errors import UsageError
from convcli.spec import ConvSpec, PerAxis, Shape, choose, paddings, per_axis, span
from convcli.text import shape_text

Sizes = int | Iterable[int]
Padding = str | Sizes
Pairs = tuple[tuple[int, int], ...]

PADDING_NAMES = ("valid", "same", "same-upper", "same-lower")


def padding_pairs(padding: Padding, totals: Sequence[int], stride: Sequence[int]) -> Pairs:
    """Write padding as (before, after) per axis; names with ``same`` share out the totals.

    >>> padding_pairs((0, 1, 2, 3), (0, 0), (1, 1))
    ((0, 2), (1, 3))
    >>> padding_pairs("same-lower", (3, 2), (2, 2))
    ((2, 1), (1, 1))
    """
    if not isinstance(padding, str):
        return paddings(padding, len(totals))
    name = choose(padding, PADDING_NAMES, "padding")
    if name == "same" and max(stride) > 1:
        raise UsageError(
            f'padding "same" goes with stride 1, not {shape_text(stride)}; use "same-upper" or "same-lower"'
        )
    if name == "valid":
        return ((0, 0),) * len(totals)
    return tuple(halved(total, more_first=name == "same-lower") for total in totals)


def resolve(
    image_shape: Shape, kernel_shape: Shape, stride: PerAxis, padding: Padding, dilation: PerAxis
) -> tuple[Shape, Shape, Pairs]:
    """Return stride, dilation and padding per axis."""
    axes = len(image_shape)
    strides = per_axis(stride, axes, "stride", 1)
    dilations = per_axis(dilation, axes, "dilation", 1)
    totals = [
        max(transposed_size(-(-n // s), span(k, d), s) - n, 0)
        for n, k, s, d in zip(image_shape, kernel_shape, strides, dilations, strict=True)
    ]
    return strides, dilations, padding_pairs(padding, totals, strides)


def geometry(
    image_shape: Shape, kernel_shape: Shape, stride: PerAxis, padding: Padding, dilation: PerAxis
) -> ConvSpec:
    """Work out a layer's axes from what its caller wrote, or refuse what contradicts itself."""
    strides, dilations, pairs = resolve(image_shape, kernel_shape, stride, padding, dilation)
    return ConvSpec(
        image_shape, kernel_shape, op="correlate", stride=strides, dilation=dilations, padding=pairs
    )


class Enlarged(NamedTuple):
    """A transposed convolution's axes, each with one number per spatial axis."""

    stride: Shape
    dilation: Shape
    ahead: Shape  # samples cut off at the beginning; negative: zeros added
    output: Shape  # samples kept after those


def transposed_geometry(
    image_shape: Shape,
    kernel_shape: Shape,
    stride: PerAxis,
    padding: Padding,
    output_padding: PerAxis,
    dilation: PerAxis,
    output_shape: Sizes | None = None,
) -> Enlarged:
    """Work out the axes of a transposed convolution, or refuse what contradicts itself or leaves nothing.

    >>> transposed_geometry((5, 6), (3, 2), 2, 1, 0, 1)
    Enlarged(stride=(2, 2), dilation=(1, 1), ahead=(1, 1), output=(9, 10))
    """
    axes = len(image_shape)
    strides, dilations = per_axis(stride, axes, "stride", 1), per_axis(dilation, axes, "dilation", 1)
    extra = per_axis(output_padding, axes, "output padding", 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, strides, dilations, strict=True)):
        raise UsageError(
            f"output padding {shape_text(extra)} is not below stride {shape_text(strides)} or dilation "
            f"{shape_text(dilations)}; use less, or a larger stride"
        )
    wanted = None if output_shape is None else per_axis(output_shape, axes, "output shape", 1)
    uncut = [
        transposed_size(n, span(k, d), s) + e
        for n, k, s, d, e in zip(image_shape, kernel_shape, strides, dilations, extra, strict=True)
    ]
    return Enlarged(strides, dilations, *_cut(uncut, image_shape, strides, padding, wanted))


def _cut(
    uncut: list[int], sizes: Shape, stride: Shape, padding: Padding, wanted: Shape | None
) -> tuple[Shape, Shape]:
    """Samples cut off at the beginning, and the shape of what is left."""
    pairs = padding_pairs(padding, [n - m for n, m in zip(uncut, sizes, strict=True)], stride)
    by_name = isinstance(padding, str) and padding in ("same-upper", "same-lower")
    if wanted is not None and not by_name and any(map(any, pairs)):
        raise UsageError(
            f"padding {padding} and output_shape {shape_text(wanted)} do not go together, for one follows "
            'from the other; leave one out, or use padding "same-upper" or "same-lower"'
        )
    if by_name and wanted is None:
        wanted = tuple(n * s for n, s in zip(sizes, stride, strict=True))
    if wanted is not None:
        more_first = padding != "same-upper"
        cut = (halved(n - m, more_first=more_first)[0] for n, m in zip(uncut, wanted, strict=True))
        return tuple(n if by_name else max(n, 0) for n in cut), wanted
    output = tuple(n - sum(pair) for n, pair in zip(uncut, pairs, strict=True))
    if min(output) < 1:
        raise UsageError(
            f"padding {padding} cuts the result {shape_text(uncut)} down to {shape_text(output)}; use less"
        )
    return tuple(before for before, _ in pairs), output
