"""CLEAN: the image is points on a flat background, taken off the observation a little at a time."""

import itertools
from collections.abc import Iterator

import numpy as np

from convcli.arrays.library import Array
from convcli.deconvolution.blur import Blur
from convcli.deconvolution.method import MethodOptions, Step

SUMMARY = "Högbom's CLEAN, for stars and other points on a flat background; 500 components an iteration"
ITERATIONS = 200
TOLERANCE = 0.0
OPTIONS = ()
POSITIVE = False

CYCLES = 500  # components that an iteration takes off every plane: many, for it ends with a convolution
GAIN = 0.1  # fraction of a peak that a component takes
DEPTH = 3.0  # standard deviations of the noise below which a peak is none
FLOOR = 1e-5  # of the first peak: no peak is below that
ROUNDING = 64  # units in the last place of the observation: no peak is below that either
LOBE = 0.05  # of the PSF's peak: cells above this and connected with it are its core
ASTRAY = 2.0  # growth of the largest residual after which an iteration is given up


def restore(blur: Blur, options: MethodOptions) -> Iterator[Step]:
    """Collect points c until y − H(c + background) has no peak above 3 σ; show them through a beam.

    An iteration takes up to 500 components: one is a tenth of the largest residual over the PSF's peak, and
    sits where the PSF's peak falls on that residual. The background of a plane is its median. The beam is a
    Gaussian of sum 1 and a quarter of the covariance of the PSF's core, so half as wide. Residual and
    background, over the PSF's sum, are added: the mean stays. Asked for more iterations, it goes on below 3
    σ. It needs a PSF with one peak; a residual that grows ends it, as it may for a PSF with a plateau.

    Högbom (1974), "Aperture synthesis with a non-regular distribution of interferometer baselines",
    Astronomy and Astrophysics Supplement 15, 417.
    """
    sky = [_Plane(blur, number) for number in range(len(blur.observed))]
    backgrounds = np.array([plane.background for plane in sky], blur.dtype)
    background = blur.lib.to_device(backgrounds.reshape(-1, *(1 for _ in blur.grid)))
    total = float(blur.psf.sum())
    if abs(total) <= 1e-9 * float(np.abs(blur.psf).sum()):  # no brightness to be kept
        total = float(np.abs(blur.psf).sum())
    beam = blur.forward(_beam(blur))
    least = DEPTH * options.noise
    while True:
        for plane in sky:
            plane.take(CYCLES, least)
        image = blur.forward(np.stack([plane.points for plane in sky]))
        image *= beam
        image = blur.inverse(image)
        rest = np.stack([plane.rest for plane in sky])
        image += (rest + background) / total
        residual = float(np.square(rest).sum(dtype=np.float64) / max(blur.count, 1)) ** 0.5
        done = all(plane.stuck or plane.peak <= max(least, plane.floor) for plane in sky)
        note = "the residual grew and it stopped early; --method tv needs no peak in the PSF"
        stuck = any(plane.stuck for plane in sky)
        yield Step(image, residual, options.noise, done=done, note=note if stuck else "")
        if done:
            least = 0.0


class _Plane:
    """The residual of one plane, and the points taken from it.

    The largest residual of every row of the grid is kept up to date, so that a component costs the rows
    it is in and not the plane. Of a plane on a GPU, no more than a few numbers come to the host for it.
    """

    def __init__(self, blur: Blur, number: int) -> None:
        self.known = known = None if blur.known is None else blur.known[number % len(blur.known)]
        observed = blur.observed[number]
        seen = observed if known is None else observed[known > 0]
        self.background = float(np.median(seen)) if seen.size else 0.0
        self.rest = observed - observed.dtype.type(self.background)
        if known is not None:
            self.rest *= known
        self.points = np.zeros_like(self.rest)
        self.rows = _largest(self.rest)
        rounding = ROUNDING * float(np.finfo(blur.dtype).eps) * float(np.abs(observed).max())
        self.floor = max(FLOOR * self.peak, rounding)
        self.stuck = False
        self.cell = _place(int(np.abs(blur.psf).argmax()), blur.psf.shape)
        self.psf, self.height = blur.psf, float(blur.psf[self.cell])
        self.shift = [o - c for o, c in zip(blur.origin, self.cell, strict=True)]

    @property
    def peak(self) -> float:
        return float(self.rows.max())

    def take(self, cycles: int, least: float) -> None:
        """Move up to so many components from the residual to the points; all or, if it grows, none."""
        before = self.rest.copy(), self.points.copy(), self.rows.copy()
        start = self.peak
        for _ in range(0 if self.stuck else cycles):
            row = _place(int(self.rows.argmax()), self.rest.shape[:-1])
            at = (*row, int(np.abs(self.rest[row]).argmax()))
            height = float(self.rest[at])
            if not max(least, self.floor) < abs(height) <= ASTRAY * start:
                break
            self._component(at, GAIN * height / self.height)
        if not _energy(self.rest) <= _energy(before[0]):
            self.rest, self.points, self.rows = before
            self.stuck = True

    def _component(self, at: tuple[int, ...], flux: float) -> None:
        """Take one, whose peak is at `at`."""
        shape = self.rest.shape
        self.points[tuple((p + s) % n for p, s, n in zip(at, self.shift, shape, strict=True))] += flux
        *lines, line = (
            _pieces((p - c) % n, t, n)
            for p, c, t, n in zip(at, self.cell, self.psf.shape, shape, strict=True)
        )
        for pieces in itertools.product(*lines):
            rows, cells = tuple(there for there, _ in pieces), tuple(here for _, here in pieces)
            for columns, part in line:
                taken = flux * self.psf[(*cells, part)]
                if self.known is not None:
                    taken *= self.known[(*rows, columns)]
                self.rest[(*rows, columns)] -= taken
            self.rows[rows] = _largest(self.rest[rows])


def _pieces(start: int, taps: int, size: int) -> list[tuple[slice, slice]]:
    """Where on a circular axis a PSF comes to lie, and which of its cells there.

    >>> _pieces(6, 3, 8)
    [(slice(6, 8, None), slice(0, 2, None)), (slice(0, 1, None), slice(2, 3, None))]
    """
    first = min(taps, size - start)
    pieces = [(slice(start, start + first), slice(0, first))]
    if first < taps:
        pieces.append((slice(0, taps - first), slice(first, taps)))
    return pieces


def _largest(lines: Array) -> Array:
    """Largest absolute value of every row."""
    result: Array = np.abs(lines).max(axis=-1, keepdims=True)
    return result


def _beam(blur: Blur) -> Array:
    """Gaussian of a quarter of the covariance of the PSF's core, around the grid's first cell."""
    from scipy import ndimage

    size = np.abs(blur.lib.to_host(blur.psf)).astype(np.float64)
    lobes, _ = ndimage.label(size > LOBE * size.max(), np.ones((3,) * size.ndim))
    core = lobes == lobes[np.unravel_index(int(size.argmax()), size.shape)]
    places = np.argwhere(core).astype(np.float64)
    weights = size[core] / size[core].sum()
    places -= weights @ places
    covariance = np.einsum("p,pa,pb->ab", weights, places, places) / 4
    inverse = np.linalg.inv(covariance + 1e-3 * np.eye(size.ndim))  # a single cell's beam is a single cell
    axes = (blur.lib.to_device(np.fft.fftfreq(n, 1 / n)) for n in blur.grid)
    away = np.meshgrid(*axes, indexing="ij", sparse=True)
    square = sum(inverse[a, b] * away[a] * away[b] for a in range(size.ndim) for b in range(size.ndim))
    beam = np.exp(-square / 2)
    result: Array = (beam / beam.sum()).astype(blur.dtype)
    return result


def _energy(rest: Array) -> float:
    return float(np.square(rest, dtype=np.float64).sum())


def _place(number: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unravel_index(number, shape))
