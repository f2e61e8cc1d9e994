"""Borders: where each sample of a padded image comes from."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.arrays.library import Array, array_module
from convcli.errors import LimitError
from convcli.spec import BORDERS, CONSTANT_BORDERS, ConvSpec
from convcli.text import shape_text

Positions = NDArray[np.intp]
Region = tuple[slice, ...]
OUTSIDE = -1

LONGEST_BORDER = 2**26  # samples


def border_index(size: int, before: int, after: int, border: str) -> NDArray[np.intp]:
    """Image position that each sample of a padded axis is copied from; -1 where the border is a constant.

    `before` and `after` count the samples added to `size` of the image; negative numbers crop.
    """
    return border_positions(np.arange(-before, size + after), size, border)


def border_positions(wanted: Positions, size: int, border: str) -> Positions:
    """Image positions that stand for `wanted` ones, which may lie outside ``range(size)``."""
    if border in CONSTANT_BORDERS:
        return np.where((wanted >= 0) & (wanted < size), wanted, OUTSIDE)
    return RULES[border](wanted, size)


def _folded(wanted: Positions, period: int, last: int) -> Positions:
    """Count up to the middle of a period, and back from `last`."""
    i = wanted % period
    return np.minimum(i, last - i)


# The position in the image that stands for one outside, by border that is not constant.
RULES: dict[str, Callable[[Positions, int], Positions]] = {
    "nearest": lambda wanted, size: np.clip(wanted, 0, size - 1),
    "wrap": lambda wanted, size: wanted % size,
    "symmetric": lambda wanted, size: _folded(wanted, 2 * size, 2 * size - 1),
    "mirror": lambda wanted, size: _folded(wanted, max(2 * size - 2, 1), max(2 * size - 2, 1)),
}

for _name in set(RULES) ^ (set(BORDERS) - set(CONSTANT_BORDERS)):
    raise ImportError(f"border {_name} has no rule in {__name__}, or convcli.spec does not know it")


def border_indices(spec: ConvSpec) -> list[NDArray[np.intp]]:
    """`border_index` for every spatial axis of `spec`."""
    return [border_index(a.size, a.before, a.after, spec.border) for a in spec.axes]


def refuse_wide_borders(spec: ConvSpec) -> None:
    """Refuse what is nearly all border: where each sample comes from takes 8 bytes."""
    for axis in spec.axes:
        if axis.padded > max(LONGEST_BORDER, 4 * axis.size):
            raise LimitError(
                f"image {shape_text(spec.image_shape)} with its border has {shape_text(spec.padded_shape)} "
                "samples; use a smaller kernel or dilation, or --mode valid"
            )


def covered(
    marked: Array, spec: ConvSpec, indices: list[Positions], border: bool, region: Region | None = None
) -> Array:
    """Outputs whose kernel footprint touches a sample of `marked` (..., *spatial): (..., *output) of bool.

    The footprint is all cells of the kernel, those of value zero too, so the answer is the same on every
    backend. `indices` are those of `border_indices`, `border` tells whether a constant border counts as
    marked, and `region` the outputs that are wanted, all by default.
    """
    result = marked
    lib = array_module(marked)
    parts = region or (slice(None),) * len(spec.axes)
    axes = zip(spec.axes, indices, parts, strict=True)
    for number, (axis, index, part) in enumerate(axes, marked.ndim - len(spec.axes)):
        outputs = range(axis.output)[part]
        padded = result.take(lib.to_device(np.maximum(index, 0)), axis=number)
        before: tuple[Any, ...] = (slice(None),) * number
        padded[(*before, lib.to_device(index == OUTSIDE))] = border
        shape = (*result.shape[:number], len(outputs), *result.shape[number + 1 :])
        result = lib.xp.zeros(shape, dtype=bool)
        for tap in range(axis.taps):
            start = outputs.start * axis.stride + tap * axis.dilation
            stop = start + (len(outputs) - 1) * axis.stride + 1
            result |= padded[(*before, slice(start, stop, axis.stride))]
    return result
