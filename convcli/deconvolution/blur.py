"""The blur as a linear map on a grid, by its Fourier transform; differences and their adjoint."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from convcli.arrays.library import HOST, Array, array_module


class Blur:
    """The observation y = M (h ∗ x) + n, and how h acts.

    The convolution is circular on a grid at least as large as the photo; M keeps the samples of the
    photo that are known. Where the grid is the photo and everything is known, M is the identity.

    `observed` and `filled` (planes, *grid) are y with zeros, and with a first guess, where nothing is known;
    `known` (1 or planes, *grid) is M, or None; `psf` is h, with its cell `origin` on the output; `transfer`
    and `gain` are its transform, as `numpy.fft.rfftn` has it, and the squared magnitude of that; `frame` is
    the photo's place in the grid, `count` the number of known samples. `inverse` overwrites its input.
    """

    def __init__(
        self,
        observed: Array,
        psf: Array,
        origin: tuple[int, ...],
        *,
        known: Array | None = None,
        frame: tuple[slice, ...] | None = None,
        threads: int = 1,
    ) -> None:
        self.lib = array_module(observed)
        self.grid: tuple[int, ...] = observed.shape[1:]
        self.axes = tuple(range(-len(self.grid), 0))
        self.dtype = observed.dtype
        self.forward, self.inverse = self._transforms(threads)
        self.frame = frame or (slice(None),) * len(self.grid)
        self.known = None if known is None else known.astype(observed.dtype)
        self.filled = observed
        self.observed = observed if self.known is None else observed * self.known
        self.count = observed.size
        if known is not None:
            self.count = int(np.count_nonzero(known)) * (len(observed) // len(known))
        self.set_psf(self.lib.to_device(psf), origin)

    def _transforms(self, threads: int) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
        if self.lib is HOST:
            from scipy import fft

            forward = functools.partial(fft.rfftn, axes=self.axes, workers=threads)
            inverse = functools.partial(fft.irfftn, workers=threads, overwrite_x=True)
        else:
            forward = functools.partial(self.lib.xp.fft.rfftn, axes=self.axes)
            inverse = self.lib.xp.fft.irfftn
        return forward, functools.partial(inverse, s=self.grid, axes=self.axes)

    def set_psf(self, psf: Array, origin: tuple[int, ...]) -> None:
        """Take another point spread function for h, which lies where the rest is."""
        self.psf, self.origin = psf, origin
        placed = np.zeros_like(self.observed, shape=self.grid)
        placed[tuple(slice(n) for n in psf.shape)] = psf
        placed = np.roll(placed, [-o for o in origin], self.axes)
        self.transfer = self.forward(placed)
        self.gain = power(self.transfer)

    @functools.cached_property
    def spectrum(self) -> Array:
        """The transform of y, as filled in where nothing is known."""
        return self.forward(self.filled)

    def apply(self, image: Array) -> Array:
        """H x."""
        spectrum = self.forward(image)
        spectrum *= self.transfer
        return self.inverse(spectrum)

    def masked(self, image: Array) -> Array:
        """M x, in place."""
        if self.known is not None:
            image *= self.known
        return image

    def residual(self, spectrum: Array) -> Array:
        """Transform of M (y − H x), from the transform of x."""
        blurred: Array = self.transfer * spectrum
        if self.known is None:
            np.subtract(self.spectrum, blurred, out=blurred)
            return blurred
        rest = self.inverse(blurred)
        np.subtract(self.observed, rest, out=rest)
        return self.forward(self.masked(rest))

    def crop(self, image: Array) -> Array:
        """The photo's part of a grid."""
        part: Array = image[(slice(None), *self.frame)]
        return part

    @functools.cached_property
    def multiplicity(self) -> Array:
        """How often each frequency of the half that is kept stands in the whole transform, over its size."""
        length = self.grid[-1]
        times = np.full(length // 2 + 1, 2.0)
        times[0 if length % 2 else [0, -1]] = 1
        return self.lib.to_device((times / math.prod(self.grid)).astype(self.dtype))

    def mean(self, values: Array) -> float:
        """Mean over all frequencies of the grid of a real quantity."""
        return float(
            np.dot(values.reshape(-1, values.shape[-1]).sum(axis=0, dtype=np.float64), self.multiplicity)
        )

    def rms(self, residual: Array) -> float:
        """Root mean square over the known samples, of a transform."""
        return math.sqrt(self.mean(power(residual)) / self.count)

    @functools.cached_property
    def roughness(self) -> Array:
        """The transform of −Δ, the sum of DᵀD over the axes: Σ (2 − 2 cos ω)."""
        waves = [2 - 2 * np.cos(2 * np.pi * np.arange(n) / n) for n in self.grid]
        waves[-1] = waves[-1][: self.grid[-1] // 2 + 1]
        total: Any = sum(map(self.lib.to_device, np.ix_(*waves)))
        result: Array = total.astype(self.dtype, copy=False)
        return result


def power(spectrum: Array) -> Array:
    """Squared magnitude."""
    return squared_length((spectrum.real, spectrum.imag))


def along(values: Array, axis: int, axes: int) -> Array:
    """Shape a vector to lie along one of so many axes."""
    return values.reshape([-1 if a == axis else 1 for a in range(axes)])


def squared_length(parts: Array | tuple[Array, ...]) -> Array:
    """Square of the Euclidean norm over axis 0."""
    result: Array = np.square(parts[0])
    for part in parts[1:]:
        result += np.square(part)
    return result


def differences(image: Array, axes: int) -> Array:
    """D x, (axes, planes, *grid): forward differences along each of the last `axes` axes, circular.

    >>> differences(np.array([[1.0, 2.0, 4.0]]), 1).tolist()
    [[[1.0, 2.0, -3.0]]]
    """
    result = np.empty_like(image, shape=(axes, *image.shape))
    for part, axis in zip(result, range(-axes, 0), strict=True):
        before, after = np.moveaxis(image, axis, 0), np.moveaxis(part, axis, 0)
        np.subtract(before[1:], before[:-1], out=after[:-1])
        np.subtract(before[0], before[-1], out=after[-1])
    return result


def divergence(parts: Array, out: Array) -> Array:
    """Dᵀ u, the adjoint of `differences`, into `out`.

    >>> divergence(np.array([[[1.0, 2.0, -3.0]]]), np.empty((1, 3))).tolist()
    [[-4.0, -1.0, 5.0]]
    """
    out[...] = 0
    for part, axis in zip(parts, range(-len(parts), 0), strict=True):
        source, target = np.moveaxis(part, axis, 0), np.moveaxis(out, axis, 0)
        target -= source
        target[1:] += source[:-1]
        target[0] += source[-1]
    return out
