"""Fourier transforms by SciPy, into memory that is there already."""

import functools
import importlib.util
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

import numpy as np

from convcli.arrays.library import Array

# Compiled modules of SciPy, from 1.18 on and before. Loaded alone one is there in a hundredth of the time
# that scipy.fft takes, and it writes where it is told to. It is private: without it scipy.fft is used.
COMPILED = ("scipy.fft._duccfft.pyduccfft", "scipy.fft._pocketfft.pypocketfft")


def real_forward(real: Array, out: Array) -> None:
    """Transform the last axis of a real array (..., n) into `out` (..., n // 2 + 1), in other memory.

    >>> out = np.empty(3, complex)
    >>> real_forward(np.array([1.0, 2.0, 3.0, 4.0]), out)
    >>> out.tolist()
    [(10+0j), (-2+2j), (-2+0j)]
    """
    if compiled := _compiled():
        compiled.r2c(real, (real.ndim - 1,), True, 0, out, 1)
    else:
        out[...] = _public().rfft(real)


def real_backward(spectrum: Array, out: Array) -> None:
    """Undo `real_forward`; the length is that of `out`."""
    if compiled := _compiled():
        compiled.c2r(spectrum, (out.ndim - 1,), out.shape[-1], False, 2, out, 1)
    else:
        out[...] = _public().irfft(spectrum, out.shape[-1])


def forward(spectrum: Array, axis: int) -> None:
    """Transform one axis of a complex array in its place."""
    if compiled := _compiled():
        compiled.c2c(spectrum, (axis,), True, 0, spectrum, 1)
    else:
        spectrum[...] = _public().fft(spectrum, axis=axis)


def backward(spectrum: Array, axis: int) -> None:
    """Undo `forward`."""
    if compiled := _compiled():
        compiled.c2c(spectrum, (axis,), False, 2, spectrum, 1)
    else:
        spectrum[...] = _public().ifft(spectrum, axis=axis)


def at_hand() -> bool:
    """Whether transforms can begin without all of scipy.fft being imported first."""
    return "scipy.fft" in sys.modules or _found() is not None


@functools.cache
def _compiled() -> Any:
    """Load the compiled part of SciPy alone; None if that cannot be done."""
    found = _found()
    if found is None or found.loader is None:
        return None
    if found.name in sys.modules:
        return sys.modules[found.name]
    try:
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        _try(module)
    except Exception:  # nobody promises what is in there
        return None
    # There scipy.fft finds it, if it is imported later: no extension should be loaded twice.
    return sys.modules.setdefault(found.name, module)


def _try(module: Any) -> None:
    """Raise if the functions are not as they were when this was written."""
    real, spectrum = np.array([1.0, 2.0, 3.0, 4.0]), np.empty(3, complex)
    module.r2c(real, (0,), True, 0, spectrum, 1)
    module.c2c(spectrum, (0,), True, 0, spectrum, 1)
    module.c2c(spectrum, (0,), False, 2, spectrum, 1)
    back = np.empty(4)
    module.c2r(spectrum, (0,), 4, False, 2, back, 1)
    if not (np.allclose(spectrum, [10, -2 + 2j, -2]) and np.allclose(back, real)):
        raise ValueError("other transforms")


@functools.cache
def _found() -> ModuleSpec | None:
    """Find the compiled part of SciPy without importing SciPy."""
    scipy = importlib.util.find_spec("scipy")
    for folder in (scipy and scipy.submodule_search_locations) or ():
        for name in COMPILED:
            found = PathFinder.find_spec(name, [str(Path(folder, *name.split(".")[1:-1]))])
            if found is not None:
                return found
    return None


def _public() -> Any:
    import scipy.fft

    return scipy.fft
