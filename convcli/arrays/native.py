"""The inner loops as compiled code, where it could be built: one C file, `_native.c`.

Everything it does is also written in NumPy. ``CONVCLI_NATIVE=0`` leaves it aside, and the name of a
level of instructions (as ``convcli backends`` prints it) holds it to that level.
"""

import functools
import importlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.errors import UsageError

Array = NDArray[Any]
Indices = Sequence[Array] | None
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
    return int(names.index(wanted))


def describe() -> str:
    """Say what runs: the level of instructions, or NumPy and why."""
    number, module = level(), _loaded()
    return f"NumPy: {module}" if number is None else f"compiled, {module.levels()[number]}"


def serves(dtype: Any) -> bool:
    """Whether the compiled code is there and computes in `dtype`."""
    return level() is not None and np.dtype(dtype).name in REAL


def correlate(image: Array, kernels: Array, out: Array, indices: Indices = None, fill: float = 0.0) -> bool:
    """Correlate (channels, *spatial) with kernels (outputs, channels, *taps) into `out` (outputs, *shape).

    The image has any real type, the others float32 or float64. The kernels are contiguous, the rows of `out`
    too. The image is padded as `gather` pads, or not at all. Return whether all samples are finite, without
    which `out` is good for nothing.
    """
    at, positions = _expanded(image, indices)
    bank = kernels[(slice(None), *at)]
    return bool(_loaded().correlate(image[at], bank, out[at], level(), *positions, fill))


def passes(
    image: Array, columns: Array, rows: Array, out: Array, indices: Indices = None, fill: float = 0.0
) -> bool:
    """As `correlate`, of one channel with a sum of outer products, the intermediate result in cache.

    `columns` and `rows` are (terms, taps), of the type of `out` (1, height, width).
    """
    at, positions = _expanded(image, indices)
    return bool(_loaded().passes(image[at], columns, rows, out[at], level(), *positions[1:], fill))


def box(
    image: Array,
    shape: tuple[int, ...],
    factor: float,
    out: Array,
    indices: Indices = None,
    fill: float = 0.0,
) -> bool:
    """As `passes`: sums over boxes of that shape, times a factor, in the same time for all sizes.

    The samples are whole numbers; sums are exact as long as the type of `out` holds them.
    """
    at, positions = _expanded(image, indices)
    return bool(_loaded().box(image[at], *shape, factor, out[at], level(), *positions[1:], fill))


def _expanded(image: Array, indices: Indices) -> tuple[tuple[Any, ...], list[Array | None]]:
    """Index that gives channels four axes, and the positions on three; None for one taken as it is."""
    missing: list[Array | None] = [None] * (4 - image.ndim)
    given = [None] * (image.ndim - 1) if indices is None else map(np.ascontiguousarray, indices)
    return (slice(None), *missing), [*missing, *given]


def gather(image: Array, indices: Sequence[Array], fill: float, out: Array) -> bool:
    """Copy samples of (channels, *spatial) by position, -1 for `fill`; return whether all are finite.

    `out` (channels, *lengths) is float32 or float64.
    """
    at, positions = _expanded(image, indices)
    return bool(_loaded().gather(image[at], *positions, out[at], fill, level()))


def finite(array: Array) -> bool:
    """Whether all samples of up to four axes are finite; float32 or float64, rows without gaps."""
    return bool(_loaded().finite(array[(None,) * (4 - array.ndim)], level()))


def finish(result: Array, target: Array, *, divisor: float, bias: float, absolute: bool, snap: bool) -> int:
    """Scale, shift, round half to even and store as uint8 or uint16; return how many samples did not fit.

    Both are (planes, height, width). `absolute` takes magnitudes, `snap` first rounds to steps of 1/4096.
    """
    return int(_loaded().finish(result, target, divisor, bias, absolute, snap, level()))


def unfilter(lines: bytes, pixels: Array, step: int) -> bool:
    """Undo the filters of a PNG file, whose pixels have `step` bytes; return whether all are known.

    `lines` has every row behind the number of its filter; `pixels` (height, ...) of uint8 is filled.
    """
    return bool(_loaded().unfilter(lines, pixels, len(pixels), step))
