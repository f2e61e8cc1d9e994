"""Deconvolution of arrays: types, the PSF, noise, and the choice of a method."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convcli.arrays import Array, samples_of
from convcli.deconvolution import methods
from convcli.deconvolution.borders import BORDERS, frame, grid_shape
from convcli.deconvolution.iteration import Judge, Record, Watch, iterate
from convcli.deconvolution.noise import estimate_noise
from convcli.deconvolution.quality import isnr, psnr, ssim
from convcli.deconvolution.settings import Settings
from convcli.errors import UsageError
from convcli.machine import check_memory, cpu_count
from convcli.problem import PRECISIONS
from convcli.spec import BORDER_ALIASES, PerAxis, choose, per_axis, shape_text, whole

AUTO = "tv"
"""The method that `auto` is: it measured best on all six experiments of tests/quality."""

ROUNDING = 12**-0.5  # standard deviation of what is lost by rounding to whole numbers
LEAST_NOISE = 1e-3
"""Estimates are at least this fraction of the image's standard deviation: with less noise, iterations
take longer to converge than their result is worth."""
LEAST_GIVEN = 1e-5
# Of the grid's size, all that a method holds at a time; measured.
ARRAYS, ARRAYS_PER_AXIS = 16, 3


@dataclass
class DeconvolutionResult:
    """A restored image and how it came about.

    Attributes
    ----------
    image : (..., *spatial) array of float32 or float64
        Not clipped.
    method : str
    noise : float
        Standard deviation of the noise, in the image's units, as estimated or given.
    balance : float or None
        Strength of the penalty, as found or given; None for a method without.
    iterations : int
    history : list of Record
        One per iteration: residual, change, noise, balance and, with a reference, psnr, ssim, isnr.
    psf : array
        As used: normalised, and refined by method ``blind``.
    residual : (..., *spatial) array
        y − h ∗ x; 0 where nothing is known.
    psnr, ssim, isnr : float or None
        Against the reference.
    interrupted : bool
        Ctrl-C ended the iterations.
    notes : list of str
        What the user should know.
    """

    image: Array
    method: str
    noise: float
    balance: float | None
    iterations: int
    history: list[Record]
    psf: Array
    residual: Array
    psnr: float | None = None
    ssim: float | None = None
    isnr: float | None = None
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)


def deconvolve(
    image: ArrayLike,
    psf: ArrayLike,
    *,
    method: str = "auto",
    border: str = "unknown",
    iterations: int | None = None,
    tolerance: float | None = None,
    noise: float | str = "auto",
    balance: float | str = "auto",
    accelerate: bool = False,
    damping: float = 0.0,
    exponent: float = 2 / 3,
    origin: PerAxis | None = None,
    normalize: bool = True,
    reference: ArrayLike | None = None,
    top: float | None = None,
    precision: str = "auto",
    threads: int | None = None,
    max_memory: int | None = None,
    watch: Watch | None = None,
) -> DeconvolutionResult:
    """Undo a blur: find x in y = h ∗ x + n, of which only the photo's frame was seen.

    Parameters
    ----------
    image : (..., *spatial) array of real numbers
        y. The last ``psf.ndim`` axes are spatial; the others are planes that share noise and balance.
        A sample that is not finite is taken for unknown.
    psf : array of real numbers, 1 to 3 axes
        h, the image of a point.
    method : str
        ``"auto"`` or a name of `convcli.deconvolution.methods.names`.
    border : {"unknown", "wrap", "taper", "mirror"}
        What lies outside the photo: unknowns, to be restored as well and cut off; the photo again; its
        rim blended into its own blur; its mirror image.
    iterations : int, optional
        At most so many; exactly so many of a method that would stop where the residual is the noise.
    tolerance : float, optional
        End where the image changes by less, relative to itself.
    noise : float or "auto"
        Standard deviation of n, in the image's units.
    balance : float or "auto"
        Strength of the penalty, b in the methods' formulas.
    accelerate : bool
        For ``rl`` and ``landweber``.
    damping : float
        For ``rl``: leave alone what differs from the image by less than so many times the noise.
    exponent : {2/3, 1/2}
        For ``hyperlaplacian``.
    origin : int or tuple of int, optional
        Cell of the PSF that sits on the output pixel; ``(n - 1) // 2`` by default.
    normalize : bool
        Scale the PSF to sum 1.
    reference : (..., *spatial) array, optional
        The true image; measures against it go into the history.
    top : float, optional
        Sample value of full brightness: measures are of the image clipped to 0…top. What the image's
        type holds by default; for floats nothing is clipped and the reference's range serves.
    precision : {"auto", "float32", "float64"}
        float32 for integers of up to 16 bits and for float32, by default.
    threads : int, optional
        All available by default.
    max_memory : int, optional
        Bytes; what is free by default.
    watch : callable, optional
        Called after every iteration with its record and a function that returns a copy of the image.

    Returns
    -------
    DeconvolutionResult

    Raises
    ------
    UsageError
        For options or shapes that contradict each other, a PSF that sums to 0 or is larger than half
        the image.
    LimitError
        If it would not fit into memory.

    Examples
    --------
    >>> import convcli
    >>> scene = np.zeros((64, 64))
    >>> scene[20:40, 24:50] = 100
    >>> psf = convcli.parse_kernel("box:5").weights
    >>> blurred = convcli.convolve(scene, psf)
    >>> restored = convcli.deconvolve(blurred, psf, noise=0.1)
    >>> bool(abs(restored.image - scene).max() < 0.1 * abs(blurred - scene).max())
    True
    """
    samples, weights = samples_of(image, "image"), samples_of(psf, "PSF")
    if method == "auto":
        method = AUTO
    module = methods.load(method)
    _check_options(module.OPTIONS, method, balance, accelerate, damping, exponent)
    weights, place = _point_spread(samples.shape, weights, origin, normalize)
    spatial = samples.shape[-weights.ndim :]
    border = choose(BORDER_ALIASES.get(border, border), BORDERS, "border")
    choose(precision, PRECISIONS, "precision")
    narrow = samples.dtype.itemsize <= (4 if samples.dtype.kind == "f" else 2)
    dtype = np.dtype(precision if precision != "auto" else "float32" if narrow else "float64")
    size = math.prod(grid_shape(spatial, weights.shape, border)) * samples.size // math.prod(spatial)
    check_memory(
        (ARRAYS + ARRAYS_PER_AXIS * weights.ndim) * size * dtype.itemsize,
        max_memory,
        f"the image {shape_text(spatial)}",
        "a smaller image",
    )
    with np.errstate(over="ignore"):
        planes = samples.reshape(-1, *spatial).astype(dtype)
    low, scale = _range(planes)
    # What cannot be negative is measured from the lowest sample.
    raised = min(low, 0.0) if module.POSITIVE else 0.0
    least, sigma = _noise(noise, planes, weights.ndim, scale)
    settings = Settings(
        noise=sigma,
        least_noise=least,
        noise_given=noise != "auto",
        balance=None if balance == "auto" else _positive(balance, "balance"),
        accelerate=accelerate,
        damping=_positive(damping, "damping"),
        exponent=exponent,
        scale=scale,
    )
    blur = frame(
        planes - dtype.type(raised * float(weights.sum())),
        weights.astype(dtype),
        place,
        border,
        _threads(threads),
    )
    judge = None
    if reference is not None:
        judge = _judge(reference, planes, samples.dtype, top, raised)
    outcome = iterate(
        module.restore(blur, settings),
        blur,
        iterations=module.ITERATIONS if iterations is None else _count(iterations),
        tolerance=module.TOLERANCE if tolerance is None else _positive(tolerance, "tolerance"),
        judge=judge,
        watch=watch,
        stops=iterations is None,
    )
    rest = blur.crop(blur.masked(blur.observed - blur.apply(outcome.whole)))
    restored = np.ascontiguousarray(blur.crop(outcome.whole))
    restored += dtype.type(raised)
    last = outcome.history[-1]
    return DeconvolutionResult(
        restored.reshape(samples.shape),
        method,
        last.noise,
        last.balance,
        last.iteration,
        outcome.history,
        blur.psf,
        rest.reshape(samples.shape),
        last.psnr,
        last.ssim,
        last.isnr,
        outcome.interrupted,
        [outcome.note] if outcome.note else [],
    )


def _check_options(
    known: Iterable[str], method: str, balance: object, accelerate: bool, damping: float, exponent: float
) -> None:
    """Refuse options that the method has no use for."""
    given = {
        "balance": balance != "auto",
        "accelerate": accelerate,
        "damping": damping != 0,
        "exponent": exponent != 2 / 3,
    }
    for name, asked in given.items():
        if asked and name not in known:
            users = [other for other in methods.names() if name in methods.load(other).OPTIONS]
            raise UsageError(f"{name} means nothing to method {method}; it is for {', '.join(users)}")


def _point_spread(
    shape: tuple[int, ...], psf: Array, origin: PerAxis | None, normalize: bool
) -> tuple[Array, tuple[int, ...]]:
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
    place = tuple((n - 1) // 2 for n in weights.shape)
    if origin is not None:
        place = per_axis(origin, axes, "origin", 0)
        if any(o >= n for o, n in zip(place, weights.shape, strict=True)):
            raise UsageError(
                f"origin {place} is outside the PSF {shape_text(weights.shape)}; cells are counted from 0"
            )
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


def _range(planes: Array) -> tuple[float, float]:
    """Least sample, and standard deviation, of what is finite."""
    finite = planes[np.isfinite(planes)].astype(np.float64)
    if finite.size == 0:
        raise UsageError("the image has no finite sample; nothing is known of it")
    return float(finite.min()), max(float(finite.std()), float(np.finfo(planes.dtype).tiny) ** 0.25)


def _noise(noise: float | str, planes: Array, axes: int, scale: float) -> tuple[float, float]:
    """Return the least noise there can be, and the noise."""
    if noise != "auto":
        sigma = max(_positive(noise, "noise"), LEAST_GIVEN * scale)
        return sigma, sigma
    rounded = bool((np.rint(planes) == planes)[np.isfinite(planes)].all())
    least = max(ROUNDING if rounded else 0.0, LEAST_NOISE * scale)
    return least, max(estimate_noise(planes, axes), least)


def _judge(
    reference: ArrayLike, planes: Array, dtype: np.dtype[Any], top: float | None, raised: float
) -> Judge:
    """Return what measures an image against the reference: clipped to its range if it is of integers."""
    truth = samples_of(reference, "reference")
    if truth.size != planes.size or truth.shape[-(planes.ndim - 1) :] != planes.shape[1:]:
        raise UsageError(
            f"the reference {shape_text(truth.shape)} is not of the image's shape "
            f"{shape_text(planes.shape[1:])}, or has other channels; use the image before it was blurred"
        )
    truth = truth.reshape(planes.shape).astype(np.float64)
    if top is None and dtype.kind in "ui":
        top = float(np.iinfo(dtype).max)
    limits = (-math.inf, math.inf) if top is None else (0.0, top)
    span = top or float(np.ptp(truth)) or 1.0

    blurred = np.where(np.isfinite(planes), planes, truth)

    def judge(image: Array) -> dict[str, float]:
        shown = np.clip(image + raised, *limits).astype(np.float64)
        return {
            "psnr": psnr(truth, shown, span),
            "ssim": ssim(truth, shown, span),
            "isnr": isnr(truth, blurred, shown),
        }

    return judge


def _positive(value: object, what: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not (number >= 0 and math.isfinite(number)):
        raise UsageError(
            f"{what} {value} is not a number of at least 0"
            + (", nor auto" if what in ("noise", "balance") else "")
        )
    return number


def _count(value: object) -> int:
    number = whole(value)
    if number is None or number < 1:
        raise UsageError(f"iterations {value} is not a whole number of at least 1")
    return number


def _threads(threads: int | None) -> int:
    if threads is None:
        return cpu_count()
    number = whole(threads)
    if number is None or number < 1:
        raise UsageError(f"threads {threads} is below 1; leave it out for all available")
    return number
