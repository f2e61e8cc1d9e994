"""The blur as a linear map on a grid, by its Fourier transform."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from convcli.arrays.library import HOST, Array, ArrayLib, array_module


class Blur:
    """What was observed, y = M (h ∗ x) + n, and how h acts.

    The convolution is circular on a grid at least as large as the photo; M keeps the samples of the
    photo that are known. Where the grid is the photo and everything is known, M is the identity.

    Parameters
    ----------
    observed : (planes, *grid) array of float
        y, and a first guess where nothing is known. On a GPU all the others are there too.
    psf : (*taps) array
        On the host.
    origin : tuple of int
        Cell of `psf` that sits on the output.
    known : (1 or planes, *grid) array of bool, optional
        M; all is known by default.
    frame : tuple of slices, optional
        Where the photo lies in the grid; it is the grid by default.
    threads : int
        That transform on the host.

    Attributes
    ----------
    lib : ArrayLib
        What computes.
    psf : (*taps) array
        h, where the rest is.
    observed, filled : (planes, *grid) array
        y with zeros, and with the guess, where nothing is known.
    count : int
        Known samples.
    transfer : complex array
        The transform of h: its values at the frequencies of `numpy.fft.rfftn`.
    gain : array
        Squared magnitude of `transfer`.
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
        self._forward, self._inverse = transforms(self.lib, self.grid, threads)
        self.frame = frame or (slice(None),) * len(self.grid)
        self.known = None if known is None else known.astype(observed.dtype)
        self.filled = observed
        self.observed = observed if self.known is None else observed * self.known
        self.count = observed.size
        if known is not None:
            self.count = int(np.count_nonzero(known)) * (len(observed) // len(known))
        self.see(self.lib.to_device(psf), origin)

    def see(self, psf: Array, origin: tuple[int, ...]) -> None:
        """Take another point spread function for h, that lies where the rest is."""
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

    def forward(self, image: Array) -> Array:
        """Transform the last axes."""
        return self._forward(image)

    def inverse(self, spectrum: Array) -> Array:
        """Undo `forward`; overwrites `spectrum`."""
        return self._inverse(spectrum)

    def apply(self, image: Array) -> Array:
        """H x."""
        spectrum = self.forward(image)
        spectrum *= self.transfer
        return self.inverse(spectrum)

    def adjoint(self, image: Array) -> Array:
        """Hᵀ x."""
        spectrum = self.forward(image)
        spectrum *= self.transfer.conj()
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
        times[0] = 1
        if length % 2 == 0:
            times[-1] = 1
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
        total: Any = 0.0
        for axis, size in enumerate(self.grid):
            kept = size // 2 + 1 if axis == len(self.grid) - 1 else size
            wave = 2 - 2 * np.cos(2 * np.pi * np.arange(kept) / size)
            shape = [-1 if a == axis else 1 for a in range(len(self.grid))]
            total = total + self.lib.to_device(wave.reshape(shape))
        result: Array = total.astype(self.dtype, copy=False)
        return result


def transforms(
    lib: ArrayLib, grid: tuple[int, ...], threads: int
) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Fourier transform of the last axes, of real numbers, and its inverse, which may overwrite its input.

    >>> forward, inverse = transforms(HOST, (4,), 1)
    >>> inverse(forward(np.array([[1.0, 2.0, 3.0, 5.0]]))).round(9).tolist()
    [[1.0, 2.0, 3.0, 5.0]]
    """
    axes = tuple(range(-len(grid), 0))
    if lib is not HOST:
        fft = lib.xp.fft
        return functools.partial(fft.rfftn, axes=axes), functools.partial(fft.irfftn, s=grid, axes=axes)
    from scipy.fft import irfftn, rfftn

    return (
        functools.partial(rfftn, axes=axes, workers=threads),
        functools.partial(irfftn, s=grid, axes=axes, workers=threads, overwrite_x=True),
    )


def power(spectrum: Array) -> Array:
    """Squared magnitude.

    >>> power(np.array([3 + 4j]))
    array([25.])
    """
    result: Array = np.square(spectrum.real)
    result += np.square(spectrum.imag)
    return result


def squared_length(parts: Array) -> Array:
    """Square of the Euclidean norm over axis 0.

    >>> squared_length(np.array([[3.0, 1.0], [4.0, 0.0]])).tolist()
    [25.0, 1.0]
    """
    result: Array = np.square(parts[0])
    for part in parts[1:]:
        result += np.square(part)
    return result


def differences(image: Array, axes: int) -> Array:
    """D x: forward differences along each of the last `axes` axes, circular.

    Parameters
    ----------
    image : (planes, *grid) array

    Returns
    -------
    (axes, planes, *grid) array

    Examples
    --------
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
