"""Matrices by index arithmetic: no loop over pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def valid_matrix(kernels: NDArray[Any], padded_shape: tuple[int, ...]) -> csr_array:
    """Build the matrix of the `valid` correlation with a bank of kernels.

    Row after row, the kernel's non-zero cells lie at the same distances: column indices are an outer
    sum of output positions and cell offsets.

    Parameters
    ----------
    kernels : (outputs, channels, *taps) array
    padded_shape : tuple of int
        Spatial shape of the image, at least `taps`.

    Returns
    -------
    (outputs * prod(padded - taps + 1), channels * prod(padded)) csr_array
        Row-major positions on both sides; no stored zeros.

    References
    ----------
    Dumoulin and Visin (2016), "A guide to convolution arithmetic for deep learning", section 4.1.

    Examples
    --------
    >>> valid_matrix(np.array([[[1, 2]]]), (4,)).toarray().tolist()
    [[1, 2, 0, 0], [0, 1, 2, 0], [0, 0, 1, 2]]
    """
    from scipy.sparse import csr_array, vstack

    taps = kernels.shape[2:]
    output = tuple(p - t + 1 for p, t in zip(padded_shape, taps, strict=True))
    rows, columns = math.prod(output), kernels.shape[1] * math.prod(padded_shape)
    index_type = np.int32 if max(columns, rows * kernels[0].size) < 2**31 else np.int64
    steps = np.array([math.prod(padded_shape[a + 1 :]) for a in range(len(taps))])
    positions = _positions(output, steps).astype(index_type)
    blocks = []
    for kernel in kernels:
        channel, *cell = np.nonzero(kernel)
        offsets = channel * math.prod(padded_shape) + (np.array(cell).T * steps).sum(axis=1)
        indices = np.add.outer(positions, offsets.astype(index_type)).reshape(-1)
        weights = np.tile(kernel[(channel, *cell)], rows)
        pointers = np.arange(rows + 1, dtype=index_type) * len(offsets)
        blocks.append(csr_array((weights, indices, pointers), shape=(rows, columns)))
    return blocks[0] if len(blocks) == 1 else vstack(blocks, format="csr")


def _positions(shape: tuple[int, ...], steps: NDArray[Any]) -> NDArray[Any]:
    """Flat position in the padded image of every output, row-major."""
    total = np.zeros((), dtype=np.int64)
    for n, step in zip(shape, steps, strict=True):
        total = np.add.outer(total, np.arange(n) * step)
    return total.reshape(-1)
