"""What samples of a photograph mean: brightness, light, transparency, range."""

from __future__ import annotations

from typing import Any

import numpy as np

from convcli.arrays import native
from convcli.arrays.gathering import rows_contiguous
from convcli.arrays.library import Array
from convcli.errors import UsageError
from convcli.spec import RANGES, choose

SNAP = 4096
LUMA = (0.2126, 0.7152, 0.0722)


def white(dtype: np.dtype[Any]) -> float:
    """Sample value of full brightness: 255, 65535, or 1.0 for floats."""
    return float(np.iinfo(dtype).max) if dtype.kind in "ui" else 1.0


def luma(planes: Array) -> Array:
    """Reduce RGB planes (3, height, width) to one of brightness, in the same type (ITU-R BT.709-6, item 3.2).

    >>> luma(np.array([[[255]], [[255]], [[0]]], dtype=np.uint8)).tolist()
    [[[237]]]
    """
    gray = sum(plane * np.float32(weight) for plane, weight in zip(planes, LUMA, strict=True))
    result = np.asarray(gray, dtype=np.float32)[None]
    return result if planes.dtype.kind == "f" else np.rint(result).astype(planes.dtype)


def to_linear(planes: Array) -> Array:
    """Turn sRGB samples into light, in float32 on the same scale (IEC 61966-2-1, inverse function)."""
    scale = white(planes.dtype)
    if planes.dtype.kind == "f":
        return _light(planes).astype(np.float32)
    table = _light(np.arange(scale + 1) / scale) * scale
    return table.astype(np.float32)[planes]


def _light(v: Array) -> Array:
    return np.where(v <= 0.04045, v / 12.92, (np.maximum(v, 0.04045) / 1.055 + 0.055 / 1.055) ** 2.4)


def from_linear(planes: Array, scale: float) -> Array:
    """Turn light back into sRGB samples (IEC 61966-2-1); negative responses as their opposites.

    >>> samples = np.arange(256, dtype=np.uint8)
    >>> bool((np.rint(from_linear(to_linear(samples), 255.0)) == samples).all())
    True
    """
    v = np.abs(planes) / scale
    return np.copysign(np.where(v <= 0.0031308, v * 12.92, 1.055 * v ** (1 / 2.4) - 0.055) * scale, planes)


def premultiply(colour: Array, alpha: Array) -> Array:
    """Multiply colour by alpha, and their scales: exactly, in the smallest type that holds the products."""
    return np.multiply(colour, alpha, dtype=premultiplied_type(np.result_type(colour, alpha)))


def premultiplied_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the smallest type that holds products of two samples."""
    return np.dtype({"uint8": np.uint16, "uint16": np.uint32}.get(dtype.name, dtype))


def finish(
    planes: Array, alpha: bool, dtype: np.dtype[Any], rule: str, *, snap: bool = False
) -> tuple[Array, int]:
    """Bring results into the range of `dtype` by a rule, round half to even, and count what was cut off.

    `planes` are overwritten; if `alpha`, the last of them is alpha, and only clamped. The rule "none"
    refuses samples that do not fit. NaN counts as cut off, and becomes 0 in an integer type. `snap` rounds
    to steps of 1/4096 first: the last bits of a sum, which differ from backend to backend, do not decide
    on which side of half-way it lies.
    """
    choose(rule, RANGES, "range")
    if rule == "minmax" and planes.dtype.kind != "f":
        planes = planes.astype(np.float64)
    colour = planes[:-1] if alpha else planes
    if rule == "abs":
        np.abs(colour, out=colour)
    elif rule == "minmax":
        _stretch(colour, white(dtype))
    if dtype.kind == "f" or (dtype == planes.dtype and rule == "none") or planes.size == 0:
        return planes.astype(dtype, copy=False), 0
    result = np.empty(planes.shape, dtype=dtype)
    clipped = sum(
        store(plane[None], target[None], snap=snap) for plane, target in zip(planes, result, strict=True)
    )
    refuse_clipped(clipped, dtype, rule)
    return result, clipped


def refuse_clipped(clipped: int, dtype: np.dtype[Any], rule: str) -> None:
    """Refuse what was cut off under the rule "none"."""
    if clipped and rule == "none":
        limits = np.iinfo(dtype)
        raise UsageError(
            f'{clipped} samples are outside {limits.min} to {limits.max} and range is "none"; '
            "use --range clamp, or --dtype float32"
        )


def store(
    values: Array,
    target: Array,
    *,
    divisor: float = 1.0,
    bias: float = 0.0,
    absolute: bool = False,
    snap: bool = False,
) -> int:
    """Divide, shift, take magnitudes, round half to even, cut off and convert into `target`, all at once.

    Return how many samples were out of the range of an integer type, where NaN becomes 0. `values` are
    overwritten; `snap` is that of `finish`.

    >>> target = np.empty((1, 1, 3), np.uint8)
    >>> store(np.array([[[-1.0, 2.5, 300.0]]]), target), target.tolist()
    (2, [[[0, 2, 255]]])
    """
    narrow = target.dtype in (np.uint8, np.uint16)
    if narrow and values.ndim == 3 and native.serves(values.dtype) and rows_contiguous(values):
        return native.finish(values, target, divisor=divisor, bias=bias, absolute=absolute, snap=snap)
    if values.dtype.kind != "f" and (divisor != 1 or bias):
        values = values.astype(np.float64)
    floats = values.dtype.kind == "f"
    if divisor != 1:
        values /= divisor
    if bias:
        values += bias
    if absolute:
        np.abs(values, out=values)
    if target.dtype.kind == "f":
        np.copyto(target, values, casting="same_kind")
        return 0
    limits, clipped = np.iinfo(target.dtype), 0
    if floats and snap:
        values *= SNAP
        np.rint(values, out=values)
        values /= SNAP
    if floats:
        np.rint(values, out=values)
    # A comparison that is false for NaN too finds everything that does not fit.
    if not (values.min() >= limits.min and values.max() <= limits.max):
        fits = (values >= limits.min) & (values <= limits.max)
        clipped = fits.size - int(np.count_nonzero(fits))
        np.nan_to_num(values, copy=False, posinf=np.inf, neginf=-np.inf)
        np.clip(values, limits.min, limits.max, out=values)
    np.copyto(target, values, casting="unsafe")
    if target.dtype.itemsize == 8 and floats:
        target[values >= float(limits.max)] = limits.max  # which no float is
    return clipped


def _stretch(colour: Array, highest: float) -> None:
    """Map the darkest sample to 0 and the brightest to `highest`, in place."""
    finite = np.isfinite(colour)
    low = float(np.min(colour, where=finite, initial=np.inf))
    high = float(np.max(colour, where=finite, initial=-np.inf))
    if high < low:
        return
    colour -= low
    if high > low:
        colour *= highest / (high - low)
