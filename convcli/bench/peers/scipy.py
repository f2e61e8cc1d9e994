"""SciPy: correlation of any dimension, of two, and by Fourier transforms, whole or in blocks."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from convcli.bench.contestants import Task
from convcli.bench.library import Call, Library, flipped, floats


def _ndimage(ndimage: Any, task: Task) -> Call:
    image, weights, dtype = task.image, flipped(task)[np.newaxis], floats(task)
    return lambda: ndimage.correlate(image, weights, output=dtype, mode="constant", cval=0.0)


def _convolve2d(signal: Any, task: Task) -> Call:
    image, dtype = task.image, floats(task)
    weights = task.kernel.astype(dtype)
    return lambda: [signal.convolve2d(plane.astype(dtype, copy=False), weights, "same") for plane in image]


def _by_fft(name: str) -> Callable[[Any, Task], Call]:
    def build(signal: Any, task: Task) -> Call:
        image, dtype, convolve = task.image, floats(task), getattr(signal, name)
        weights = task.kernel[np.newaxis].astype(dtype)
        return lambda: convolve(image.astype(dtype, copy=False), weights, "same", axes=(1, 2))

    return build


def _fft_threads(_signal: Any, count: int) -> AbstractContextManager[None]:
    workers: AbstractContextManager[None] = importlib.import_module("scipy.fft").set_workers(count)
    return workers


PEERS = (
    Library("ndimage.correlate", "scipy.ndimage", _ndimage),
    Library("signal.convolve2d", "scipy.signal", _convolve2d),
    Library("signal.fftconvolve", "scipy.signal", _by_fft("fftconvolve"), threads=_fft_threads),
    Library("signal.oaconvolve", "scipy.signal", _by_fft("oaconvolve"), threads=_fft_threads),
)
