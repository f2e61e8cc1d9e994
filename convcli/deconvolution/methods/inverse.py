"""Division by the transfer function, on which every other method improves."""

import math
from collections.abc import Iterator

import numpy as np

from convcli.deconvolution.blur import Blur
from convcli.deconvolution.least_squares import filled_spectrum
from convcli.deconvolution.method import MethodOptions, Step

SUMMARY = "truncated division of the transforms, for teaching: noise blows up"
ITERATIONS = 1
TOLERANCE = 0.0
OPTIONS = ("balance",)
POSITIVE = False

LEAST = 1e-3  # default of b


def restore(blur: Blur, options: MethodOptions) -> Iterator[Step]:
    """x̂ = ŷ/ĥ where |ĥ| > b max |ĥ|, and 0 elsewhere; unknown samples are those of a Wiener filter's Hx."""
    spectrum = filled_spectrum(blur, options)
    least = LEAST if options.balance is None else options.balance
    size = np.sqrt(blur.gain)
    kept = size > least * size.max()
    result = np.where(kept, spectrum, 0)
    result /= np.where(kept, blur.transfer, 1)
    amplification = math.sqrt(blur.mean(np.where(kept, 1 / np.where(kept, blur.gain, 1), 0)))
    note = f"noise is {amplification:.3g} times what it was; --method wiener weighs it"
    image, residual = blur.inverse(result.copy()), blur.rms(blur.residual(result))
    yield Step(image, residual, options.noise, least, done=True, note=note)
