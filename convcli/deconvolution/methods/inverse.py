"""Division by the transfer function: what every other method improves on."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from convcli.deconvolution.blur import Blur
from convcli.deconvolution.methods import wiener
from convcli.deconvolution.settings import Settings, Step

SUMMARY = "truncated division of the transforms, for teaching: noise blows up"
ITERATIONS = 1
TOLERANCE = 0.0
OPTIONS = ("balance",)
POSITIVE = False

LEAST = 1e-3
"""Frequencies that the blur leaves less than this fraction of are dropped by default."""
FILLING = 20  # iterations that guess what lies outside


def restore(blur: Blur, settings: Settings) -> Iterator[Step]:
    """x̂ = ŷ/ĥ where |ĥ| > b max |ĥ|, and 0 elsewhere.

    What is unknown is first taken from a Wiener filter's Hx.
    """
    spectrum = blur.spectrum
    if blur.known is not None:
        steps = wiener.restore(blur, replace(settings, balance=None))
        guess = next(itertools.islice(steps, FILLING - 1, None))
        blurred = blur.apply(guess.image)
        spectrum = blur.forward(blur.observed + blurred * (1 - blur.known))
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
        note=f"noise is {amplification(blur, least):.3g} times what it was; --method wiener weighs it",
    )


def amplification(blur: Blur, least: float) -> float:
    """How much larger the noise is in the result: √mean 1/|ĥ|² over what is kept."""
    kept = np.sqrt(blur.gain) > least * np.sqrt(blur.gain.max())
    return math.sqrt(blur.mean(np.where(kept, 1 / np.where(kept, blur.gain, 1), 0)))
