"""Overlap-save: the convolution theorem on tiles that fit the cache."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convcli.arrays import transforms
from convcli.arrays.gathering import Window, all_finite
from convcli.arrays.library import HOST, Array, array_module
from convcli.backends import Apply, no_reason
from convcli.spec import ConvSpec, Cost, Shape
from convcli.system.resources import cpu_count

SUMMARY = "overlap-save on tiles, real transforms, kernel transformed once"
USES_BLAS = False
IN_PASSES = False  # transforms cost the same for all kernels

# Of 4 bytes: per sample and axis that is transformed; per sample, channel and output. Per tile and output.
RATES = {"pass": 1.3e-9, "product": 2.8e-10, "call": 2.4e-5, "import scipy.fft": 0.12}
CACHE_BYTES = 1 << 20
ROW_SAMPLES = 1 << 16  # that are read, transformed and written at a time
# Of transforms: those with few factors but 2 are the fastest.
LENGTHS = tuple(sorted(n << doublings for n in (8, 9, 10, 12, 15) for doublings in range(2, 19)))
ODD_LENGTHS: list[int] = [3**threes * 5**fives for threes in range(16) for fives in range(11)]


@dataclass(frozen=True)
class Sizes:
    """Limits that decide how large tiles are; they differ between processors."""

    cache_bytes: int = CACHE_BYTES  # every doubling beyond it makes transforms slower
    largest_bytes: int = 1 << 25  # of all arrays of a tile together
    overhead: float = 3e5  # of a tile, in samples times doublings: calls, threads that wait for each other
    threads: int = 8  # that tiles are made smaller for
    signal_samples: int = 1 << 17  # of the tile of a signal


PROCESSOR = Sizes()

unavailable = no_reason  # SciPy has transforms


def unsupported(spec: ConvSpec, sizes: Sizes = PROCESSOR) -> str | None:
    """Refuse integers that transforms in float64 might round to a neighbour."""
    samples = math.prod(_lengths(tile(spec, sizes), spec.kernel_shape))
    # Rounding grows like eps · log2(N) · ‖x‖ · ‖k‖ (Higham, Accuracy and Stability, theorem 24.2).
    error = spec.bound * math.sqrt(samples) * math.log2(samples + 1) * 2.0**-53
    if spec.dtype == "int64" or (spec.exact and error > 0.25):
        return f"exact integers up to {spec.bound:.3g} are beyond float64 transforms"
    return None


def cost(spec: ConvSpec, sizes: Sizes = PROCESSOR) -> Cost:
    """Per tile a forward transform of each channel, an inverse one of each output, and the products."""
    itemsize = 8 if spec.exact else spec.itemsize
    share = tile(spec, sizes)
    lengths = _lengths(share, spec.kernel_shape)
    samples = math.prod(lengths)
    tiles = spec.batch * math.prod(-(-axis.output // n) for axis, n in zip(spec.axes, share, strict=True))
    pairs = spec.channels * spec.outputs
    planes, products = tiles * (spec.channels + spec.outputs), tiles * pairs * samples
    axes = 1 + sum(axis.taps > 1 for axis in spec.axes[:-1])
    cache = sizes.cache_bytes
    slow = _slowness(*((64 * lengths[-1], 0.3) if len(share) == 1 else (samples * itemsize, 0.1)), cache)
    work = {  # of the kernels, all but a few rows are zeros until the last axis
        "pass": itemsize / 4 * (planes * axes + pairs) * samples * slow,
        "product": itemsize / 4 * products,
        "call": (tiles + 1) * spec.outputs,
    }
    multiply_adds = 1.25 * (planes + pairs) * samples * math.log2(samples + 1) + 2.0 * products
    start = {} if transforms.at_hand() else {"import scipy.fft": 1.0}
    spectrum = math.prod(lengths[:-1]) * (lengths[-1] // 2 + 1) * 2 * itemsize
    rows = spec.channels * _rows_at_a_time(spec.channels, lengths) * math.prod(lengths[1:]) * itemsize
    used = (spec.channels + 2 * (pairs > 1)) * spectrum + rows
    kept = pairs * spectrum // math.prod(lengths[:-1]) * math.prod(_extent(lengths, spec.kernel_shape))
    return Cost(multiply_adds, kept, used, work, start)


def _extent(lengths: Shape, taps: Shape) -> list[int]:
    """All but the last axis of a kernel's spectrum, which is the same for rows that are not transformed."""
    return [n if t > 1 else 1 for n, t in zip(lengths[:-1], (1, *taps)[-len(lengths) : -1], strict=True)]


def _slowness(size: float, share: float, cache: int = CACHE_BYTES) -> float:
    """Every doubling past the second-level cache adds that share to the time."""
    return 1 + share * max(0.0, math.log2(size / cache))


def tile(spec: ConvSpec, sizes: Sizes = PROCESSOR) -> Shape:
    """Return the outputs of the transforms that take the least time over the whole image."""
    # Neither the batch nor the threads of a call: any part of an image has the same bits computed alone.
    return _tile(replace(spec, batch=1), min(sizes.threads, cpu_count()), sizes)


@functools.lru_cache(maxsize=64)
def _tile(spec: ConvSpec, threads: int, sizes: Sizes) -> Shape:
    if len(spec.axes) == 1:
        return _signal_tile(spec, threads, sizes)
    itemsize = 8 if spec.exact else spec.itemsize
    planes = spec.channels + 2 * spec.outputs + 1
    *leading, last = spec.axes
    options = [_options(axis.output, axis.taps, axis.taps > 1) for axis in leading]
    ways: list[tuple[int, int, Shape]] = [(1, 1, ())]
    for axis in (*options, _options(last.output, last.taps, True)):
        ways = [(tiles * m, samples * n, (*shares, t)) for tiles, samples, shares in ways for m, t, n in axis]

    def badness(way: tuple[int, int, Shape]) -> tuple[float, float]:
        tiles, samples, _ = way
        rounds = -(-tiles // threads) if tiles < 8 * threads else tiles / threads
        work = samples * math.log2(samples + 1) * _slowness(samples * itemsize, 0.1, sizes.cache_bytes)
        over = max(1.0, samples * planes * itemsize / sizes.largest_bytes)
        return over, (rounds + 0.5) * (sizes.overhead + work)

    return min(ways, key=badness)[2]


@functools.lru_cache(maxsize=256)
def _options(output: int, taps: int, transformed: bool) -> list[tuple[int, int, int]]:
    """Ways to cut an axis: how many tiles, outputs of a tile, length of its transform."""
    if not transformed:
        sizes = sorted({min(output, 1 << doublings) for doublings in range(4, 16, 2)})
        return [(-(-output // size), size, size) for size in sizes]
    whole = fast_length(output + taps - 1)
    found: list[tuple[int, int, int]] = []
    least = math.inf
    for n in (*(n for n in LENGTHS if 1.5 * taps < n < whole), whole):
        share = min(output, n - taps + 1)
        count = -(-output // share)
        if count * n < 1.06 * least:  # a longer one is of no use where it leaves much more to do in all
            found.append((count, share, n))
        least = min(least, count * n)
    return found


def _signal_tile(spec: ConvSpec, threads: int, sizes: Sizes) -> Shape:
    """Whole rows, as many as the cache holds; some for each thread."""
    (axis,) = spec.axes
    row = _row_length(axis.output, axis.taps)
    step = row - axis.taps + 1
    rows = -(-axis.output // step)
    shares = min(-(-rows // 4), max(threads, rows * row // sizes.signal_samples))
    return (min(axis.output, -(-rows // shares) * step),)


def _row_length(output: int, taps: int) -> int:
    """Length of the rows that a signal is cut into."""
    return min(fast_length(output + taps - 1), _best_row_length(taps))


@functools.cache
def _best_row_length(taps: int) -> int:
    def badness(n: int) -> float:
        # Four rows are transformed together.
        return n / (n - taps + 1) * (1 + 0.05 * math.log2(n)) * _slowness(64 * n, 0.3)

    return min((n for n in LENGTHS if taps < n < 64 * taps + 1024), key=badness)


def _lengths(tile: Shape, taps: Shape) -> Shape:
    """Lengths of the transforms; there is none along an axis with a single tap, but for the last."""
    if len(tile) == 1:  # a signal becomes rows that overlap
        row = _row_length(tile[0], taps[0])
        return -(-tile[0] // (row - taps[0] + 1)), row
    *leading, last = zip(tile, taps, strict=True)
    return (*(fast_length(n + t - 1) if t > 1 else n for n, t in leading), fast_length(sum(last) - 1))


@functools.cache
def fast_length(n: int) -> int:
    """Return the least length, no smaller than `n`, without a prime factor above 5.

    >>> fast_length(263)
    270
    """
    return min(odd << (-(-n // odd) - 1).bit_length() for odd in ODD_LENGTHS)


def _rows_at_a_time(channels: int, lengths: Shape) -> int:
    return min(lengths[0], max(4, ROW_SAMPLES // (channels * math.prod(lengths[1:]))))


def prepare(kernels: Array, spec: ConvSpec, tile: Shape) -> Apply:
    """Transform the kernels once, for tiles of up to `tile` outputs."""
    lengths = _lengths(tile, kernels.shape[2:])
    transformed = Circular if array_module(kernels) is HOST else Whole
    correlate: Callable[..., None]
    if len(tile) == 1:
        correlate = _by_rows(transformed(kernels[:, :, None], lengths, spec.exact), kernels.shape[2])
    else:
        correlate = transformed(kernels, lengths, spec.exact)
    # Transforms add up all samples before they divide: large ones need headroom.
    scale = 2.0 ** -math.ceil(math.log2(math.prod(lengths)) + 1)

    def apply(window: Window, out: Array) -> None:
        correlate(window, out)
        if not all_finite(out):
            correlate(window, out, scale)
            out /= scale

    return apply


def _by_rows(circular: Circular | Whole, taps: int) -> Callable[..., None]:
    """Cut a signal into rows that overlap: four at a time are transformed twice as fast."""
    row = circular.lengths[1]
    step = row - taps + 1

    def correlate(window: Window, out: Array, scale: float = 1.0) -> None:
        signal = window.samples()
        count = out.shape[1] // step
        whole = count * step
        if count:
            shape = len(signal), count, row
            strides = signal.strides[0], step * signal.strides[1], signal.strides[1]
            rows = array_module(signal).xp.lib.stride_tricks.as_strided(signal, shape, strides)
            circular(Window(rows, window.dtype), out[:, :whole].reshape(len(out), count, step), scale)
        if whole < out.shape[1]:
            circular(Window(signal[:, None, whole:], window.dtype), out[:, None, whole:], scale)

    return correlate


class Circular:
    """Correlation of pieces that are padded with zeros, by way of their spectra.

    The kernels (outputs, channels, *taps) have two or three axes, the transforms those lengths; what is
    `exact` is computed in float64, and rounded to integers.
    """

    def __init__(self, kernels: Array, lengths: Shape, exact: bool) -> None:
        outputs, channels, *taps = kernels.shape
        self.taps, self.lengths, self.exact = tuple(taps), lengths, exact
        self.dtype = np.dtype(np.float64) if exact else kernels.dtype
        self.memory = Memory(channels, outputs, lengths, self.dtype)
        half = (*_extent(lengths, self.taps), lengths[-1] // 2 + 1)
        self.kernels = np.empty((outputs, channels, *half), self.memory.spectra.dtype)
        # Correlation is convolution with the kernel turned round.
        turned = np.flip(kernels, tuple(range(2, kernels.ndim)))
        for bank, spectra in zip(turned, self.kernels, strict=True):
            self.forward(Window(bank, self.dtype), self.taps, spectra)

    def __call__(self, window: Window, out: Array, scale: float = 1.0) -> None:
        """Fill `out` (outputs, *shape) from a window (channels, *(shape + taps - 1)) times `scale`."""
        shape = tuple(n + t - 1 for n, t in zip(out.shape[1:], self.taps, strict=True))
        extent = [n if t > 1 else s for n, t, s in zip(self.lengths, self.taps, shape, strict=True)][:-1]
        spectra = _first(self.memory.spectra, None, *extent)
        self.forward(window, shape, spectra, scale)
        if self.memory.product is None:
            spectra *= self.kernels[0]
            self.backward(spectra[0], out[0])
            return
        product, term = _first(self.memory.product, None, *extent)
        for bank, result in zip(self.kernels, out, strict=True):
            np.multiply(spectra[0], bank[0], out=product)
            for spectrum, kernel in zip(spectra[1:], bank[1:], strict=True):
                np.multiply(spectrum, kernel, out=term)
                product += term
            self.backward(product, result)

    def forward(self, window: Window, shape: Shape, spectra: Array, scale: float = 1.0) -> None:
        """Transform a window of that shape, padded with zeros; rows of zeros are left out."""
        held = _first(spectra, None, *shape[:-1])
        step = self.memory.rows.shape[1]
        for start in range(0, shape[0], step):
            stop = min(start + step, shape[0])
            transforms.real_forward(self.read(window, shape, start, stop, scale), held[:, start:stop])
        for axis in reversed(range(len(shape) - 1)):
            if self.taps[axis] > 1:
                held = _first(spectra, None, *shape[:axis])
                held[(slice(None),) * (axis + 1) + (slice(shape[axis], None),)] = 0
                transforms.forward(held, axis + 1)

    def read(self, window: Window, shape: Shape, start: int, stop: int, scale: float) -> Array:
        """Return some rows, as long as the transform is; from here to there they stay in cache."""
        rows = _first(self.memory.rows, None, stop - start, *shape[1:-1])
        target = rows[..., : shape[-1]]
        if window.indices is None:
            found = window.image[:, start:stop]
        else:
            indices = [window.indices[0][start:stop], *window.indices[1:]]
            part = Window(window.image, self.dtype, indices, window.steps, window.fill, lambda *_: target)
            found = part.samples()
        if scale == 1 and found.dtype == self.dtype and shape[-1] == self.lengths[-1]:
            return found
        if scale != 1 or found is not target:
            np.multiply(found, self.dtype.type(scale), out=target)
        rows[..., shape[-1] :] = 0
        return rows

    def backward(self, spectrum: Array, out: Array) -> None:
        """Transform back what is wanted: the first taps - 1 samples of each axis have wrapped around."""
        for axis, (n, t) in enumerate(zip(out.shape[:-1], self.taps[:-1], strict=True)):
            if t > 1:
                transforms.backward(spectrum, axis)
                spectrum = spectrum[(slice(None),) * axis + (slice(t - 1, t - 1 + n),)]
        first = self.taps[-1] - 1
        step = self.memory.rows.shape[1]
        for start in range(0, len(out), step):
            part = out[start : start + step]
            rows = _first(self.memory.rows[0], *part.shape[:-1])
            transforms.real_backward(spectrum[start : start + step], rows)
            wanted = rows[..., first : first + part.shape[-1]]
            if self.exact:
                np.rint(wanted, out=part, casting="same_kind")
            else:
                part[...] = wanted


class Memory(threading.local):
    """What a thread overwrites for every tile: fresh memory would cost more than the arithmetic."""

    def __init__(self, channels: int, outputs: int, lengths: Shape, dtype: np.dtype[Any]) -> None:
        half = (*lengths[:-1], lengths[-1] // 2 + 1)
        kind = np.result_type(dtype, np.complex64)
        self.spectra = np.empty((channels, *half), kind)
        self.product = np.empty((2, *half), kind) if channels * outputs > 1 else None
        self.rows = np.empty((channels, _rows_at_a_time(channels, lengths), *lengths[1:]), dtype)


def _first(array: Array, *counts: int | None) -> Array:
    """Return the first so many of each axis."""
    part: Array = array[tuple(map(slice, counts))]
    return part


class Whole:
    """As `Circular`, of any library: a transform of all axes at a time, and all of the tile."""

    def __init__(self, kernels: Array, lengths: Shape, exact: bool) -> None:
        self.xp = array_module(kernels).xp
        self.taps: Shape = kernels.shape[2:]
        self.lengths, self.exact = lengths, exact
        self.dtype = np.dtype(np.float64) if exact else kernels.dtype
        axes = [n for n in range(-len(lengths), 0) if self.taps[n] > 1 or n == -1]
        self.axes = {"s": tuple(lengths[n] for n in axes), "axes": tuple(axes)}
        turned = self.xp.flip(kernels, tuple(range(2, kernels.ndim)))
        self.kernels = self.xp.fft.rfftn(turned.astype(self.dtype), **self.axes)

    def __call__(self, window: Window, out: Array, scale: float = 1.0) -> None:
        """Fill `out` (outputs, *shape) from a window (channels, *(shape + taps - 1)) times `scale`."""
        samples = window.samples().astype(self.dtype, copy=False)
        scaled = samples * self.dtype.type(scale) if scale != 1 else samples
        spectra = self.xp.fft.rfftn(scaled, **self.axes)  # padded with zeros
        wrapped = [slice(t - 1, t - 1 + n) for n, t in zip(out.shape[1:], self.taps, strict=True)]
        for bank, result in zip(self.kernels, out, strict=True):
            product = spectra[0] * bank[0]
            for spectrum, kernel in zip(spectra[1:], bank[1:], strict=True):
                product += spectrum * kernel
            whole = self.xp.fft.irfftn(product, **self.axes)[tuple(wrapped)]
            result[...] = self.xp.rint(whole) if self.exact else whole
