"""Overlap-save: the convolution theorem on tiles that fit the cache."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from convcli.arrays import Array, Window, all_finite
from convcli.backends import Apply
from convcli.spec import ConvSpec, Cost

SUMMARY = "overlap-save on tiles, real transforms, kernel transformed once"
USES_BLAS = False
IN_PASSES = False  # transforms cost the same for all kernels

# Per sample and per doubling of the transform's length, 4 bytes; per tile.
RATES = {"butterfly": 2.1e-10, "call": 1.6e-4, "import scipy.fft": 0.12}
NUMPY_BUTTERFLY = 3.0  # of SciPy's
LARGEST_TILE_BYTES = 1 << 25
TILE_OVERHEAD = 2e5  # of a tile, in samples times doublings: five calls, and threads that wait for each other
TILE_SIDES = {
    1: (4096, 16384, 65536, 262144),
    2: (64, 96, 128, 160, 192, 240, 288, 324, 360, 400, 432, 480, 512, 576, 640, 720, 810, 960, 1152),
    3: (24, 32, 40, 48, 64, 96, 128),
}


def unavailable() -> None:
    """Both NumPy and SciPy have transforms."""


def unsupported(spec: ConvSpec) -> str | None:
    """Refuse integers that transforms in float64 might round to a neighbour."""
    samples = math.prod(_transform_shape(tile(spec), spec.kernel_shape))
    # Rounding grows like eps · log2(N) · ‖x‖ · ‖k‖ (Higham, Accuracy and Stability, theorem 24.2).
    error = spec.bound * math.sqrt(samples) * math.log2(samples + 1) * 2.0**-53
    if spec.dtype == "int64" or (spec.exact and error > 0.25):
        return f"exact integers up to {spec.bound:.3g} are beyond float64 transforms"
    return None


def cost(spec: ConvSpec) -> Cost:
    """A forward and an inverse transform per tile, and one product."""
    share = tile(spec)
    samples = math.prod(_transform_shape(share, spec.kernel_shape))
    tiles = _tiles(spec, share)
    itemsize = 8 if spec.exact else spec.itemsize
    per_image = tiles * spec.batch * samples * math.log2(samples + 1)
    transformed = per_image * (spec.channels + spec.outputs)
    multiply_adds = 1.25 * transformed + 2.0 * tiles * spec.batch * samples * spec.channels * spec.outputs
    scipy = _scipy_pays(spec)
    kernels = samples * math.log2(samples + 1) * spec.channels * spec.outputs
    work = {
        "butterfly": itemsize / 8 * (transformed + kernels) * (1 if scipy else NUMPY_BUTTERFLY),
        "call": tiles * spec.batch,
    }
    start = {"import scipy.fft": 1.0} if scipy and "scipy.fft" not in sys.modules else {}
    kept = spec.channels * spec.outputs * samples * itemsize
    return Cost(multiply_adds, kept, 2 * (spec.channels + spec.outputs) * samples * itemsize, work, start)


def _transform_shape(tile: tuple[int, ...], taps: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(fast_length(n + t - 1) for n, t in zip(tile, taps, strict=True))


def _tiles(spec: ConvSpec, tile: tuple[int, ...]) -> int:
    return math.prod(-(-axis.output // n) for axis, n in zip(spec.axes, tile, strict=True))


@functools.lru_cache(maxsize=64)
def tile(spec: ConvSpec) -> tuple[int, ...]:
    """Equal shares of the output, of the size with the least arithmetic over the whole image."""
    best: tuple[float, tuple[int, ...]] | None = None
    itemsize = 8 if spec.exact else spec.itemsize
    planes = spec.channels + 2 * spec.outputs + 1
    for side in TILE_SIDES[len(spec.kernel_shape)]:
        # At least half of a transform should be of use; equal shares leave no small rest.
        counts = [-(-axis.output // max(side - axis.taps + 1, axis.taps)) for axis in spec.axes]
        share = tuple(-(-axis.output // count) for axis, count in zip(spec.axes, counts, strict=True))
        samples = math.prod(_transform_shape(share, spec.kernel_shape))
        if best is not None and samples * planes * itemsize > LARGEST_TILE_BYTES:
            continue
        # Every doubling past the second-level cache makes a transform about a third slower.
        slow = 1 + 0.3 * max(0.0, math.log2(samples * itemsize) - 20)
        work = _tiles(spec, share) * (samples * math.log2(samples + 1) * slow + TILE_OVERHEAD)
        if best is None or work < best[0]:
            best = work, share
    assert best is not None
    return best[1]


@functools.cache
def fast_length(n: int) -> int:
    """Return the least length, no smaller than `n`, without a prime factor above 5.

    >>> fast_length(263)
    270
    """
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def _scipy_pays(spec: ConvSpec) -> bool:
    """SciPy's transforms are three times as fast; to import them takes 0.12 s, once (as shipped)."""
    if "scipy.fft" in sys.modules:
        return True
    samples = spec.samples * max(1, spec.channels)
    gain = samples * 20 * (NUMPY_BUTTERFLY - 1) * RATES["butterfly"]
    return gain > RATES["import scipy.fft"] / 2


class Transforms:
    """One-dimensional transforms of NumPy or SciPy that reuse their operand's memory.

    Fresh memory for every step of every tile would cost as much as the arithmetic.
    """

    def __init__(self, spec: ConvSpec) -> None:
        self.module: Any = np.fft
        self.in_place: Callable[[Array], dict[str, Any]] = lambda operand: {"out": operand}
        if _scipy_pays(spec):
            import scipy.fft

            self.module, self.in_place = scipy.fft, lambda _: {"overwrite_x": True}

    def forward(self, image: Array, shape: tuple[int, ...]) -> Array:
        """Transform the last axes of a real array, padded with zeros to `shape`."""
        spectrum: Array = self.module.rfft(image, shape[-1], axis=-1)
        for axis, n in zip(range(-len(shape), -1), shape[:-1], strict=True):
            reuse = self.in_place(spectrum) if spectrum.shape[axis] == n else {}
            spectrum = self.module.fft(spectrum, n, axis=axis, **reuse)
        return spectrum

    def backward(self, spectrum: Array, length: int, wanted: tuple[slice, ...]) -> Array:
        """Transform back, and keep what is wanted: the last transforms are of rows that are."""
        for axis, part in zip(range(-len(wanted), -1), wanted[:-1], strict=True):
            spectrum = self.module.ifft(spectrum, axis=axis, **self.in_place(spectrum))
            spectrum = np.moveaxis(np.moveaxis(spectrum, axis, 0)[part], 0, axis)
        real: Array = self.module.irfft(spectrum, length, axis=-1)
        return real[..., wanted[-1]]


def prepare(kernels: Array, spec: ConvSpec, tile: tuple[int, ...]) -> Apply:
    """Transform the kernels once, for tiles of up to `tile` outputs."""
    taps = kernels.shape[2:]
    dtype = np.dtype(np.float64) if spec.exact else kernels.dtype
    transforms = Transforms(spec)
    shape = _transform_shape(tile, taps)
    # Correlation is convolution with the kernel turned round.
    turned = np.flip(kernels, tuple(range(-len(taps), 0))).astype(dtype)
    kernel_spectra = transforms.forward(turned, shape)

    def apply(window: Window, out: Array) -> None:
        image = window.samples()
        valid = circular(image)
        if not all_finite(valid):
            # Transforms add up all samples before they divide: large ones need room above them.
            room = dtype.type(2.0 ** -math.ceil(math.log2(math.prod(shape)) + 1))
            valid = circular(image * room) / room
        if spec.exact:
            np.rint(valid, out=valid)
        np.copyto(out, valid, casting="same_kind")

    def circular(image: Array) -> Array:
        spectrum = transforms.forward(image.astype(dtype, copy=False), shape)
        if kernels.shape[:2] == (1, 1):
            spectrum *= kernel_spectra[0]
        else:
            spectrum = (kernel_spectra * spectrum).sum(axis=1)
        # The first taps - 1 samples of a circular convolution have wrapped around.
        wanted = tuple(slice(t - 1, n) for t, n in zip(taps, image.shape[1:], strict=True))
        return transforms.backward(spectrum, shape[-1], wanted)

    return apply
