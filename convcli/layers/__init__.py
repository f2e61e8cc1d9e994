"""Neural-network arithmetic on arrays (N, C, *spatial) of 1 to 3 spatial axes.

Names and meaning are PyTorch's: `conv` correlates, its kernels are (out, in/groups, *taps). With
X_conv the unrolled image and W the flattened kernels, all of it is the matrix product Y = W · X_conv:
`conv_input_grad` is W_convᵀ · vec(dY), `conv_weight_grad` is dY · X_convᵀ, `conv_transpose` is the
former as a layer of its own, and `masked_conv` masks X_conv before the product.

Every function takes ``padding`` as one number, one per axis, all begins and then all ends as ONNX does,
or a name: ``valid``; ``same``, PyTorch's, for stride 1; ``same-upper`` and ``same-lower``, ONNX's.

Convolutions, transposed ones and gradients are planned and computed as `convcli.convolve` plans and
computes, on the same backends; pools and `masked_conv` have loops of their own, and no choice of backend.
Exactness and types of convolutions, masked ones too, are those of `convcli.convolve`: integer images with
integer kernels give exact int64; a pixel that is not finite makes every output whose window covers it NaN.

`convolutions`, `transposed`, `masking` and `pooling` have the functions; `checks` holds arrays against each
other, `geometry` works out shapes, and `transposed_polyphase` computes what is transposed. The room may
import up to `engine`.

References
----------
Dumoulin and Visin (2016), "A guide to convolution arithmetic for deep learning", arXiv:1603.07285.

Examples
--------
The coefficients of a product of polynomials, (1 + 2t + 3t²) · (4 + 5t), are a transposed convolution:

>>> import numpy as np
>>> conv_transpose([[[1, 2, 3]]], [[[4, 5]]])
array([[[ 4, 13, 22, 15]]])

Circular convolution wraps the signal around, here by one sample; `conv` correlates, so the kernel is flipped:

>>> signal, kernel = np.array([1, 2, 3, 4]), np.array([10, 1])
>>> wrapped = np.pad(signal, (1, 0), mode="wrap")
>>> conv(wrapped[None, None], kernel[None, None, ::-1])
array([[[14, 21, 32, 43]]])
>>> np.fft.ifft(np.fft.fft(signal) * np.fft.fft(kernel, 4)).real.round(9).tolist()
[14.0, 21.0, 32.0, 43.0]
"""

from convcli.layers.convolutions import conv, conv_weight_grad
from convcli.layers.masking import masked_conv
from convcli.layers.pooling import avg_pool, max_pool
from convcli.layers.transposed import conv_input_grad, conv_transpose

__all__ = [
    "avg_pool",
    "conv",
    "conv_input_grad",
    "conv_transpose",
    "conv_weight_grad",
    "masked_conv",
    "max_pool",
]
