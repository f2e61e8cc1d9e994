"""Astropy."""

from __future__ import annotations

from typing import Any

from convcli.bench.contestants import Task
from convcli.bench.library import Call, Library
from convcli.text import shape_text


def _convolve(convolution: Any, task: Task) -> Call:
    image, kernel = task.image, task.kernel
    options = {"boundary": "fill", "normalize_kernel": False, "nan_treatment": "fill"}
    return lambda: [convolution.convolve(plane, kernel, **options) for plane in image]


def _limits(task: Task) -> str | None:
    shape = task.kernel.shape
    return None if all(n % 2 for n in shape) else f"takes kernels of odd size, not {shape_text(shape)}"


PEERS = (Library("astropy.convolve", "astropy.convolution", _convolve, _limits),)
