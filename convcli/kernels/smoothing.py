"""Named kernels that smooth: they sum to 1 and leave flat areas as they are."""

import math

import numpy as np

from convcli.arrays.library import Array
from convcli.kernels.kernel import Kernel
from convcli.kernels.registry import OptionalSize, Positive, Size, constant, named
from convcli.kernels.sampling import gaussian_weights, odd_size

MAX_WHOLE_DIVISOR = 2**32


constant("identity", [[1]], "Leaves the image as it is.")


@named("5x3")
def box(size: Size) -> Kernel:
    """Mean over SIZE, 5 for 5×5 or 5x3 for 5 rows of 3 pixels."""
    return Kernel(np.ones(size, dtype=np.int64), "box", divisor=math.prod(size))


@named("5")
def binomial(size: Size) -> Kernel:
    """Binomial blur: rows of Pascal's triangle, the whole-number Gaussian of σ² = (SIZE - 1)/4.

    The values are whole numbers up to divisor 2**32, where the sums over a 16-bit image are still
    exact in float64, and float64 beyond.
    """
    column, row = ([math.comb(n - 1, k) for k in range(n)] for n in size)
    divisor = 2 ** (sum(size) - 2)
    if divisor <= MAX_WHOLE_DIVISOR:
        return Kernel(np.outer(column, row), "binomial", divisor=divisor)
    weights = np.outer([n / 2 ** (size[0] - 1) for n in column], [n / 2 ** (size[1] - 1) for n in row])
    return Kernel(weights, "binomial")


@named("1.5")
def gaussian(sigma: Positive, size: OptionalSize = None) -> Array:
    """Gaussian blur of standard deviation SIGMA pixels; SIZE is 2·ceil(3·SIGMA) + 1 by default.

    The density exp(-r² / 2σ²) is sampled at the cells' centres and scaled to sum 1, as in MATLAB's
    fspecial and OpenCV. An even SIZE is symmetric about the middle, so it shifts by half a pixel.
    """
    return gaussian_weights(size or odd_size(3 * sigma), sigma)
