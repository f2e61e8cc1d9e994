"""The arguments of `convcli.deconvolve`: checked, and brought into the form that the methods take."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convcli.arrays.library import Array, array_module
from convcli.arrays.samples import samples_of
from convcli.deconvolution import methods
from convcli.deconvolution.device import to_library
from convcli.deconvolution.iteration import Judge
from convcli.deconvolution.noise import estimate_noise
from convcli.deconvolution.quality import isnr, psnr, ssim
from convcli.engine.precision import PRECISIONS
from convcli.errors import InputError, UsageError
from convcli.spec import PerAxis, Shape, checked_origin, choose, default_origin, whole
from convcli.text import shape_text

ROUNDING = 12**-0.5  # standard deviation of the error of rounding to whole numbers
# Estimates are at least this fraction of the image's standard deviation: with less noise, iterations take
# longer to converge than their result is worth.
LEAST_NOISE = 1e-3
LEAST_GIVEN, MOST_GIVEN = 1e-5, 1e6
# Squares and sums of samples between these are float32; beyond the last they are no float64 either.
SMALL, LARGE, LARGEST = 1e-9, 1e9, 1e100


def check_options(method: str, given: Mapping[str, bool]) -> None:
    """Refuse options that were given and that the method does not use."""
    known = methods.load(method).OPTIONS
    for name, asked in given.items():
        if asked and name not in known:
            users = [other for other in methods.names() if name in methods.load(other).OPTIONS]
            raise UsageError(f"{name} means nothing to method {method}; it is for {', '.join(users)}")


def point_spread(shape: Shape, psf: Array, origin: PerAxis | None, normalize: bool) -> tuple[Array, Shape]:
    """Check the PSF against the image, and scale it."""
    weights = psf.astype(np.float64)
    axes = weights.ndim
    if not 1 <= axes <= 3 or weights.size == 0 or not np.isfinite(weights).all():
        raise UsageError(f"a PSF {shape_text(psf.shape)} must have 1 to 3 axes and finite cells")
    if len(shape) < axes or 0 in shape:
        raise UsageError(f"image {shape_text(shape)} has no {axes} axes of samples for a PSF with {axes}")
    spatial = shape[-axes:]
    if any(t > 1 and 2 * t > n for t, n in zip(weights.shape, spatial, strict=True)):
        raise UsageError(
            f"PSF {shape_text(weights.shape)} is larger than half the image {shape_text(spatial)}; "
            "crop the PSF to where it is not 0, or use a larger image"
        )
    place = default_origin(psf.shape) if origin is None else checked_origin(origin, psf.shape, "PSF")
    largest = float(np.abs(weights).max())
    if largest == 0:
        raise UsageError("the PSF is all zeros; nothing can be seen through it")
    if normalize:
        weights /= largest  # a sum of tiny or huge cells must not under- or overflow
        total = float(weights.sum())
        if abs(total) <= 1e-9 * float(np.abs(weights).sum()):
            raise UsageError(
                "the PSF sums to 0 and cannot be scaled to 1; --no-psf-normalize leaves it as it is"
            )
        weights /= total
    return weights, place


def arithmetic(precision: str, samples: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of the arithmetic: for ``auto`` float32 if that holds the samples."""
    if choose(precision, PRECISIONS, "precision") != "auto":
        return np.dtype(precision)
    return np.dtype("float32" if samples.itemsize <= (4 if samples.kind == "f" else 2) else "float64")


def planes_of(samples: Array, axes: int, dtype: np.dtype[Any]) -> tuple[Array, float, float]:
    """Return samples as (planes, *spatial) of `dtype`, their minimum and their standard deviation."""
    with np.errstate(over="ignore"):
        planes = samples.reshape(-1, *samples.shape[-axes:]).astype(dtype, order="C")
    finite = planes[np.isfinite(planes)].astype(np.float64)
    if finite.size == 0:
        raise InputError("the image has no finite sample that can be seen; nothing is known of it")
    largest = float(np.abs(finite).max())
    if largest > LARGEST:
        raise UsageError(
            f"the image has samples up to {largest:.3g}, beyond {LARGEST:g}; divide it by a number"
        )
    if largest > LARGE or 0 < largest < SMALL:  # float32 cannot hold the squares
        planes = samples.reshape(planes.shape).astype(np.float64, order="C")
    tiny = math.sqrt(math.sqrt(np.finfo(planes.dtype).tiny))
    return planes, float(finite.min()), max(float(finite.std()), tiny)


def noise_of(noise: float | str, planes: Array, axes: int, scale: float) -> tuple[float, float]:
    """Return the least noise there can be, and the noise."""
    if noise != "auto":
        # More noise than that leaves nothing of the image, and squares that are no number.
        sigma = min(max(positive(noise, "noise", LARGEST), LEAST_GIVEN * scale), MOST_GIVEN * scale)
        return sigma, sigma
    rounded = bool((np.rint(planes) == planes)[np.isfinite(planes)].all())
    least = max(ROUNDING if rounded else 0.0, LEAST_NOISE * scale)
    return least, max(estimate_noise(planes, axes), least)


def judge_of(
    reference: ArrayLike, planes: Array, dtype: np.dtype[Any], white: float | None, raised: float
) -> Judge:
    """Return a function that measures images, clipped to 0…`white`, against the reference."""
    truth = samples_of(reference, "reference", anywhere=True)
    if truth.size != planes.size or truth.shape[-(planes.ndim - 1) :] != planes.shape[1:]:
        raise UsageError(
            f"the reference {shape_text(truth.shape)} is not of the image's shape "
            f"{shape_text(planes.shape[1:])}, or has other channels; use the image before it was blurred"
        )
    truth = to_library(truth, array_module(planes)).reshape(planes.shape).astype(np.float64)
    if not np.isfinite(truth).all():
        raise UsageError("the reference has samples that are not finite; use one that is known everywhere")
    if white is None and dtype.kind in "ui":
        white = float(np.iinfo(dtype).max)
    if white is not None and not (positive(white, "top") > 0):
        raise UsageError(
            f"top {white:g} is not a positive number; use the sample value of white, such as 255"
        )
    limits = (-math.inf, math.inf) if white is None else (0.0, white)
    span = white or float(np.ptp(truth)) or 1.0
    known = np.isfinite(planes)
    blurred = np.where(known, planes, truth)

    def judge(image: Array) -> dict[str, float]:
        shown = np.where(known, np.clip(image + raised, *limits), truth)
        peak, similarity = psnr(truth, shown, span), ssim(truth, shown, span)
        return {"psnr": peak, "ssim": similarity, "isnr": isnr(truth, blurred, shown)}

    return judge


def positive(value: object, what: str, most: float = 1e15) -> float:
    """Return a number that is at least 0, and no larger than makes sense."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        other = ", nor auto" if what in ("noise", "balance") else ""
        raise UsageError(f"{what} {value} is not a number of at least 0{other}")
    if number > most:
        raise UsageError(f"{what} {number:g} is beyond {most:g}; use a smaller one")
    return number


def count_of(value: object) -> int:
    """Return a number of iterations."""
    number = whole(value)
    if number is None or number < 1:
        raise UsageError(f"iterations {value} is not a whole number of at least 1")
    return number
