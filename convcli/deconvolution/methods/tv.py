"""Total variation: edges stay, and areas between them become flat."""

import math
from collections.abc import Iterator

import numpy as np

from convcli.arrays.library import Array
from convcli.deconvolution.blur import Blur, squared_length
from convcli.deconvolution.least_squares import SparsePenalty, least_squares
from convcli.deconvolution.method import MethodOptions, Step
from convcli.deconvolution.proximal import shrink_vectors

SUMMARY = "isotropic total variation, by ADMM"
ITERATIONS = 150
TOLERANCE = 1e-4
OPTIONS = ("balance",)
POSITIVE = False

THRESHOLD = 1 / 15  # of the image's standard deviation; the speed depends on it, the result does not
START = 2.0  # balance, as a multiple of σ²/scale: photographs need a half to three times as much


def restore(blur: Blur, options: MethodOptions) -> Iterator[Step]:
    """Minimise ½‖y − Hx‖² + b Σ |∇x|.

    Rudin, Osher and Fatemi (1992), "Nonlinear total variation based noise removal algorithms", Physica
    D 60; Goldstein and Osher (2009), "The split Bregman method for L1-regularized problems".
    """
    penalty = total_variation(options)
    return least_squares(blur, options, blur.roughness, penalty, start=first_balance(options))


def total_variation(options: MethodOptions) -> SparsePenalty:
    """Σ |∇x|, with a threshold that fits the image."""
    return SparsePenalty(shrink_vectors, _slope, THRESHOLD * options.scale)


def first_balance(options: MethodOptions) -> float:
    """Balance that a photograph of that noise needs, or near it."""
    return START * options.noise**2 / options.scale


def _slope(slopes: Array) -> float:
    """Weight w for which ½ w |∇x|² is as steep as |∇x|, at its mean."""
    mean = float(np.sqrt(squared_length(slopes)).mean(dtype=np.float64))
    return 1 / max(mean, math.sqrt(np.finfo(slopes.dtype).tiny))
