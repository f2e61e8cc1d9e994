"""Transposed convolution, and the gradient of a convolution with respect to its image."""

from collections.abc import Iterable

from numpy.typing import ArrayLike

from convcli.arrays.library import Array
from convcli.errors import UsageError
from convcli.layers.checks import add_bias, bank_of, bias_of, check_channels, groups_of, image_of, spatial_of
from convcli.layers.convolutions import check_gradient
from convcli.layers.geometry import Enlarged, Padding, geometry, transposed_geometry
from convcli.layers.transposed_polyphase import spread
from convcli.spec import PerAxis


def conv_transpose(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    output_shape: int | Iterable[int] | None = None,
    dilation: PerAxis = 1,
    groups: int = 1,
    precision: str = "auto",
    backend: str = "auto",
    threads: int | None = None,
) -> Array:
    """Multiply by the transpose of a convolution's matrix: enlarge by the stride.

    Every sample puts down the kernel, at a distance of the stride s from its neighbour's:

        y[n, o, s·i + d·m − p] += w[c, o, m] · x[n, c, i]   for all c, i, m; then bias[o] is added.

    Parameters
    ----------
    x : (N, C, *spatial) array of real numbers
    w : (C, outputs / groups, *taps) array of real numbers
    bias : (outputs,) array, optional
    stride, dilation : int or tuple of int
        Per spatial axis.
    padding : int, tuple of int or str
        Samples cut off from the result, written as for `conv`; ``same-upper`` and ``same-lower`` give
        size · stride samples, as ONNX has it.
    output_padding : int or tuple of int
        Samples added at the end, fewer than the stride or the dilation.
    output_shape : tuple of int, optional
        Spatial shape of the result. The padding follows from it as in ONNX: the total is
        s·(size − 1) + output_padding + d·(taps − 1) + 1 − output, and an odd sample is cut off at the
        beginning, for padding ``same-upper`` at the end. Where the total is negative zeros are added
        instead, at the end, or for both names on either side in the same way.
    groups : int
    precision, backend, threads
        As in `convcli.convolve`.

    Returns
    -------
    (N, outputs, *output) array
        Each axis has s·(size − 1) + d·(taps − 1) + 1 + output_padding − padding samples. Its type is
        that of `conv`.

    Raises
    ------
    UsageError, BackendError
        For shapes or options that contradict each other, or that the backend cannot do.

    References
    ----------
    Dumoulin and Visin (2016), section 4; the operator ConvTranspose of ONNX.

    Examples
    --------
    >>> conv_transpose([[[1, 2, 3]]], [[[1, 10, 100]]], stride=2)
    array([[[  1,  10, 102,  20, 203,  30, 300]]])
    """
    image, groups = image_of(x), groups_of(groups)
    bank = bank_of(w, image, groups, layout="(in, out/groups, *taps)")
    check_channels(bank, len(bank), image, 1)
    offsets = bias_of(bias, bank.shape[1] * groups)
    enlarged = transposed_geometry(
        image.shape[2:], bank.shape[2:], stride, padding, output_padding, dilation, output_shape
    )
    result = spread(image, bank, groups, enlarged, precision=precision, backend=backend, threads=threads)
    return add_bias(result, offsets)


def conv_input_grad(
    grad: ArrayLike,
    w: ArrayLike,
    input_shape: int | Iterable[int],
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    precision: str = "auto",
    backend: str = "auto",
    threads: int | None = None,
) -> Array:
    """Gradient of `conv` with respect to its image: W_convᵀ · vec(dY).

        dx[n, c, s·i + d·m − p] += w[o, c, m] · dy[n, o, i]   for all o, i, m

    Samples that no window reaches have gradient 0.

    Parameters
    ----------
    grad : (N, outputs, *output) array
        Gradient with respect to the result.
    w : (outputs, C / groups, *taps) array
    input_shape : tuple of int
        ``spatial``, or the whole shape (N, C, *spatial): a stride leaves it open.
    stride, padding, dilation, groups
        As in the `conv` whose gradient this is.
    precision, backend, threads
        As in `convcli.convolve`.

    Returns
    -------
    (N, C, *spatial) array
        Exact int64 for integers.

    Raises
    ------
    UsageError, BackendError
        For shapes or options that contradict each other, or that the backend cannot do.

    References
    ----------
    Dumoulin and Visin (2016), section 4.1.

    Examples
    --------
    >>> conv_input_grad([[[1, 2]]], [[[1, 10]]], 6, stride=3)
    array([[[ 1, 10,  0,  2, 20,  0]]])
    """
    gradient, groups = image_of(grad, "gradient"), groups_of(groups)
    bank = bank_of(w, gradient, groups, what="gradient")
    if len(bank) != gradient.shape[1]:
        raise UsageError(
            f"kernel of shape {bank.shape} has {len(bank)} outputs, and the gradient of shape "
            f"{gradient.shape} has {gradient.shape[1]}; use those of one convolution"
        )
    leading = (len(gradient), bank.shape[1] * groups)
    spatial = spatial_of(input_shape, gradient.ndim - 2, "input shape", leading)
    spec = geometry(spatial, bank.shape[2:], stride, padding, dilation)
    check_gradient(gradient, spec)
    axes = ((axis.stride, axis.dilation, axis.before, axis.size) for axis in spec.axes)
    enlarged = Enlarged(*zip(*axes, strict=True))
    return spread(gradient, bank, groups, enlarged, precision=precision, backend=backend, threads=threads)
