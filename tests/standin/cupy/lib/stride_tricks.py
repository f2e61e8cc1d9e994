"""Views made of strides."""

import numpy as np

from cupy._core import ndarray, operand, wrap


def as_strided(x, shape=None, strides=None):
    """A view with the shape and the strides given."""
    if not isinstance(x, ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    return wrap(np.lib.stride_tricks.as_strided(x._host, shape, strides), x)


def sliding_window_view(x, window_shape, axis=None, *, subok=False, writeable=False):
    """A view of all windows of a shape."""
    if writeable:
        raise NotImplementedError("Writeable views are not supported.")
    host = np.lib.stride_tricks.sliding_window_view(operand(x), window_shape, axis, subok=subok)
    return as_strided(x, host.shape, host.strides)
