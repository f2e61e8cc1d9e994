"""The inner loops as compiled code, where it could be built: one C file, `_native.c`.

Everything it does is also written in NumPy. ``CONVCLI_NATIVE=0`` leaves it aside, and the name of a
level of instructions (as ``convcli backends`` prints it) holds it to that level.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.errors import UsageError

Array = NDArray[Any]
REAL = ("float32", "float64")


@functools.cache
def _loaded() -> Any:
    """Return the compiled module, or the reason why there is none."""
    if os.environ.get("CONVCLI_NATIVE") == "0":
        return "the compiled code is switched off by CONVCLI_NATIVE=0"
    try:
        return importlib.import_module("convcli._native")
    except ModuleNotFoundError:
        return "no C compiler was found when convcli was installed"
    except ImportError as error:
        return f"the compiled code cannot be loaded: {error}"


@functools.cache
def level() -> int | None:
    """Number of the level of instructions in use; None if NumPy has to do."""
    module = _loaded()
    if isinstance(module, str):
        return None
    names = module.levels()
    wanted = os.environ.get("CONVCLI_NATIVE", "1")
    if wanted in ("", "1"):
        wanted = names[-1]
    if wanted not in names:
        raise UsageError(
            f'CONVCLI_NATIVE is "{wanted}", and not one of 0 (NumPy), 1 (the best here), {", ".join(names)}; '
            "use one of these, or unset it"
        )
    found: int = names.index(wanted)
    return found


def describe() -> str:
    """Say what runs: the level of instructions, or NumPy and why.

    >>> describe().startswith(("compiled, ", "NumPy: "))
    True
    """
    number, module = level(), _loaded()
    return f"NumPy: {module}" if number is None else f"compiled, {module.levels()[number]}"


def serves(dtype: Any) -> bool:
    """Whether the compiled code is there and computes in `dtype`."""
    return level() is not None and np.dtype(dtype).name in REAL


def correlate(
    image: Array, kernels: Array, out: Array, indices: Sequence[Array] | None = None, fill: float = 0.0
) -> bool:
    """Correlate; return whether all samples are finite, without which `out` is good for nothing.

    Parameters
    ----------
    image : (channels, *spatial) array of any real type
    kernels : (outputs, channels, *taps) array of float32 or float64
        Contiguous.
    out : (outputs, *shape) array of the same type
        Its rows have no gaps; filled.
    indices, fill
        How the image is padded, as `gather` takes them; not at all by default.
    """
    at = _four_axes(image)
    positions = _positions(image, indices)
    found: bool = _loaded().correlate(
        image[at], kernels[(slice(None), *at)], out[at], level(), *positions, fill
    )
    return found


def passes(
    image: Array,
    columns: Array,
    rows: Array,
    out: Array,
    indices: Sequence[Array] | None = None,
    fill: float = 0.0,
) -> bool:
    """Correlate with a sum of outer products, the intermediate result in cache; return as `correlate` does.

    Parameters
    ----------
    image : (1, height, width) array of any real type
    columns, rows : (terms, taps) array of float32 or float64
    out : (1, *shape) array of the same type
        Its rows have no gaps; filled.
    indices, fill
        As in `correlate`.
    """
    at, positions = _four_axes(image), _positions(image, indices)[1:]
    found: bool = _loaded().passes(image[at], columns, rows, out[at], level(), *positions, fill)
    return found


def box(
    image: Array,
    shape: tuple[int, int],
    factor: float,
    out: Array,
    indices: Sequence[Array] | None = None,
    fill: float = 0.0,
) -> bool:
    """Sum over boxes, in the same time for all sizes; return as `correlate` does.

    Parameters
    ----------
    image : (1, height, width) array of whole numbers, of any real type
    shape : (height, width) of the box
    factor : float
        What the sums are multiplied by.
    out : (1, *shape) array of float32 or float64
        Its rows have no gaps; filled, exactly as long as the type holds every sum.
    indices, fill
        As in `correlate`.
    """
    at, positions = _four_axes(image), _positions(image, indices)[1:]
    found: bool = _loaded().box(image[at], *shape, factor, out[at], level(), *positions, fill)
    return found


def _four_axes(image: Array) -> tuple[Any, ...]:
    """Index that gives an array of channels the four axes that the compiled code expects."""
    return (slice(None), *(None,) * (4 - image.ndim))


def _positions(image: Array, indices: Sequence[Array] | None) -> list[Array | None]:
    """Positions on all three axes, None for one whose samples are taken as they are."""
    missing: list[Array | None] = [None] * (4 - image.ndim)
    if indices is None:
        return [None, None, None]
    return missing + [np.ascontiguousarray(index) for index in indices]


def gather(image: Array, indices: Sequence[Array], fill: float, out: Array) -> bool:
    """Copy samples by position, and convert them; return whether all are finite.

    Parameters
    ----------
    image : (channels, *spatial) array of any real type
    indices : one array of intp per spatial axis
        -1 for `fill`.
    out : (channels, *lengths) array of float32 or float64
    """
    at, positions = _four_axes(image), _positions(image, indices)
    found: bool = _loaded().gather(image[at], *positions, out[at], fill, level())
    return found


def finite(array: Array) -> bool:
    """Whether all samples of up to four axes are finite; float32 or float64, rows without gaps."""
    found: bool = _loaded().finite(array[(None,) * (4 - array.ndim)], level())
    return found


def finish(result: Array, target: Array, *, divisor: float, bias: float, absolute: bool, snap: bool) -> int:
    """Scale, shift, round half to even and store; return how many samples did not fit.

    Parameters
    ----------
    result : (planes, height, width) array of float32 or float64
    target : the same shape, uint8 or uint16
    divisor, bias : float
    absolute : bool
        Take magnitudes.
    snap : bool
        Round to steps of 1/4096 before.
    """
    found: int = _loaded().finish(result, target, divisor, bias, absolute, snap, level())
    return found


def unfilter(lines: bytes, pixels: Array, step: int) -> bool:
    """Undo the filters of a PNG file; return whether all are known.

    Parameters
    ----------
    lines : bytes
        Every row behind the number of its filter.
    pixels : (height, ...) array of uint8
        Contiguous; filled.
    step : int
        Bytes of a pixel.
    """
    found: bool = _loaded().unfilter(lines, pixels, len(pixels), step)
    return found
