"""Wiener filter for images whose power falls as 1/f², as that of photographs does."""

from collections.abc import Iterator

from convcli.deconvolution.blur import Blur
from convcli.deconvolution.least_squares import least_squares, noise_to_signal
from convcli.deconvolution.method import MethodOptions, Step

SUMMARY = "Wiener filter, for a spectrum of the image that falls as 1/f²"
ITERATIONS = 100
TOLERANCE = 1e-4
OPTIONS = ("balance",)
POSITIVE = False


def restore(blur: Blur, options: MethodOptions) -> Iterator[Step]:
    """x̂ = H* ŷ / (|H|² + b Σ(2 − 2 cos ω)): the noise-to-signal ratio is b times the squared frequency.

    Wiener (1949); Field (1987), "Relations between the statistics of natural images and the response
    properties of cortical cells", for the spectrum.
    """
    return least_squares(blur, options, blur.roughness, start=noise_to_signal(options))
