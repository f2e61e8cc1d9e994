"""The sum as it is written: compiled where that was possible, one shifted copy per kernel cell in NumPy."""

import math
from collections.abc import Callable

import numpy as np

from convcli.arrays import native
from convcli.arrays.gathering import NonFiniteError, Window
from convcli.arrays.library import Array
from convcli.backends import Apply, longest_rows, no_reason
from convcli.spec import ConvSpec, Cost, Shape

SUMMARY = f"one multiplication and addition per kernel cell and pixel ({native.describe().partition(':')[0]})"
USES_BLAS = False
IN_PASSES = True

# Of 4 bytes. Compiled: per cell, per output. In NumPy: per cell that is not zero, per call.
RATES = {
    "cell": 1.1e-11,
    "output": 3.5e-10,
    "pass_cell": 2.3e-11,
    "pass_output": 5.5e-10,
    "multiply_add": 2.9e-10,
    "call": 1.1e-6,
}
TILE_BYTES = 1 << 18
COMPILED_TILE_BYTES = 1 << 21
MULTIPLY_ADDS = 1 << 31  # of a tile, compiled
BETWEEN_BYTES = 1 << 18  # the compiled code keeps between two passes
CELLS = 4096

unavailable = unsupported = no_reason


def cost(spec: ConvSpec) -> Cost:
    """Count every cell where the code is compiled, and only those that are not zero in NumPy."""
    if native.serves(spec.dtype):
        multiply_adds = spec.samples * spec.channels * math.prod(spec.kernel_shape)
        work = {"cell": multiply_adds * spec.itemsize / 4, "output": spec.samples * spec.itemsize / 4}
        return Cost(multiply_adds, 0, _rows_at_hand(spec), work)
    multiply_adds = spec.samples * spec.channels * (spec.taps or 0)
    tiles = math.ceil(spec.samples / math.prod(tile(spec)))
    calls = 2 * tiles * (spec.taps or 0)
    work = {"multiply_add": multiply_adds * spec.itemsize / 4, "call": calls}
    cells = spec.outputs * spec.channels * (spec.taps or 0) * 8 * (len(spec.kernel_shape) + 1)
    return Cost(multiply_adds, cells, TILE_BYTES, work)


def fused_cost(spec: ConvSpec) -> Cost | None:
    """Both passes over a few rows at a time, so that what lies between them stays in cache."""
    if len(spec.kernel_shape) != 2 or not native.serves(spec.dtype):
        return None
    high, wide = spec.kernel_shape
    columns = 1 + (wide - 1) / tile(spec)[1]  # that the first pass makes, for one that the second does
    multiply_adds = spec.samples * spec.rank * (columns * high + wide)
    work = {
        "pass_cell": multiply_adds * spec.itemsize / 4,
        "pass_output": spec.samples * spec.rank * columns * spec.itemsize / 4,
    }
    return Cost(multiply_adds, 0, BETWEEN_BYTES + _rows_at_hand(spec), work)


def _rows_at_hand(spec: ConvSpec) -> int:
    """Bytes of the rows that the compiled code keeps, padded and converted."""
    width = tile(spec)[-1] + spec.kernel_shape[-1] + 32
    rows = (spec.kernel_shape[-2] if len(spec.kernel_shape) > 1 else 1) + 6
    return spec.channels * math.prod(spec.kernel_shape[:-2]) * rows * width * spec.itemsize


def tile(spec: ConvSpec) -> Shape:
    """Rows as long as possible.

    In NumPy no more than the second-level cache holds with what they are made of. Compiled code, which
    Ctrl-C has to wait for, works on a tile for some hundredths of a second.
    """
    samples = TILE_BYTES // spec.itemsize
    if native.serves(spec.dtype):
        cells = math.prod(spec.kernel_shape) * spec.channels * spec.outputs
        samples = min(COMPILED_TILE_BYTES // spec.itemsize, max(4096, MULTIPLY_ADDS // cells))
    *leading, last = spec.output_shape
    return longest_rows((*leading, min(last, 2048)), samples)


def prepare(kernels: Array, spec: ConvSpec, tile: Shape) -> Apply:
    """Take the kernels as they are, or list their cells that are not zero."""
    if native.serves(kernels.dtype):
        return _checked(lambda image, out, *padded: native.correlate(image, kernels, out, *padded))
    cells = [np.argwhere(kernel) for kernel in kernels]

    def apply(window: Window, out: Array) -> None:
        image = window.samples()
        shape = out.shape[1:]
        out[...] = 0
        product = np.empty(shape, dtype=kernels.dtype)
        for total, kernel, indices in zip(out, kernels, cells, strict=True):
            for start in range(0, len(indices), CELLS):  # a list of all cells could be large
                for c, *position in indices[start : start + CELLS].tolist():
                    shifted = tuple(slice(p, p + n) for p, n in zip(position, shape, strict=True))
                    np.multiply(image[(c, *shifted)], kernel[(c, *position)], out=product)
                    total += product

    return apply


def prepare_fused(terms: list[tuple[Array, ...]], spec: ConvSpec) -> Apply:
    """Stack the columns and the rows of all terms; a box of whole numbers is summed up as it moves on."""
    if spec.exact and all((vector == vector[0]).all() for term in terms for vector in term):
        shape = len(terms[0][0]), len(terms[0][1])
        factor = float(sum(column[0] * row[0] for column, row in terms))
        return _checked(lambda image, out, *padded: native.box(image, shape, factor, out, *padded))
    columns, rows = (np.array(vectors, dtype=spec.dtype) for vectors in zip(*terms, strict=True))
    return _checked(lambda image, out, *padded: native.passes(image, columns, rows, out, *padded))


def _checked(compute: Callable[..., bool]) -> Apply:
    """The compiled code pads and converts by itself, a few rows at a time."""

    def apply(window: Window, out: Array) -> None:
        if not compute(window.image, out, window.indices, window.fill):
            raise NonFiniteError

    return apply
