"""Tikhonov's regularisation: the Laplacian of the image is to be small."""

from collections.abc import Iterator

from convcli.deconvolution.blur import Blur
from convcli.deconvolution.least_squares import least_squares, noise_to_signal
from convcli.deconvolution.method import MethodOptions, Step

SUMMARY = "least squares with a small Laplacian"
ITERATIONS = 100
TOLERANCE = 1e-4
OPTIONS = ("balance",)
POSITIVE = False


def restore(blur: Blur, options: MethodOptions) -> Iterator[Step]:
    """Minimise ½‖y − Hx‖² + ½ b ‖Δx‖².

    Hunt (1973), "The application of constrained least squares estimation to image restoration by
    digital computer", IEEE Trans. Computers 22, equation 24.
    """
    return least_squares(blur, options, blur.roughness**2, start=noise_to_signal(options))
