"""Fourier transforms: SciPy's, which keep single precision as CuPy's do."""

import numpy as np
import scipy.fft

from ._core import wrap
from ._functions import function
from ._signatures import parse

_FUNCTIONS = (
    "fft ifft rfft irfft hfft ihfft(a, n=None, axis=-1, norm=None)",
    "fft2 ifft2 rfft2 irfft2(a, s=None, axes=(-2, -1), norm=None)",
    "fftn ifftn rfftn irfftn(a, s=None, axes=None, norm=None)",
    "fftshift ifftshift(x, axes=None)",
)

for _name, _signature in parse(*_FUNCTIONS):
    globals()[_name] = function(_name, _signature, getattr(scipy.fft, _name))
    globals()[_name].__module__ = __name__


def fftfreq(n, d=1.0):
    """The frequencies of a transform."""
    return wrap(np.fft.fftfreq(n, d))


def rfftfreq(n, d=1.0):
    """The frequencies of a transform of real data."""
    return wrap(np.fft.rfftfreq(n, d))
