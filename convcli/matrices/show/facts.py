"""Facts about a convolution's matrix that need no look at each entry."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from convcli.arrays.library import Array
from convcli.matrices.convolution_matrix import ConvolutionMatrix
from convcli.matrices.matrix import dense_rows
from convcli.matrices.value_counts import most_entries, nonzeros, value_counts
from convcli.spec import BORDERS, CONSTANT_BORDERS
from convcli.text import shape_text

DENSE_SIDE = 512  # rows or columns up to which a decomposition takes no time to speak of
TRANSFORMED = 2**24  # samples up to which a Fourier transform does not
SURE = 1e-6  # of the largest eigenvalue: the most that rounding may have moved one that is told
TOEPLITZ = {1: "Toeplitz", 2: "doubly blocked Toeplitz", 3: "triply blocked Toeplitz"}
CIRCULANT = {1: "circulant", 2: "doubly block circulant", 3: "triply block circulant"}


@dataclass(frozen=True)
class Facts:
    """Facts about a matrix: shapes in entries, but `blocks`; bytes in memory, sparse as CSR.

    Non-zeros are estimated if a border folds and the matrix is too large to build. Rank and eigenvalues are
    None where they take long; `transform` says that these are the kernel's DFT about its origin.
    """

    shape: tuple[int, int]
    blocks: tuple[int, int]
    block_shape: tuple[int, int]
    structure: str
    nonzeros: int
    nonzeros_exact: bool
    dense_bytes: int
    sparse_bytes: int
    im2col_shape: tuple[int, int]
    rank: int | None
    eigenvalues: Array | None
    transform: bool

    @property
    def density(self) -> float:
        """Share of the entries that are not 0."""
        return self.nonzeros / math.prod(self.shape)

    @property
    def im2col_bytes(self) -> int:
        """Bytes of the unrolled image in memory, 8 an entry."""
        return 8 * math.prod(self.im2col_shape)


def facts(matrix: ConvolutionMatrix, *, named: bool = False) -> Facts:
    """Collect the facts; of the cells' names, not the numbers that they stand for, if `named`."""
    rows, columns = matrix.shape
    height, width = matrix.block_shape
    count, exact = nonzeros(replace(matrix, kernels=np.ones_like(matrix.kernels)) if named else matrix)
    rank, eigenvalues = (None, None) if named else _spectrum(matrix, count)
    spec = matrix.spec
    return Facts(
        shape=matrix.shape,
        blocks=(rows // height, columns // width),
        block_shape=matrix.block_shape,
        structure=structure(matrix),
        nonzeros=count,
        nonzeros_exact=exact,
        dense_bytes=8 * rows * columns,
        sparse_bytes=sparse_bytes(matrix.shape, count),
        im2col_shape=(math.prod(spec.output_shape), spec.channels * math.prod(spec.kernel_shape)),
        rank=rank,
        eigenvalues=_cleared(eigenvalues),
        transform=is_circulant(matrix),
    )


def sparse_bytes(shape: tuple[int, int], nonzeros: int) -> int:
    """Bytes of a CSR matrix of 8-byte numbers."""
    index = 4 if max(nonzeros, *shape) < 2**31 else 8
    return nonzeros * (8 + index) + (shape[0] + 1) * index


def most_bytes(matrix: ConvolutionMatrix) -> int:
    """Return the bytes of the CSR matrix, or a bound where its entries are not counted at once."""
    counts, exact = value_counts(matrix)
    return sparse_bytes(matrix.shape, counts.total() if exact else most_entries(matrix))


def structure(matrix: ConvolutionMatrix) -> str:
    """Name the structure as textbooks do."""
    spec = matrix.spec
    axes = len(spec.axes)
    unstrided = all(axis.stride == 1 for axis in spec.axes)
    inside = all(axis.before <= 0 and axis.after <= 0 for axis in spec.axes)
    same = all((axis.start, axis.stop) == (0, axis.size) for axis in spec.axes)
    if spec.border == "wrap" and same and not inside:
        name = CIRCULANT[axes]
    else:
        pattern = "{toeplitz}" if inside else BORDERS[spec.border].structure
        name = pattern.format(toeplitz=TOEPLITZ[axes], block="block " if axes > 1 else "")
    if not unstrided:
        name = f"{name}, strided {shape_text(axis.stride for axis in spec.axes)}"
    planes = (matrix.row_shape[0], matrix.column_shape[0])
    if planes != (1, 1):
        sides = "channels × outputs" if matrix.transposed else "outputs × channels"
        name = f"{shape_text(planes)} parts ({sides}), each {name}"
    return f"transpose of {name}" if matrix.transposed else name


def is_circulant(matrix: ConvolutionMatrix) -> bool:
    """Whether it is (block) circulant, so that the DFT diagonalises it."""
    spec = matrix.spec
    wraps = spec.border == "wrap" or max(spec.kernel_shape) == 1
    still = all(a.stride == 1 and (a.start, a.stop) == (0, a.size) for a in spec.axes)
    return wraps and still and matrix.kernels.shape[:2] == (1, 1) and matrix.groups == 1


def _spectrum(matrix: ConvolutionMatrix, nonzeros: int) -> tuple[int | None, Array | None]:
    """Rank and eigenvalues where they are cheap."""
    rows, columns = matrix.shape
    if is_circulant(matrix):
        if rows > TRANSFORMED:
            return None, None
        first = dense_rows(matrix.T, 0, 1).reshape(matrix.spec.image_shape)  # its first column
        transform = np.fft.fftn(first).reshape(-1)
        return _above_rounding(np.abs(transform), rows), _real_if_so(transform)
    small = max(rows, columns) <= DENSE_SIDE
    dense = dense_rows(matrix).astype(np.float64) if small else None
    values = None if dense is None or rows != columns else _eigenvalues(dense)
    if nonzeros == 0:
        return 0, values
    if _has_full_rank(matrix):
        return min(rows, columns), values
    rank = None if dense is None else int(np.linalg.matrix_rank(dense))
    return rank, values


def _has_full_rank(matrix: ConvolutionMatrix) -> bool:
    """Whether a look at the first entries of rows or columns tells: no two are at one place.

    Mode full over zeros is the product of two polynomials; in mode valid each row begins right of the last.
    """
    spec = matrix.spec
    if matrix.kernels.shape[:2] != (1, 1):
        return False
    if all(axis.before <= 0 and axis.after <= 0 for axis in spec.axes):
        return True
    whole = spec.mode == "full" and spec.padding is None and all(a.stride == 1 for a in spec.axes)
    return whole and spec.border in CONSTANT_BORDERS


def _eigenvalues(dense: Array) -> Array | None:
    """Return the eigenvalues of a square matrix, unless rounding may have moved them.

    Bauer and Fike (1960), "Norms and exclusion theorems", bound the change: eigenvalues of an unsymmetric
    Toeplitz matrix can be anywhere near the curve of its symbol after rounding (Trefethen and Embree (2005),
    "Spectra and Pseudospectra", chapter II).
    """
    if (dense == dense.T).all():
        return np.linalg.eigvalsh(dense)
    if not np.triu(dense, 1).any() or not np.tril(dense, -1).any():
        return dense.diagonal()
    values, vectors = np.linalg.eig(dense)
    moved = np.linalg.cond(vectors) * np.linalg.norm(dense, 2) * np.finfo(np.float64).eps
    return _real_if_so(values) if moved <= SURE * np.abs(values).max() else None


def _above_rounding(sizes: Array, rows: int) -> int:
    """Count the singular values that are not 0 but for rounding: NumPy's rule."""
    return int((sizes > sizes.max() * rows * np.finfo(np.float64).eps).sum())


def _real_if_so(values: Array) -> Array:
    """Drop imaginary parts that are rounding."""
    return values.real if np.abs(values.imag).max() <= 1e-12 * np.abs(values).max() else values


def _cleared(values: Array | None) -> Array | None:
    """Set to 0 what is 0 but for rounding."""
    if values is None or len(values) == 0:
        return values
    sizes = np.abs(values)
    return np.where(sizes > sizes.max() * len(values) * np.finfo(np.float64).eps, values, 0)
