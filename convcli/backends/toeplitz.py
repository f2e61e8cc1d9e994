"""Small banded Toeplitz matrices times strips of the image; the doubly blocked matrix is never stored.

Filtering one image column with one kernel column is multiplication by a banded Toeplitz matrix.
`ROWS` output rows at a time, the bands of all kernel columns are stacked into one matrix, one GEMM
applies it to a strip of image rows, and the results are added, each shifted by its column.
"""

import math

from convcli.arrays.gathering import Window
from convcli.arrays.library import Array, array_module
from convcli.backends import Apply, no_reason
from convcli.spec import ConvSpec, Cost, Shape

SUMMARY = "banded Toeplitz blocks times strips of the image, as GEMM"
USES_BLAS = True
IN_PASSES = True

# In BLAS, 4 bytes, counting the zeros inside the bands; without BLAS; of the stacked product, which is
# written once and added once; of the bands, built once; per tile.
RATES = {"multiply_add": 2.1e-11, "integer": 1.1e-9, "byte": 8.3e-11, "band": 3.2e-9, "call": 4e-5}
TILE_BYTES = 1 << 21
SIGNAL_ROWS = 64  # a 1-D signal is folded into columns of this many outputs

unavailable = unsupported = no_reason  # BLAS comes with NumPy


def _rows(taps: Shape) -> int:
    """Output rows of one block: more rows feed BLAS better, and multiply more zeros."""
    return SIGNAL_ROWS if len(taps) == 1 else 8


def _shifts(taps: Shape) -> int:
    """Kernel columns: results to be shifted and added, per output."""
    return math.prod(taps[:-2]) * taps[-1] if len(taps) > 1 else 1


def cost(spec: ConvSpec, tile_bytes: int = TILE_BYTES) -> Cost:
    """Bands are ``rows + kh - 1`` wide of which ``kh`` are not zero."""
    taps = spec.kernel_shape
    height = taps[-2] if len(taps) > 1 else taps[0]
    stacked = spec.samples * _shifts(taps)
    multiply_adds = stacked * spec.channels * (_rows(taps) + height - 1)
    share = math.prod(tile(spec, tile_bytes))
    tiles = math.ceil(spec.samples / share)
    stack = spec.outputs * _shifts(taps) * spec.itemsize
    bands = stack * _rows(taps) * spec.channels * (_rows(taps) + height - 1)
    work = {
        "band": bands,
        "multiply_add": multiply_adds * spec.itemsize / 4,
        "integer": multiply_adds if spec.dtype == "int64" else 0,
        "byte": stacked * spec.itemsize,
        "call": tiles,
    }
    return Cost(multiply_adds, bands, stack * share, work)


def tile(spec: ConvSpec, tile_bytes: int = TILE_BYTES) -> Shape:
    """Whole blocks of rows, long rows, with the stacked product in the second-level cache."""
    taps = spec.kernel_shape
    budget = tile_bytes // spec.itemsize // spec.outputs
    if len(taps) == 1:
        return (max(1, budget),)
    budget //= _shifts(taps)
    rows = _rows(taps)
    width = max(64, min(spec.axes[-1].output, budget // rows, 2048))
    most = min(16 * tile_bytes // TILE_BYTES, -(-spec.axes[-2].output // rows))
    blocks = max(1, min(budget // (rows * width), most))
    return (*(1,) * (len(taps) - 2), rows * blocks, width)


def prepare(kernels: Array, spec: ConvSpec, tile: Shape) -> Apply:
    """Build the stacked bands once; every strip of the image uses them again."""
    outputs, channels, *taps = kernels.shape
    if len(taps) == 1:
        return _fold_signal(kernels)
    depth = math.prod(taps[:-2])
    columns = kernels.reshape(outputs, channels, depth, *taps[-2:])
    bands: dict[int, Array] = {}

    def apply(window: Window, out: Array) -> None:
        image = window.samples()
        planes, result = (image, out) if len(taps) == 3 else (image[:, None], out[:, None])
        h = result.shape[2]
        rows = _rows(tuple(taps))
        whole = h - h % rows
        for start, stop, step in ((0, whole, rows), (whole, h, h - whole)):
            if start == stop:
                continue
            if step not in bands:
                bands[step] = stacked_bands(columns, step)
            strip = planes[:, :, start : stop + taps[-2] - 1]
            _multiply(bands[step], strip, columns.shape, step, result[:, :, start:stop])

    return apply


def stacked_bands(columns: Array, rows: int) -> Array:
    """Stack the Toeplitz matrices of all kernel columns, of `rows` outputs each.

    From (outputs, channels, kd, kh, kw) to (outputs * kd * kw * rows, channels * (rows + kh - 1)).

    >>> import numpy as np
    >>> stacked_bands(np.array([1, 2]).reshape(1, 1, 1, 2, 1), 3).tolist()
    [[1, 2, 0, 0], [0, 1, 2, 0], [0, 0, 1, 2]]
    """
    outputs, channels, kd, kh, kw = columns.shape
    shape = (outputs, kd, kw, rows, channels, rows + kh - 1)
    bands: Array = array_module(columns).xp.zeros(shape, dtype=columns.dtype)
    for row in range(rows):
        bands[:, :, :, row, :, row : row + kh] = columns.transpose(0, 2, 4, 1, 3)
    return bands.reshape(outputs * kd * kw * rows, -1)


def _multiply(bands: Array, strip: Array, columns: Shape, rows: int, result: Array) -> None:
    """Fill `result` (outputs, d, blocks * rows, w) from `strip` (channels, d + kd - 1, …, w + kw - 1)."""
    outputs, channels, kd, kh, kw = columns
    _, d, height, w = result.shape
    blocks, reach = height // rows, rows + kh - 1
    xp = array_module(strip).xp
    c_step, d_step, h_step, w_step = strip.strides
    view = xp.lib.stride_tricks.as_strided(  # overlapping blocks of rows, without a copy for one channel
        strip,
        (strip.shape[1], blocks, channels, reach, strip.shape[3]),
        (d_step, rows * h_step, c_step, h_step, w_step),
    )
    product = xp.matmul(bands, view.reshape(*view.shape[:2], channels * reach, -1))
    product = product.reshape(-1, blocks, outputs, kd, kw, rows, product.shape[-1])
    target = result.reshape(outputs, d, blocks, rows, w).transpose(1, 2, 0, 3, 4)
    for z in range(kd):
        for x in range(kw):
            part = product[z : z + d, :, :, z, x, :, x : x + w]
            if z == x == 0:
                target[...] = part
            else:
                target += part


def _fold_signal(kernels: Array) -> Apply:
    """A 1-D signal, cut into overlapping columns, needs the bands of a single kernel column."""
    outputs, channels, taps = kernels.shape
    xp = array_module(kernels).xp
    rows = SIGNAL_ROWS
    bands = stacked_bands(kernels.reshape(outputs, channels, 1, taps, 1), rows)
    reach = rows + taps - 1

    def apply(window: Window, out: Array) -> None:
        signal = window.samples()
        length = out.shape[1]
        blocks = -(-length // rows)
        whole = xp.zeros((channels, blocks * rows + taps - 1), dtype=kernels.dtype)
        whole[:, : signal.shape[1]] = signal
        c_step, step = whole.strides
        shape, strides = (channels, reach, blocks), (c_step, step, rows * step)
        view = xp.lib.stride_tricks.as_strided(whole, shape, strides)
        product: Array = bands @ view.reshape(channels * reach, blocks)
        columns: Array = product.reshape(outputs, rows, blocks).swapaxes(1, 2)
        out[...] = columns.reshape(outputs, blocks * rows)[:, :length]

    return apply
