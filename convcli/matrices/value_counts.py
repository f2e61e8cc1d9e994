"""The entries of a convolution's matrix, counted without building it.

Where no border makes cells meet in one entry, a cell stands as often as the product of the counts along the
axes in which its sample lies in the image. Under other borders these counts are an estimate.
"""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import numpy as np

from convcli.arrays.library import Array
from convcli.matrices.convolution_matrix import ConvolutionMatrix
from convcli.matrices.footprint import inside
from convcli.matrices.matrix import spans
from convcli.spec import CONSTANT_BORDERS, Axis

MOST_BUILT = 1 << 22  # entries of a matrix that is built to be counted


def cell_counts(matrix: ConvolutionMatrix) -> tuple[Array, bool]:
    """Return how often each cell of a kernel stands in the matrix, flat, and whether that is exact."""
    spec = matrix.spec
    exact = all(_is_exact(axis, spec.border) for axis in spec.axes)
    axes = [np.array(_counts(axis, spec.border), object) for axis in spec.axes]
    counts: Array = functools.reduce(np.multiply.outer, axes).reshape(-1)
    if int(counts.sum()) * matrix.kernels[..., 0].size < 2**48:
        counts = counts.astype(np.int64)
    return counts if spec.op == "correlate" else counts[::-1], exact


def _is_exact(axis: Axis, border: str) -> bool:
    """Whether no two cells along an axis meet in one sample."""
    apart = border == "wrap" and axis.extent <= axis.size
    return apart or border in CONSTANT_BORDERS or (axis.before <= 0 and axis.after <= 0)


def _counts(axis: Axis, border: str) -> list[int]:
    """Count the outputs that read a sample through each cell along an axis."""
    if border == "wrap" and axis.extent <= axis.size:
        return [axis.output] * axis.taps
    return [outputs.stop - outputs.start for outputs, _ in inside(axis, by_cell=True)]


def value_counts(matrix: ConvolutionMatrix) -> tuple[Counter[Any], bool]:
    """Count the entries by value, zeros left out; return whether that is exact, too.

    >>> from convcli.matrices.build import convolution_matrix
    >>> counts, exact = value_counts(convolution_matrix([3, 4, 3], 10**12, mode="same"))
    >>> sorted(counts.items()), exact
    ([(3, 1999999999998), (4, 1000000000000)], True)
    """
    counts, exact = cell_counts(matrix)
    distinct, where = np.unique(matrix.kernels, return_inverse=True)
    total = np.zeros(len(distinct), counts.dtype)
    np.add.at(total, where.reshape(-1), np.tile(counts, matrix.kernels.size // len(counts)))
    found = zip(distinct.tolist(), total.tolist(), strict=True)
    return Counter({value: count for value, count in found if value != 0 and count}), exact


def nonzeros(matrix: ConvolutionMatrix) -> tuple[int, bool]:
    """Count the entries that are not 0; return whether that is exact, too. Small matrices are built.

    >>> from convcli.matrices.build import convolution_matrix
    >>> [nonzeros(convolution_matrix([3, 4], n, mode="same", border="nearest")) for n in (5, 10**12)]
    [(9, True), (1999999999999, False)]
    """
    counts, exact = value_counts(matrix)
    if exact or not is_small(matrix):
        return counts.total(), exact
    return sum(matrix.rows(*span).nnz for span in spans(matrix)), True


def is_small(matrix: ConvolutionMatrix) -> bool:
    """Whether all entries can be made within a moment."""
    return most_entries(matrix) <= MOST_BUILT


def most_entries(matrix: ConvolutionMatrix) -> int:
    """Return a bound of the entries, of the matrix and of its transpose alike."""
    return min(each.shape[0] * each.row_entries for each in (matrix, matrix.T))
