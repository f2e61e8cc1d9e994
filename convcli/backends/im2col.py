"""Patches as columns, times the flattened kernels: one matrix product for a whole bank."""

import math

from convcli.arrays.gathering import Window
from convcli.arrays.library import Array, array_module
from convcli.backends import Apply, longest_rows, no_reason
from convcli.spec import ConvSpec, Cost, Shape

SUMMARY = "patches unrolled into columns, one GEMM for a bank of kernels"
USES_BLAS = True
IN_PASSES = True

# Of the unrolled matrix, copied and read once; in BLAS, 4 bytes; without BLAS; per strip.
RATES = {"byte": 6.3e-11, "multiply_add": 2e-11, "integer": 1e-9, "call": 1.5e-5}
STRIP_BYTES = 1 << 20

unavailable = unsupported = no_reason  # BLAS comes with NumPy


def cost(spec: ConvSpec, strip_bytes: int = STRIP_BYTES) -> Cost:
    """Copying the patches dominates for a single kernel."""
    cells = spec.channels * math.prod(spec.kernel_shape)
    positions = spec.samples // max(1, spec.outputs)
    strip = math.prod(tile(spec, strip_bytes))
    tiles = math.ceil(positions / strip)
    multiply_adds = spec.outputs * positions * cells
    work = {
        "byte": positions * cells * spec.itemsize,
        "multiply_add": multiply_adds * spec.itemsize / 4,
        "integer": multiply_adds if spec.dtype == "int64" else 0,
        "call": tiles,
    }
    return Cost(multiply_adds, 0, cells * strip * spec.itemsize, work)


def tile(spec: ConvSpec, strip_bytes: int = STRIP_BYTES) -> Shape:
    """As many positions as keep the unrolled strip in cache."""
    cells = spec.channels * math.prod(spec.kernel_shape)
    return longest_rows(spec.output_shape, max(1, strip_bytes // spec.itemsize // cells))


def prepare(kernels: Array, spec: ConvSpec, tile: Shape) -> Apply:
    """Flatten each kernel into a row."""
    taps = kernels.shape[2:]
    axes = len(taps)
    xp = array_module(kernels).xp
    rows = xp.ascontiguousarray(kernels.reshape(len(kernels), -1))

    def apply(window: Window, out: Array) -> None:
        image = window.samples()
        windows = xp.lib.stride_tricks.sliding_window_view(image, taps, axis=tuple(range(1, axes + 1)))
        shape = windows.shape[1 : axes + 1]
        columns = windows.transpose(0, *range(axes + 1, 2 * axes + 1), *range(1, axes + 1))
        product: Array = rows @ columns.reshape(rows.shape[1], math.prod(shape))
        out[...] = product.reshape(len(rows), *shape)

    return apply
