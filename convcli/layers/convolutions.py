"""The convolution of neural networks, and its gradient with respect to the kernels."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convcli.arrays import device
from convcli.arrays.library import Array
from convcli.arrays.samples import samples_of
from convcli.engine.problem import Convolution, prepare
from convcli.errors import UsageError
from convcli.layers import checks
from convcli.layers.geometry import Padding, Pairs, geometry
from convcli.spec import ConvSpec, PerAxis
from convcli.text import shape_text


def conv(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    precision: str = "auto",
    backend: str = "auto",
    threads: int | None = None,
) -> Array:
    """Correlate every image with a bank of kernels.

    With stride s, dilation d and padding p before the image,

        y[n, o, i] = bias[o] + Σ_c Σ_m w[o, c, m] · x[n, c, s·i + d·m − p],

    where c runs over the channels of the group that output o belongs to.

    Parameters
    ----------
    x : (N, C, *spatial) array of real numbers
        One of CuPy is computed where it lies, and so is the result.
    w : (outputs, C / groups, *taps) array of real numbers
    bias : (outputs,) array, optional
    stride, dilation : int or tuple of int
        Per spatial axis.
    padding : int, tuple of int or str
        Zeros around the image: one number, one per axis, all begins and then all ends; or ``valid``,
        ``same``, ``same-upper``, ``same-lower``.
    groups : int
        Channels and outputs are cut into as many groups that do not mix; C of them make it depthwise.
    precision, backend, threads
        As in `convcli.convolve`.

    Returns
    -------
    (N, outputs, *output) array
        Each axis has ⌊(size + padding − d·(taps − 1) − 1) / s⌋ + 1 samples. Its type is that of
        `convcli.convolve`: exact int64 for integers; a bias of floats makes those float64.

    Raises
    ------
    UsageError, BackendError
        For shapes or options that contradict each other, or that the backend cannot do.

    References
    ----------
    Dumoulin and Visin (2016), relationship 15.

    Examples
    --------
    >>> conv(np.arange(16).reshape(1, 1, 4, 4), [[[[1, 0], [0, -1]]]], [100], stride=2)
    array([[[[95, 95],
             [95, 95]]]])
    """
    image, groups = checks.image_of(x, anywhere=True), checks.groups_of(groups)
    bank = checks.bank_of(w, image, groups)
    batch, channels, *spatial = image.shape
    checks.check_channels(bank, bank.shape[1], image, groups)
    offsets = checks.bias_of(bias, len(bank))
    spec = geometry(image.shape[2:], bank.shape[2:], stride, padding, dilation)
    options = {"groups": groups, "precision": precision, "backend": backend, "threads": threads}
    with device.at(image):
        grouped = image.reshape(batch * groups, channels // groups, *spatial)
        correlation = prepare_correlation(grouped, bank, spec.stride, spec.dilation, spec.padding, **options)
        result = correlation.compute(grouped)
        return checks.add_bias(result.reshape(batch, len(bank), *spec.output_shape), offsets)


def conv_weight_grad(
    x: ArrayLike,
    grad: ArrayLike,
    kernel_shape: int | Iterable[int],
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    precision: str = "auto",
    backend: str = "auto",
    threads: int | None = None,
) -> Array:
    """Gradient of `conv` with respect to its kernels: dY · X_convᵀ.

    It is a correlation of the image with dY itself, stride and dilation having changed places:

        dw[o, c, m] = Σ_n Σ_i dy[n, o, i] · x[n, c, d·m + s·i − p].

    Parameters
    ----------
    x : (N, C, *spatial) array
    grad : (N, outputs, *output) array
        Gradient with respect to the result.
    kernel_shape : tuple of int
        ``taps``, or the whole shape (outputs, C / groups, *taps).
    stride, padding, dilation, groups
        As in the `conv` whose gradient this is.
    precision, backend, threads
        As in `convcli.convolve`.

    Returns
    -------
    (outputs, C / groups, *taps) array
        Exact int64 for integers. A gradient that is not finite makes every cell of its output's kernel NaN.

    Raises
    ------
    UsageError, BackendError
        For shapes or options that contradict each other, or that the backend cannot do.

    Examples
    --------
    >>> conv_weight_grad([[[1, 2, 3, 4]]], [[[1, 0, 10]]], 2)
    array([[[31, 42]]])
    """
    image, gradient = checks.image_of(x), checks.image_of(grad, "gradient")
    groups = checks.groups_of(groups)
    if gradient.ndim != image.ndim or len(gradient) != len(image):
        raise UsageError(
            f"gradient of shape {gradient.shape} does not go with an image of shape {image.shape}; "
            "both have the same N and the same number of axes"
        )
    channels, outputs = image.shape[1], gradient.shape[1]
    for count, what in ((channels, "channels of the image"), (outputs, "channels of the gradient")):
        checks.refuse_groups(groups, count, what)
    taps = checks.spatial_of(kernel_shape, image.ndim - 2, "kernel shape", (outputs, channels // groups))
    spec = geometry(image.shape[2:], taps, stride, padding, dilation)
    check_gradient(gradient, spec)
    if len(image) == 0:  # a sum of nothing, which a zero stands for
        image, gradient = (np.zeros((1, *a.shape[1:]), a.dtype) for a in (image, gradient))

    finite = np.isfinite(gradient)
    bank = samples_of(np.where(finite, gradient, 0), "kernel").swapaxes(0, 1)
    grouped = image.reshape(len(image), groups, channels // groups, *spec.image_shape)
    planes = np.moveaxis(grouped, 0, 2).swapaxes(0, 1)  # (C / groups, groups, N, *spatial)
    planes = planes.reshape(channels, *planes.shape[2:])
    pairs = tuple((axis.before, axis.after) for axis in spec.axes)
    options = {"groups": groups, "precision": precision, "backend": backend, "threads": threads}
    correlation = prepare_correlation(planes, bank, spec.dilation, spec.stride, pairs, **options)
    result = correlation.compute(planes).reshape(channels // groups, outputs, *taps).swapaxes(0, 1)
    if not finite.all():
        result[~finite.all(axis=(0, *range(2, finite.ndim)))] = np.nan
    return np.ascontiguousarray(result)


def prepare_correlation(
    planes: Array, bank: Array, stride: PerAxis, dilation: PerAxis, padding: Pairs | None, **options: Any
) -> Convolution:
    """Prepare the correlation of planes with a bank; `options` are those of `prepare`."""
    spacing = {"stride": stride, "dilation": dilation, "padding": padding}
    return prepare(planes, bank, op="correlate", **spacing, **options)


def check_gradient(gradient: Array, spec: ConvSpec) -> None:
    """Refuse a gradient of another spatial shape than the convolution gives."""
    if gradient.shape[2:] != spec.output_shape:
        raise UsageError(
            f"gradient is {shape_text(gradient.shape[2:])}, but image {shape_text(spec.image_shape)} and "
            f"kernel {shape_text(spec.kernel_shape)} give {shape_text(spec.output_shape)}; "
            "use the shapes and options of the convolution"
        )
