"""Landweber's iteration, projected on images that are not negative."""

from collections.abc import Iterator

import numpy as np

from convcli.deconvolution.blur import Blur
from convcli.deconvolution.method import MethodOptions, Step

SUMMARY = "Landweber's iteration, until the residual is the noise; positive"
ITERATIONS = 500
TOLERANCE = 0.0
OPTIONS = ("accelerate",)
POSITIVE = True

PACE = 1.9  # 2 is where it stops converging


def restore(blur: Blur, options: MethodOptions) -> Iterator[Step]:
    """Iterate x ← max(0, x + τ HᵀM(y − Hx)), with τ = 1.9/max |ĥ|², from the blurred image on.

    Accelerated, each iteration starts at x + β(x − x₋₁) with Nesterov's β, and τ = 1/max |ĥ|².

    Landweber (1951); Bertero and Boccacci (1998), "Introduction to Inverse Problems in Imaging",
    section 6.2. Beck and Teboulle (2009), "A fast iterative shrinkage-thresholding algorithm for linear
    inverse problems", equations 4.1 to 4.3.
    """
    largest = float(blur.gain.max())
    pace = (1.0 if options.accelerate else PACE) / largest if largest > 0 else 0.0
    adjoint = blur.transfer.conj()
    image = np.maximum(blur.filled, 0)
    ahead, momentum = image, 1.0
    rest = blur.residual(blur.forward(ahead))
    while True:
        rest *= adjoint
        new = blur.inverse(rest)
        new *= pace
        new += ahead
        np.maximum(new, 0, out=new)
        rest = blur.residual(blur.forward(new))
        residual = blur.rms(rest)
        ahead = new
        if options.accelerate:
            later = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            ahead = new - image
            ahead *= (momentum - 1) / later
            ahead += new
            momentum = later
        image = new
        yield Step(image, residual, options.noise, done=residual <= options.noise)
        if options.accelerate:
            rest = blur.residual(blur.forward(ahead))
