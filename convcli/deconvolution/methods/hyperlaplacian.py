"""Hyper-Laplacian prior: the differences of photographs have heavier tails than total variation allows."""

from collections.abc import Iterator

import numpy as np

from convcli.arrays.library import Array
from convcli.deconvolution.blur import Blur
from convcli.deconvolution.least_squares import SparsePenalty, least_squares
from convcli.deconvolution.method import MethodOptions, Step
from convcli.deconvolution.proximal import shrink_power

SUMMARY = "hyper-Laplacian prior of exponent 2/3 or 1/2, by ADMM"
ITERATIONS = 150
TOLERANCE = 1e-4
OPTIONS = ("balance", "exponent")
POSITIVE = False

REACH = 1 / 12  # of the image's standard deviation: differences below about that are set to 0 at first
START = 1.5


def restore(blur: Blur, options: MethodOptions) -> Iterator[Step]:
    """Minimise ½‖y − Hx‖² + b Σ |∂x|^α over the differences along every axis.

    Krishnan and Fergus (2009), "Fast image deconvolution using hyper-Laplacian priors", NIPS 22: the
    penalty and the analytic roots of its proximal map.
    """
    alpha, scale = options.exponent, options.scale
    tiny = float(np.finfo(blur.dtype).eps) * scale

    def slope(slopes: Array) -> float:
        """Weight w for which ½ w ∂² is as steep as |∂|^α, at the mean difference."""
        mean = max(float(np.abs(slopes).mean(dtype=np.float64)), tiny)
        return float(alpha * mean ** (alpha - 2))

    sparse = SparsePenalty(lambda v, t: shrink_power(v, t, alpha), slope, (REACH * scale) ** (2 - alpha))
    start = START * options.noise**2 / scale**alpha
    return least_squares(blur, options, blur.roughness, sparse, start=start)
