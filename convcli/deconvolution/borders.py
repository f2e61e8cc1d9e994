"""Outside the photo: unknown samples, the photo again, a taper, or its mirror image."""

import numpy as np

from convcli.arrays.borders import border_index
from convcli.arrays.library import Array, array_module
from convcli.deconvolution.blur import Blur, along

BORDERS = ("unknown", "wrap", "taper", "mirror")
LEAST_GAP = 8  # samples between the ends of an axis, which a penalty would else join


def frame(planes: Array, psf: Array, origin: tuple[int, ...], border: str, threads: int) -> Blur:
    """Put the photo on the grid on which the blur is circular.

    A sample of `planes` (planes, *spatial) that is not finite is unknown, whatever the border. The grid is
    larger than the photo by the PSF, and what is added unknown (``unknown``); it is the photo (``wrap``),
    whose rim may be blended into its own blur (``taper``); it is one period of the photo and its mirror
    images (``mirror``).
    """
    shape = planes.shape[1:]
    box = tuple(slice(n) for n in shape)
    known = np.isfinite(planes)
    if known.all():
        known = known[:1]
    else:  # unknown samples begin as the mean of the known ones of their plane, or as 0
        axes = tuple(range(1, planes.ndim))
        total = np.where(known, planes, 0).sum(axis=axes, keepdims=True, dtype=np.float64)
        mean = total / np.maximum(known.sum(axis=axes, keepdims=True), 1)
        planes = np.where(known, planes, mean.astype(planes.dtype))
    complete = border != "unknown" and bool(known.all())
    if border == "unknown":
        grid = grid_shape(shape, psf.shape, border)
        for axis, size in enumerate(grid, 1):
            planes = _bridged(planes, axis, size)
        inside = np.zeros_like(known, shape=(len(known), *grid))
        inside[(slice(None), *box)] = known
        known = inside
    elif border == "mirror":
        for axis, size in enumerate(shape, 1):
            index = array_module(planes).to_device(border_index(size, 0, max(size - 2, 0), "mirror"))
            planes, known = planes.take(index, axis), known.take(index, axis)
    elif border == "taper":
        planes = _tapered(planes, psf, origin, threads)
    return Blur(planes, psf, origin, known=None if complete else known, frame=box, threads=threads)


def grid_shape(shape: tuple[int, ...], psf_shape: tuple[int, ...], border: str) -> tuple[int, ...]:
    """Return the grid's shape for a photo and a PSF."""
    if border == "mirror":
        return tuple(max(2 * n - 2, 1) for n in shape)
    if border != "unknown":
        return shape
    from scipy.fft import next_fast_len

    return tuple(
        int(next_fast_len(n + max(t - 1, LEAST_GAP), real=True)) if n > 1 else 1
        for n, t in zip(shape, psf_shape, strict=True)
    )


def is_mirrored(psf: Array, origin: tuple[int, ...]) -> bool:
    """Whether a PSF is its own mirror image along every axis."""
    centred = all(2 * o == n - 1 for o, n in zip(origin, psf.shape, strict=True))
    return centred and all(np.allclose(psf, np.flip(psf, axis)) for axis in range(psf.ndim))


def _bridged(planes: Array, axis: int, size: int) -> Array:
    """Lengthen an axis by a smooth transition from the mirror image at its end to that at its begin."""
    length = planes.shape[axis]
    gap = size - length
    if gap == 0:
        return planes
    to_device = array_module(planes).to_device
    falling = (1 + np.cos(np.pi * (np.arange(gap) + 0.5) / gap)) / 2
    weight = to_device(along(falling.astype(planes.dtype), axis, planes.ndim))
    ahead = planes.take(to_device(border_index(length, 0, gap, "mirror")[length:]), axis)
    behind = planes.take(to_device(border_index(length, gap, 0, "mirror")[:gap]), axis)
    return np.concatenate([planes, weight * ahead + (1 - weight) * behind], axis)


def _tapered(planes: Array, psf: Array, origin: tuple[int, ...], threads: int) -> Array:
    """Blend the rim into the photo's own circular blur, by the autocorrelation of the PSF.

    As MATLAB's ``edgetaper``: α = Π over the axes of 1 − ρ(i)/ρ(0), with ρ the autocorrelation of the PSF's
    projection on the axis, one period long. The mean is kept.
    """
    blur = Blur(planes, psf, origin, threads=threads)
    alpha = np.ones_like(planes, shape=blur.grid)
    for axis, size in enumerate(blur.grid):
        if size == 1:
            continue
        profile = np.abs(psf).sum(axis=tuple(a for a in range(psf.ndim) if a != axis))
        square = np.abs(np.fft.rfft(profile, size - 1)) ** 2
        correlation = np.fft.irfft(square, size - 1)
        correlation = np.append(correlation, correlation[0]) / correlation[0]
        alpha *= blur.lib.to_device(along((1 - correlation).astype(planes.dtype), axis, len(blur.grid)))
    tapered: Array = planes * alpha + blur.apply(planes) * (1 - alpha)
    axes = tuple(range(1, planes.ndim))
    tapered += planes.mean(axis=axes, keepdims=True) - tapered.mean(axis=axes, keepdims=True)
    return tapered
