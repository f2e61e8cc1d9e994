"""What unroll and fold are told, checked: shapes, padding, border, and whether columns fit an image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from convcli.arrays.borders import refuse_wide_borders
from convcli.arrays.library import Array
from convcli.errors import LimitError, UsageError
from convcli.matrices.build import ORDERS
from convcli.spec import ConvSpec, PerAxis, choose, paddings
from convcli.text import bytes_text, shape_text

LAYOUTS = ("rows", "columns")


def allocate(shape: tuple[int, ...], dtype: DTypeLike, what: str) -> Array:
    """Return an array with anything in it.

    Raises
    ------
    LimitError
        If memory cannot hold it.
    """
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError, OverflowError):  # the last two: beyond what an array can be
        size = bytes_text(math.prod(shape) * np.dtype(dtype).itemsize)
        raise LimitError(
            f"{what} {shape_text(shape)} of {np.dtype(dtype)} takes {size}, more than memory can hold; "
            "use a smaller image or kernel, or a larger stride"
        ) from None


def with_channels(shape: tuple[int, ...], axes: int, what: str) -> tuple[int, ...]:
    """Put one channel in front of a shape that has none."""
    if len(shape) not in (axes, axes + 1):
        raise UsageError(
            f"{what} {shape} has {len(shape)} axes for a kernel of {axes}; "
            f"it takes {axes}, or {axes + 1} with channels in front"
        )
    if len(shape) > axes and not shape[0]:
        raise UsageError(f"{what} {shape} has no channels; it needs at least one")
    return shape if len(shape) > axes else (1, *shape)


def patch_spec(
    sizes: tuple[int, ...], taps: tuple[int, ...], padding: PerAxis | None, order: str, **options: Any
) -> ConvSpec:
    """Describe the correlation whose patches are meant.

    For order F its spatial axes are reversed: column by column is row by row of the image turned over.
    """
    pairs = None if padding is None else paddings(padding, len(taps))
    spec = ConvSpec(sizes, taps, op="correlate", padding=pairs, **options)
    refuse_wide_borders(spec)
    if choose(order, ORDERS, "order") == "C":
        return spec
    return spec.reversed()


def fill_of(value: float, dtype: np.dtype[Any]) -> float:
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


def check_fit(given: tuple[int, ...], image: tuple[int, ...], spec: ConvSpec, layout: str) -> None:
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
