"""Convolution of arrays: the rules that hold on every backend, once."""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from convcli.arrays import device
from convcli.arrays.library import Array
from convcli.arrays.samples import samples_of
from convcli.engine.problem import prepare
from convcli.errors import UsageError
from convcli.spec import PerAxis
from convcli.text import shape_text


def convolve(
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    mode: str = "same",
    border: str = "zero",
    border_value: float = 0.0,
    op: str = "convolve",
    origin: PerAxis | None = None,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    nan: str = "propagate",
    precision: str = "auto",
    backend: str = "auto",
    threads: int | None = None,
) -> Array:
    """Convolve an image with a kernel.

    With x the image, k the kernel as written, o its origin and d the dilation,

        y[i] = Σ_j k[j] · x[i + d·(o − j)]      (op "convolve")
        y[i] = Σ_j k[j] · x[i + d·(j − o)]      (op "correlate")

    Parameters
    ----------
    image : (..., *spatial) array of real numbers
        The last ``kernel.ndim`` axes are convolved; the axes before them are independent. An array of
        CuPy, or of any library with ``__cuda_array_interface__``, is convolved where it lies.
    kernel : array of real numbers, 1 to 3 axes
    mode : {"same", "full", "valid"}
    border : {"zero", "constant", "nearest", "symmetric", "mirror", "wrap"}
        What lies outside the image.
    border_value : float
        For border ``constant``.
    op : {"convolve", "correlate"}
    origin : int or tuple of int, optional
        Cell of the kernel that sits on the output pixel; ``(n - 1) // 2`` by default.
    stride, dilation : int or tuple of int
        Per spatial axis.
    nan : {"propagate", "interpolate", "fill:V"}
        A non-finite pixel makes every output whose footprint covers it NaN; or is left out, the
        other weights growing to make up for it; or is replaced by V first.
    precision : {"auto", "float32", "float64"}
    backend : str
        ``"auto"`` or a name of `convcli.backends.names`.
    threads : int, optional
        All available by default.

    Returns
    -------
    (..., *output) array
        Of CuPy, if the image lies on a GPU;
        int64 and exact for an integer image and an integer kernel; otherwise float32 for images of
        at most 16-bit integers or 32-bit floats, and float64 for wider ones, unless `precision` says
        so.

    Raises
    ------
    UsageError
        For options or shapes that contradict each other; it is a ValueError too.
    BackendError
        If the backend cannot do this.

    References
    ----------
    The rule for ``interpolate`` is that of ``astropy.convolution.convolve``.

    Examples
    --------
    >>> convolve([[1, 2, 3], [4, 5, 6]], [[10, 20], [30, 40]], mode="full")
    array([[ 10,  40,  70,  60],
           [ 70, 230, 330, 240],
           [120, 310, 380, 240]])
    """
    pixels, weights = samples_of(image, "image", anywhere=True), samples_of(kernel, "kernel")
    axes = weights.ndim
    if pixels.ndim < axes:
        raise UsageError(f"image {shape_text(pixels.shape)} has {pixels.ndim} axes for a kernel with {axes}")
    split = pixels.ndim - axes
    lead, spatial = pixels.shape[:split], pixels.shape[split:]
    with device.at(pixels):
        planes = pixels.reshape(math.prod(lead), 1, *spatial)
        result = prepare(
            planes,
            weights[None, None],
            mode=mode,
            border=border,
            border_value=border_value,
            op=op,
            origin=origin,
            stride=stride,
            dilation=dilation,
            nan=nan,
            precision=precision,
            backend=backend,
            threads=threads,
        ).compute(planes)
    return result.reshape(*lead, *result.shape[2:])
