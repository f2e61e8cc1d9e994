"""Fourier transforms: SciPy's, which keep single precision as CuPy's do."""

import numpy as np
import scipy.fft

from ._core import wrap
from ._functions import function

FUNCTIONS = (
    *(f"{name}(a, n=None, axis=-1, norm=None)" for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")),
    *(f"{name}(a, s=None, axes=(-2, -1), norm=None)" for name in ("fft2", "ifft2", "rfft2", "irfft2")),
    *(f"{name}(a, s=None, axes=None, norm=None)" for name in ("fftn", "ifftn", "rfftn", "irfftn")),
    "fftshift(x, axes=None)",
    "ifftshift(x, axes=None)",
)

for _text in FUNCTIONS:
    _name = _text.partition("(")[0]
    globals()[_name] = function(_text, getattr(scipy.fft, _name))


def fftfreq(n, d=1.0):
    """The frequencies of a transform."""
    return wrap(np.fft.fftfreq(n, d))


def rfftfreq(n, d=1.0):
    """The frequencies of a transform of real data."""
    return wrap(np.fft.rfftfreq(n, d))
