"""Named kernels that sharpen, or show what sharpening adds."""

import math

import numpy as np

from convcli.arrays.library import Array
from convcli.kernels.registry import Positive, Real, constant, named
from convcli.kernels.sampling import delta, direction, gaussian_weights, odd_size

FOUR = "High-pass: 4 times the pixel minus its 4 neighbours; the negative of laplacian."
EIGHT = "High-pass: 8 times the pixel minus its 8 neighbours, as ImageMagick's -edge 1."
EDGE = constant("edge", [[0, -1, 0], [-1, 4, -1], [0, -1, 0]], FOUR)
constant("outline", [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], EIGHT)


@named()
def sharpen(amount: Real = 1.0) -> Array:
    """Sharpens by AMOUNT (1) times `edge`; 1 gives the classic 0 -1 0; -1 5 -1; 0 -1 0."""
    return delta() + amount * EDGE


@named("2,0.8")
def unsharp(sigma: Positive, amount: Real = 1.0) -> Array:
    """Unsharp mask: adds AMOUNT (1) times what a Gaussian blur of SIGMA pixels takes away."""
    shape = odd_size(3 * sigma)
    identity = delta(shape)
    return identity + amount * (identity - gaussian_weights(shape, sigma))


@named("135")
def emboss(angle: Real = 45.0) -> Array:
    """Relief: the image plus its slope towards ANGLE (45), in degrees clockwise from the right.

    At 45° it is the classic relief of slopes to the lower right, with cells -2 to 2, here flipped, since the
    operation is a true convolution. Other angles weigh the two Prewitt kernels by √2·cos and √2·sin.

    >>> emboss().tolist()
    [[2.0, 1.0, 0.0], [1.0, 1.0, -1.0], [0.0, -1.0, -2.0]]
    """
    slope = np.array([[1, 0, -1]] * 3)
    along_x, along_y = (round(math.sqrt(2) * part, 12) for part in direction(angle))
    return delta() + along_x * slope + along_y * slope.T
