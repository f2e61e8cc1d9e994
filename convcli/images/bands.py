"""Images encoded in bands of rows, on all processors; what a file holds does not depend on how many."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from convcli.arrays.library import Array
from convcli.system.threads import run

R = TypeVar("R")


def encode_bands(encode: Callable[[int, int], R], height: int, rows: int, threads: int) -> list[R]:
    """Return the results of `encode(top, bottom)` for every band, from the top down."""
    tops = range(0, height, rows)
    made: dict[int, R] = {}

    def work(top: int) -> None:
        made[top] = encode(top, min(top + rows, height))

    run((functools.partial(work, top) for top in tops), min(threads, len(tops)))
    return [made[top] for top in tops]


def packed(pixels: Array) -> Array:
    """Return (height, width) or (height, width, channels) without gaps in memory; the array if it is so."""
    if pixels.ndim == 3 and not pixels.flags.c_contiguous:
        return np.stack(list(np.moveaxis(pixels, -1, 0)), axis=-1)  # a third of the time of one copy
    return np.ascontiguousarray(pixels)
