"""How much noise an image holds, from its finest detail."""

import numpy as np

from convcli.arrays.library import Array
from convcli.engine.convolve import convolve

# Daubechies' orthonormal wavelet with 4 vanishing moments: it ignores smooth images, and nearly all that a
# blur leaves. Computed from its spectral factorisation.
WAVELET = (
    0.23037781330889650,
    -0.71484657055291570,
    0.63088076792985890,
    0.02798376941685985,
    -0.18703481171909309,
    -0.03084138183556076,
    0.03288301166688520,
    0.01059740178506903,
)
DIFFERENCE = (0.5**0.5, -(0.5**0.5))
ENOUGH = 0.1  # fraction of the samples with details: scattered unknown ones leave few to a long wavelet
MEDIAN_OF_NORMAL = 0.6744897501960817  # of |n| where n has variance 1


def estimate_noise(planes: Array, axes: int) -> float:
    """Standard deviation of white noise in (planes, *spatial), where NaN is unknown; 0 without detail.

    σ = median |d| / 0.6745 over the details d that are finest along every axis, not decimated; details that
    are exactly 0, as in clipped or flat areas, do not count, nor do those with an unknown sample. An axis
    that is too short for the wavelet takes plain differences, and so do all if unknown samples leave too few
    details. Donoho and Johnstone (1994), "Ideal spatial adaptation by wavelet shrinkage", section 4.2.
    """
    size = _details(planes, axes, WAVELET)
    if size.size < ENOUGH * planes.size:
        size = _details(planes, axes, DIFFERENCE)
    known = np.abs(planes[np.isfinite(planes)])
    if known.size:
        size = size[size > 1e-9 * float(known.max())]
    return float(np.median(size)) / MEDIAN_OF_NORMAL if size.size else 0.0


def _details(planes: Array, axes: int, wavelet: tuple[float, ...]) -> Array:
    """Absolute details without an unknown sample."""
    detail = planes.astype(np.float64, copy=False)
    for axis in range(-axes, 0):
        if detail.shape[axis] < 2:
            continue
        cells = np.array(wavelet if detail.shape[axis] >= 2 * len(wavelet) else DIFFERENCE)
        shape = [1] * axes
        shape[axis] = len(cells)
        detail = convolve(detail, cells.reshape(shape), mode="valid")
    return np.abs(detail[np.isfinite(detail)])
