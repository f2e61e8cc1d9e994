"""The matrices of the textbooks, from a kernel and the shape of an image."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from convcli.arrays.library import Array
from convcli.arrays.samples import samples_of
from convcli.errors import LimitError, UsageError
from convcli.matrices.convolution_matrix import ConvolutionMatrix
from convcli.spec import CONSTANT_BORDERS, ConvSpec, PerAxis, choose, paddings, per_axis, shape_of
from convcli.text import counted, shape_text

if TYPE_CHECKING:
    from scipy.sparse import csr_array

ORDERS = ("C", "F")
MOST_ENTRIES = 2**60  # of a row or a column; their numbers have 64 bits


def toeplitz_matrix(
    kernel: ArrayLike,
    shape: int | Iterable[int],
    *,
    mode: str = "full",
    border: str = "zero",
    op: str = "convolve",
    origin: PerAxis | None = None,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    order: str = "C",
    groups: int = 1,
) -> csr_array:
    """Build the matrix T with T · vec(x) = vec(x ∗ k).

    For a kernel of one axis T is a Toeplitz matrix, for two axes a doubly blocked one: block (r, s)
    is the Toeplitz matrix of kernel row r − s. Border ``wrap`` in mode ``same`` makes it (block)
    circulant, ``symmetric`` Toeplitz plus Hankel.

    Parameters
    ----------
    kernel : array of real numbers
        Of as many axes as `shape`; or a bank (outputs, channels / groups, *taps), for the block
        matrix from all channels to all outputs.
    shape : int or tuple of int
        Spatial shape of the image.
    mode, border, op, origin, stride, dilation
        As in `convcli.convolve`. Op ``correlate`` gives the matrix of `convcli.layers.conv`.
    order : {"C", "F"}
        How vec reads image and result: row by row, or column by column as MATLAB does.
    groups : int
        The outputs of each group see the channels of that group only.

    Returns
    -------
    (rows, columns) csr_array
        int64 for a kernel of integers, float64 otherwise; no stored zeros.

    Raises
    ------
    UsageError
        For options or shapes that contradict each other.

    References
    ----------
    Jain (1989), "Fundamentals of Digital Image Processing", section 2.8; Dumoulin and Visin (2016),
    "A guide to convolution arithmetic for deep learning", section 4.1; Hansen, Nagy and O'Leary
    (2006), "Deblurring Images", chapter 4.

    Examples
    --------
    >>> toeplitz_matrix([[1, 2], [3, 4]], (3, 3), mode="valid").toarray()
    array([[4, 3, 0, 2, 1, 0, 0, 0, 0],
           [0, 4, 3, 0, 2, 1, 0, 0, 0],
           [0, 0, 0, 4, 3, 0, 2, 1, 0],
           [0, 0, 0, 0, 4, 3, 0, 2, 1]])
    """
    options: Any = {"border": border, "op": op, "origin": origin, "stride": stride, "dilation": dilation}
    return convolution_matrix(kernel, shape, mode=mode, order=order, groups=groups, **options).tocsr()


def circulant_matrix(kernel: ArrayLike, shape: int | Iterable[int]) -> csr_array:
    """Build the (block) circulant matrix C of the circular convolution with a kernel.

    Its first column is the kernel, filled up with zeros to the shape: cell 0 of the kernel sits on the
    output, where ``toeplitz_matrix(mode="same", border="wrap")`` has the origin. The discrete Fourier
    transform F diagonalises it: C = F⁻¹ · diag(F k) · F, so its eigenvalues are the transform of the kernel.

    Parameters
    ----------
    kernel : array of real numbers
        Of as many axes as `shape`; a larger one is wrapped around.
    shape : int or tuple of int

    Returns
    -------
    (samples, samples) csr_array

    Raises
    ------
    UsageError
        For shapes that do not fit each other.

    References
    ----------
    Davis (1979), "Circulant Matrices", section 5.8.

    Examples
    --------
    >>> circulant_matrix([1, 2], 4).toarray()
    array([[1, 0, 0, 2],
           [2, 1, 0, 0],
           [0, 2, 1, 0],
           [0, 0, 2, 1]])
    """
    return convolution_matrix(kernel, shape, mode="same", border="wrap", origin=0).tocsr()


def convolution_matrix(
    kernel: ArrayLike,
    shape: int | Iterable[int],
    *,
    mode: str = "full",
    order: str = "C",
    groups: int = 1,
    padding: PerAxis | None = None,
    **options: Any,
) -> ConvolutionMatrix:
    """Describe the matrix that `toeplitz_matrix` builds; `padding`, as of `unroll`, may replace `mode`.

    >>> convolution_matrix([1, 1], 10**9).shape
    (1000000001, 1000000000)
    """
    weights = samples_of(kernel, "kernel")
    sizes = shape_of(shape, "shape")
    axes = len(sizes)
    if weights.ndim not in (axes, axes + 2):
        raise UsageError(
            f"kernel {shape_text(weights.shape)} has {weights.ndim} axes for an image {shape_text(sizes)}; "
            f"it takes {axes}, or {axes + 2} with outputs and channels in front"
        )
    bank = weights if weights.ndim == axes + 2 else weights[None, None]
    groups = per_axis(groups, 1, "groups", 1)[0]
    if len(bank) % groups:
        raise UsageError(
            f"groups {groups} does not divide the {counted(len(bank), 'output')} of kernel "
            f"{shape_text(weights.shape)}; use a bank (outputs, channels / groups, *taps) where it does"
        )
    spec = ConvSpec(
        image_shape=sizes,
        kernel_shape=bank.shape[2:],
        channels=bank.shape[1] * groups,
        outputs=len(bank),
        mode=mode,
        **options,
        padding=None if padding is None else paddings(padding, axes),
    )
    if choose(order, ORDERS, "order") == "F":
        # Column by column is row by row of the image with its axes exchanged.
        bank = in_order(bank, order, leading=2)
        spec = spec.reversed()
    _refuse_overflow(bank, spec)
    rule = ConvolutionMatrix(bank, spec, groups)
    reach = max(max(axis.padded, axis.stride) for axis in spec.axes)
    if max(*rule.shape, reach) > MOST_ENTRIES:
        raise LimitError(
            f"the matrix {shape_text(rule.shape)}, or what its kernel reaches, is beyond what can be "
            "counted; use a smaller shape, stride or dilation"
        )
    return rule


def in_order(array: Array, order: str, leading: int = 1) -> Array:
    """Arrange an array as a matrix of that order has it, or back: its spatial axes are reversed for F."""
    return array if order == "C" else array.transpose(*range(leading), *range(leading, array.ndim)[::-1])


def _refuse_overflow(bank: Array, spec: ConvSpec) -> None:
    """Refuse cells whose sums, where a border makes several meet in one entry, may be no numbers."""
    met = spec.border not in CONSTANT_BORDERS and any(a.before > 0 or a.after > 0 for a in spec.axes)
    if spec.border == "wrap" and all(a.extent <= a.size for a in spec.axes):
        met = False
    with np.errstate(over="ignore"):
        sums = np.abs(bank.astype(np.float64)).sum(axis=tuple(range(2, bank.ndim)))
    largest = float(sums.max()) if met else 0
    if largest >= (2.0**63 if bank.dtype.kind == "i" else math.inf):
        raise UsageError(
            f'cells of the kernel sum up to {largest:.3g} under border "{spec.border}", '
            f"beyond {bank.dtype}; use smaller ones, or border zero"
        )


def cell_names(bank: Array, order: str = "C", letter: str = "w") -> list[str]:
    """Name the cells of a `ConvolutionMatrix`'s bank by row and column, counted from 1.

    Outputs and channels come in front where there are several; numbers beyond 9 are kept apart by _.

    >>> cell_names(np.ones((1, 1, 2, 2)))
    ['w11', 'w12', 'w21', 'w22']
    """
    names = []
    joint = "_" if max(bank.shape) > 9 else ""
    skipped = 2 if bank.shape[:2] == (1, 1) else 0
    for index in np.ndindex(bank.shape):
        spatial = index[2:] if order == "C" else index[:1:-1]
        names.append(letter + joint.join(str(n + 1) for n in (*index[:2], *spatial)[skipped:]))
    return names
