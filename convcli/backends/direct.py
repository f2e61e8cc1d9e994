"""The sum as it is written: one shifted copy of the image per kernel cell, in NumPy."""

from __future__ import annotations

import math

import numpy as np

from convcli.arrays import Array
from convcli.backends import Apply
from convcli.spec import ConvSpec, Cost

SUMMARY = "one multiplication and addition per kernel cell and pixel (NumPy)"
USES_BLAS = False
IN_PASSES = True

RATES = {"multiply_add": 2.9e-10, "call": 1.1e-6}  # of 4 bytes; of NumPy
TILE_BYTES = 1 << 18
CELLS = 4096


def unavailable() -> None:
    """NumPy is always there."""


def unsupported(spec: ConvSpec) -> None:
    """Nothing is."""


def cost(spec: ConvSpec) -> Cost:
    """Two passes over a cached tile per non-zero cell."""
    multiply_adds = spec.samples * spec.channels * (spec.taps or 0)
    tiles = math.ceil(spec.samples / math.prod(tile(spec)))
    calls = 2 * tiles * (spec.taps or 0)
    work = {"multiply_add": multiply_adds * spec.itemsize / 4, "call": calls}
    cells = spec.outputs * spec.channels * (spec.taps or 0) * 8 * (len(spec.kernel_shape) + 1)
    return Cost(multiply_adds, cells, TILE_BYTES, work)


def tile(spec: ConvSpec) -> tuple[int, ...]:
    """Rows as long as possible: tile, sum and product together stay in the second-level cache."""
    samples = TILE_BYTES // spec.itemsize
    shape: list[int] = []
    for axis in reversed(spec.axes):
        shape.insert(0, max(1, min(axis.output, samples, 2048 if not shape else samples)))
        samples //= shape[0]
    return tuple(shape)


def prepare(kernels: Array, spec: ConvSpec, tile: tuple[int, ...]) -> Apply:
    """List the non-zero cells: zeros cost nothing."""
    taps = kernels.shape[2:]
    cells = [np.argwhere(kernel) for kernel in kernels]

    def apply(image: Array) -> Array:
        shape = tuple(p - t + 1 for p, t in zip(image.shape[1:], taps, strict=True))
        result = np.zeros((len(kernels), *shape), dtype=kernels.dtype)
        product = np.empty(shape, dtype=kernels.dtype)
        for total, kernel, indices in zip(result, kernels, cells, strict=True):
            for start in range(0, len(indices), CELLS):  # a list of all cells could be large
                for c, *position in indices[start : start + CELLS].tolist():
                    window = tuple(slice(p, p + n) for p, n in zip(position, shape, strict=True))
                    np.multiply(image[(c, *window)], kernel[(c, *position)], out=product)
                    total += product
        return result

    return apply
