"""Deconvolution of arrays: types, the PSF, noise, and the choice of a method."""

import math
from dataclasses import dataclass, field

from numpy.typing import ArrayLike

from convcli.arrays import device
from convcli.arrays.library import Array, array_module
from convcli.arrays.samples import samples_of
from convcli.deconvolution import checks, methods
from convcli.deconvolution.borders import BORDERS, frame, grid_shape, is_mirrored
from convcli.deconvolution.device import library_for, memory_budget, require, to_library
from convcli.deconvolution.iteration import Iteration, Stopping, Watch, iterate
from convcli.deconvolution.method import MethodOptions
from convcli.spec import BORDER_ALIASES, PerAxis, choose, per_axis
from convcli.system.resources import cpu_count
from convcli.text import shape_text

AUTO = "tv"
"""The method that `auto` is: on photographs it measured best in all six experiments of tests/quality."""

ARRAYS, ARRAYS_PER_AXIS = 16, 3  # of the grid's size, that a method holds at a time; measured

NOT_MIRRORED = (
    "the PSF is not its own mirror image, as border mirror takes it to be; if it rings, use unknown"
)


@dataclass
class DeconvolutionResult:
    """A restored image and how it came about.

    Attributes
    ----------
    image : (..., *spatial) array of float32 or float64
        Not clipped.
    noise : float
        Standard deviation of the noise, in the image's units, as estimated or given.
    balance : float or None
        Strength of the penalty, as found or given; None for a method without.
    history : list of Iteration
        One entry per iteration: residual, change, noise, balance and, with a reference, psnr, ssim, isnr.
    psf : array
        PSF used: normalised, and refined by method ``blind``.
    residual : (..., *spatial) array
        y − h ∗ x; 0 where nothing is known.
    psnr, ssim, isnr : float or None
        Measures against the reference.
    interrupted : bool
        Ctrl-C ended the iterations.
    notes : list of str
        Remarks for the user.
    """

    image: Array
    method: str
    noise: float
    balance: float | None
    iterations: int
    history: list[Iteration]
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
    backend: str = "auto",
    threads: int | None = None,
    max_memory: int | None = None,
    watch: Watch | None = None,
) -> DeconvolutionResult:
    """Undo a blur: find x in y = h ∗ x + n, of which only the photo's frame was seen.

    Parameters
    ----------
    image : (..., *spatial) array of real numbers
        y. The last ``psf.ndim`` axes are spatial; the others are planes that share noise and balance.
        A sample that is not finite is taken for unknown. An array of CuPy, or of any library with
        ``__cuda_array_interface__``, is restored where it lies.
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
    backend : {"auto", "cpu", "cuda"}
        The processor, or a GPU by way of CuPy, to which an image of the host is brought first; by default
        the GPU if the image lies there, and else the processor.
    threads : int, optional
        Of the processor; all available by default.
    max_memory : int, optional
        Bytes; what is free by default.
    watch : callable, optional
        Called after every iteration with its record and a function that returns a copy of the image.

    Returns
    -------
    DeconvolutionResult
        Its arrays are CuPy's if the image lies on a GPU, and NumPy's otherwise.

    Raises
    ------
    UsageError
        For options or shapes that contradict each other, a PSF that sums to 0 or is larger than half
        the image.
    LimitError
        If it would not fit into memory.
    BackendError
        If the GPU cannot be used or has too little memory, or the processor is to restore an image that
        lies on a GPU.

    Examples
    --------
    >>> import numpy as np
    >>> import convcli
    >>> scene = np.zeros((64, 64))
    >>> scene[20:40, 24:50] = 100
    >>> psf = convcli.parse_kernel("box:5").weights
    >>> blurred = convcli.convolve(scene, psf)
    >>> restored = convcli.deconvolve(blurred, psf, noise=0.1)
    >>> bool(abs(restored.image - scene).max() < 0.1 * abs(blurred - scene).max())
    True
    """
    require(backend)
    samples, weights = samples_of(image, "image", anywhere=True), samples_of(psf, "PSF")
    lib = library_for(backend, samples)
    method = AUTO if method == "auto" else method
    module = methods.load(method)
    given = {"balance": balance != "auto", "accelerate": accelerate, "damping": damping != 0}
    checks.check_options(method, {**given, "exponent": exponent != 2 / 3})
    weights, place = checks.point_spread(samples.shape, weights, origin, normalize)
    spatial = samples.shape[-weights.ndim :]
    border = choose(BORDER_ALIASES.get(border, border), BORDERS, "border")
    dtype = checks.arithmetic(precision, samples.dtype)
    workers = cpu_count() if threads is None else per_axis(threads, 1, "threads", 1)[0]
    size = math.prod(grid_shape(spatial, weights.shape, border)) * samples.size // math.prod(spatial)
    needed = (ARRAYS + ARRAYS_PER_AXIS * weights.ndim) * size * dtype.itemsize

    def present(part: Array) -> Array:
        """Return a part of the grid as the caller is to see it: of the image's shape, and where that lies."""
        return to_library(part.astype(dtype).reshape(samples.shape), array_module(samples))

    with device.at(samples), memory_budget(lib, needed, max_memory, f"the image {shape_text(spatial)}"):
        planes, low, scale = checks.planes_of(to_library(samples, lib), weights.ndim, dtype)
        # What cannot be negative is measured from the lowest sample.
        raised = min(low, 0.0) if module.POSITIVE else 0.0
        least, sigma = checks.noise_of(noise, planes, weights.ndim, scale)
        options = MethodOptions(
            noise=sigma,
            least_noise=least,
            noise_given=noise != "auto",
            balance=None if balance == "auto" else checks.positive(balance, "balance"),
            accelerate=accelerate,
            damping=checks.positive(damping, "damping"),
            exponent=exponent,
            scale=scale,
        )
        observed = planes - planes.dtype.type(raised * float(weights.sum()))
        blur = frame(observed, weights.astype(planes.dtype), place, border, workers)
        stopping = Stopping(
            iterations=module.ITERATIONS if iterations is None else checks.count_of(iterations),
            tolerance=module.TOLERANCE if tolerance is None else checks.positive(tolerance, "tolerance"),
            by_itself=iterations is None,
        )
        lift = planes.dtype.type(raised)
        judge = None if reference is None else checks.judge_of(reference, planes, samples.dtype, top, raised)
        seen = watch and (lambda entry, current: watch(entry, lambda: present(current() + lift)))
        outcome = iterate(module.restore(blur, options), blur, stopping, judge, seen)
        residual = blur.masked(blur.observed - blur.apply(outcome.image))
        mirrored = border != "mirror" or is_mirrored(weights, place)
        last = outcome.history[-1]
        return DeconvolutionResult(
            image=present(blur.crop(outcome.image) + lift),
            method=method,
            iterations=last.iteration,
            history=outcome.history,
            psf=to_library(blur.psf, array_module(samples)),
            residual=present(blur.crop(residual)),
            interrupted=outcome.interrupted,
            notes=[note for note in (outcome.note, "" if mirrored else NOT_MIRRORED) if note],
            **{name: getattr(last, name) for name in ("noise", "balance", "psnr", "ssim", "isnr")},
        )
