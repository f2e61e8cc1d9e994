"""What lies outside the photo: nothing known, the photo again, a taper, or its mirror image."""

from __future__ import annotations

import numpy as np

from convcli.arrays.borders import border_index
from convcli.arrays.library import Array, array_module
from convcli.deconvolution.blur import Blur
from convcli.spec import choose

BORDERS = ("unknown", "wrap", "taper", "mirror")
LEAST_GAP = 8  # samples between the ends of an axis, which a penalty would else join


def frame(planes: Array, psf: Array, origin: tuple[int, ...], border: str, threads: int) -> Blur:
    """Put the photo on the grid on which the blur is circular.

    Parameters
    ----------
    planes : (planes, *spatial) array of float
        A sample that is not finite is unknown, whatever the border.
    psf : (*taps) array
        On the host.
    origin : tuple of int
    border : {"unknown", "wrap", "taper", "mirror"}
        The grid is larger by the PSF and what is added unknown; it is the photo; it is the photo,
        its rim blended into its own blur; it is one period of the photo and its mirror images.
    threads : int

    Returns
    -------
    Blur
    """
    choose(border, BORDERS, "border")
    shape = planes.shape[1:]
    known = np.isfinite(planes)
    if known.all():
        known = known[:1]
    else:
        planes = np.where(known, planes, _means(planes, known))
    whole = bool(known.all())
    if border == "unknown":
        grid = grid_shape(shape, psf.shape, border)
        for axis, size in enumerate(grid, 1):
            planes = _bridged(planes, axis, size)
        inside = np.zeros_like(known, shape=(len(known), *grid))
        box = tuple(slice(n) for n in shape)
        inside[(slice(None), *box)] = known
        return Blur(planes, psf, origin, known=inside, frame=box, threads=threads)
    if border == "mirror":
        for axis, size in enumerate(shape, 1):
            index = array_module(planes).to_device(border_index(size, 0, max(size - 2, 0), "mirror"))
            planes, known = planes.take(index, axis), known.take(index, axis)
    elif border == "taper":
        planes = _tapered(planes, psf, origin, threads)
    box = tuple(slice(n) for n in shape)
    return Blur(planes, psf, origin, known=None if whole else known, frame=box, threads=threads)


def grid_shape(shape: tuple[int, ...], taps: tuple[int, ...], border: str) -> tuple[int, ...]:
    """Return the grid's shape for a photo and a PSF.

    >>> grid_shape((100, 97), (5, 7), "unknown"), grid_shape((100, 97), (5, 7), "mirror")
    ((108, 108), (198, 192))
    """
    if border == "mirror":
        return tuple(max(2 * n - 2, 1) for n in shape)
    if border != "unknown":
        return shape
    from scipy.fft import next_fast_len

    return tuple(
        int(next_fast_len(n + max(t - 1, LEAST_GAP), real=True)) if n > 1 else 1
        for n, t in zip(shape, taps, strict=True)
    )


def is_mirrored(psf: Array, origin: tuple[int, ...]) -> bool:
    """Whether a PSF is its own mirror image along every axis.

    >>> is_mirrored(np.array([[1.0, 2.0, 1.0]]), (0, 1)), is_mirrored(np.eye(3), (1, 1))
    (True, False)
    """
    centred = all(2 * o == n - 1 for o, n in zip(origin, psf.shape, strict=True))
    return centred and all(np.allclose(psf, np.flip(psf, axis)) for axis in range(psf.ndim))


def _means(planes: Array, known: Array) -> Array:
    """Mean of what is known in every plane; 0 where nothing is."""
    axes = tuple(range(1, planes.ndim))
    total = np.where(known, planes, 0).sum(axis=axes, keepdims=True, dtype=np.float64)
    mean: Array = total / np.maximum(known.sum(axis=axes, keepdims=True), 1)
    return mean.astype(planes.dtype)


def _bridged(planes: Array, axis: int, size: int) -> Array:
    """Lengthen an axis by what leads smoothly from its end to its begin, mirror image to mirror image."""
    length = planes.shape[axis]
    gap = size - length
    if gap == 0:
        return planes
    bring = array_module(planes).to_device
    shape = [-1 if a == axis else 1 for a in range(planes.ndim)]
    falling = (1 + np.cos(np.pi * (np.arange(gap) + 0.5) / gap)) / 2
    weight = bring(falling.astype(planes.dtype).reshape(shape))
    ahead = planes.take(bring(border_index(length, 0, gap, "mirror")[length:]), axis)
    behind = planes.take(bring(border_index(length, gap, 0, "mirror")[:gap]), axis)
    return np.concatenate([planes, weight * ahead + (1 - weight) * behind], axis)


def _tapered(planes: Array, psf: Array, origin: tuple[int, ...], threads: int) -> Array:
    """Blend the rim into the photo's own circular blur, by the autocorrelation of the PSF.

    References
    ----------
    MATLAB's ``edgetaper``: α = Π over the axes of 1 − ρ(i)/ρ(0), ρ the autocorrelation of the PSF's
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
        shape = [-1 if a == axis else 1 for a in range(len(blur.grid))]
        alpha *= blur.lib.to_device((1 - correlation).astype(planes.dtype).reshape(shape))
    tapered: Array = planes * alpha + blur.apply(planes) * (1 - alpha)
    axes = tuple(range(1, planes.ndim))
    tapered += planes.mean(axis=axes, keepdims=True) - tapered.mean(axis=axes, keepdims=True)
    return tapered
