"""Division by the transfer function: what every other method improves on."""

import math
from collections.abc import Iterator

import numpy as np

from convcli.arrays.library import Array
from convcli.deconvolution.blur import Blur
from convcli.deconvolution.least_squares import filled
from convcli.deconvolution.method import Settings, Step

SUMMARY = "truncated division of the transforms, for teaching: noise blows up"
ITERATIONS = 1
TOLERANCE = 0.0
OPTIONS = ("balance",)
POSITIVE = False

LEAST = 1e-3
"""Frequencies that the blur leaves less than this fraction of are dropped by default."""


def restore(blur: Blur, settings: Settings) -> Iterator[Step]:
    """x̂ = ŷ/ĥ where |ĥ| > b max |ĥ|, and 0 elsewhere.

    What is unknown is first taken from a Wiener filter's Hx.
    """
    spectrum = blur.spectrum if blur.known is None else filled(blur, settings)
    least = LEAST if settings.balance is None else settings.balance
    size = np.sqrt(blur.gain)
    kept = size > least * size.max()
    result = np.where(kept, spectrum, 0)
    result /= np.where(kept, blur.transfer, 1)
    yield Step(
        blur.inverse(result.copy()),
        blur.rms(blur.residual(result)),
        settings.noise,
        least,
        done=True,
        note=f"noise is {amplification(blur, kept):.3g} times what it was; --method wiener weighs it",
    )


def amplification(blur: Blur, kept: Array) -> float:
    """How much larger the noise is in the result: √mean 1/|ĥ|² over the frequencies that are kept."""
    return math.sqrt(blur.mean(np.where(kept, 1 / np.where(kept, blur.gain, 1), 0)))
