"""Blind deconvolution: the PSF given is a guess, and refined by turns with the image."""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from convcli.arrays.library import Array
from convcli.deconvolution.blur import Blur, differences, power, squared_length
from convcli.deconvolution.least_squares import least_squares
from convcli.deconvolution.method import MethodOptions, Step
from convcli.deconvolution.methods import tv
from convcli.errors import UsageError

SUMMARY = "total variation and a PSF refined from the one given, by turns; approximate"
ITERATIONS = 30
TOLERANCE = 1e-4
OPTIONS = ("balance",)
POSITIVE = False

TURNS = 10  # of ADMM for the image, between two PSFs
STRONG = 0.2  # first balance, as a fraction of the image's standard deviation: only large edges are left
DECAY = 0.8  # of the balance, per iteration, until it is what the noise calls for
EDGES = 0.05  # fraction of the samples, the steepest, that the PSF is found from
STRAY = 0.05  # of the largest cell of the PSF: smaller ones are taken for noise
DAMPING = 0.5  # fraction of the last PSF that stays
WEIGHT = 0.2  # of ‖k‖², as a fraction of the one for noise everywhere: it only has to fit the edges
NOTE = "the PSF was refined from the one given; it and the image are approximate, compare with --method tv"


def restore(blur: Blur, options: MethodOptions) -> Iterator[Step]:
    """Alternate x = argmin ½‖y − k∗x‖² + b Σ |∇x| and k = argmin ‖∂y − k∗∂x‖² + γ‖k‖².

    k keeps the PSF's shape and sum, and is at least 0. The first b is large: x is a cartoon of the
    photo, in which a wrong k shows; a small b from the start would let x explain y with any k. b falls by
    a fifth per iteration, to that of `tv` or to the one given, where it stays from about the 25th on:
    with fewer iterations the image is smoother than it need be. It may find a local minimum.

    Cho and Lee (2009), "Fast motion deblurring", ACM Trans. Graphics 28: the PSF from the derivatives at
    strong edges. Perrone and Favaro (2014), "Total variation blind deconvolution: the devil is in the
    details", CVPR: a strength that decreases, and constraints after the step, against k = δ. The
    constants are our own, tried on one photograph.
    """
    lowest = float(blur.psf.min())
    if lowest < 0:
        raise UsageError(
            f"the PSF has negative cells, down to {lowest:.3g}, and method blind finds "
            "a positive one; use --method tv"
        )
    least = tv.first_balance(options) if options.balance is None else options.balance
    balance = max(STRONG * options.scale, least)
    # u and the multipliers go from one PSF to the next.
    sparse = tv.total_variation(options)
    while True:
        now = dataclasses.replace(options, balance=balance)
        steps = least_squares(blur, now, blur.roughness, sparse, start=balance)
        step = next(itertools.islice(steps, TURNS - 1, None))
        yield dataclasses.replace(step, note=NOTE)
        psf = _refined(blur, step.image, step.noise)
        blur.set_psf(DAMPING * blur.psf + (1 - DAMPING) * psf, blur.origin)
        balance = max(balance * DECAY, least)


def _refined(blur: Blur, image: Array, noise: float) -> Array:
    """PSF that makes the observation of the image, by its edges; the present one if it has none."""
    axes = len(blur.grid)
    observed = blur.observed
    if blur.known is not None:
        observed = observed + blur.apply(image) * (1 - blur.known)
    slopes = differences(image, axes)
    steepness = squared_length(slopes)
    slopes *= steepness > np.quantile(steepness, 1 - EDGES)
    edges, seen = blur.forward(slopes), blur.forward(differences(observed, axes))
    match = (edges.conj() * seen).sum(axis=(0, 1))
    least = WEIGHT * noise**2 * image[0].size / float(np.square(blur.psf).sum())
    match /= power(edges).sum(axis=(0, 1)) + max(least, np.finfo(blur.dtype).tiny)
    psf = np.roll(blur.inverse(match), blur.origin, tuple(range(axes)))
    psf = psf[tuple(slice(n) for n in blur.psf.shape)]
    psf[psf < STRAY * psf.max()] = 0
    np.maximum(psf, 0, out=psf)
    total = float(psf.sum())
    result: Array = psf * (float(blur.psf.sum()) / total) if total > 0 else blur.psf
    return result
