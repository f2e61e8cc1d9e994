"""Kernels that fall apart into 1-D passes, found by singular value decomposition."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[Any]
HIGHEST_RANK = 8  # beyond it transforms are faster than passes


def separate(kernel: NDArray[Any], *, rtol: float = 1e-10) -> tuple[Vector, ...] | None:
    """Split a rank-1 kernel into one vector per axis.

    Two 1-D passes cost ``p + q`` multiplications per pixel instead of ``p * q``. The outer product of the
    vectors is `kernel`, but for `rtol` times its largest cell, and exactly if it is of integers; None if
    its rank exceeds 1.

    >>> column, row = separate(np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]]))
    >>> column.tolist(), row.tolist()
    ([1, 2, 1], [1, 0, -1])
    """
    peak = np.unravel_index(int(np.argmax(np.abs(kernel))), kernel.shape)
    largest = kernel[peak].item()
    if largest == 0:
        return None
    lines = [np.moveaxis(kernel, axis, -1)[(*peak[:axis], *peak[axis + 1 :])] for axis in range(kernel.ndim)]
    if kernel.dtype.kind == "i":
        # Lines through one cell of an integer rank-1 kernel, less their common factors, are its
        # factors up to one scale.
        vectors = [line // math.gcd(*line.tolist()) for line in lines]
        at_peak = math.prod(v[i].item() for v, i in zip(vectors, peak, strict=True))
        vectors[0] = vectors[0] * (largest // at_peak)
        rtol = 0.0
    else:
        # Equal shares of the magnitude: no pass may overflow where the kernel itself would not.
        weights = [float(np.abs(line).sum()) for line in lines]
        vectors = [line / weight for line, weight in zip(lines, weights, strict=True)]
        share = abs(largest) ** (1 / kernel.ndim)
        scale = math.prod((weight / abs(largest)) ** (1 / kernel.ndim) for weight in weights) * share
        vectors = [vector * scale for vector in vectors]
        if largest < 0 and kernel.ndim % 2 == 0:
            vectors[0] = -vectors[0]
    product = functools.reduce(np.multiply.outer, vectors)
    if np.abs(product - kernel).max() > rtol * abs(largest):
        return None
    return tuple(vectors)


def low_rank(kernel: NDArray[Any], *, rtol: float = 1e-10) -> list[tuple[Vector, ...]]:
    """Write a kernel of 2 or 3 axes as a short sum of rank-1 kernels, each one vector per axis.

    Singular values up to `rtol` times the first are taken as zero. Empty if there is no such sum with fewer
    multiplications than the kernel has cells; integer kernels of rank above 1 have none that is exact.

    A few random combinations of the columns span them all if the rank is low, so a 101×101 kernel costs no
    more than a 10×101 one (Halko, Martinsson and Tropp 2011, "Finding structure with randomness", alg. 4.1).

    >>> plus = np.array([[0.0, 1, 0], [1, 1, 1], [0, 1, 0]])
    >>> len(low_rank(np.kron(plus, np.ones((3, 3)))))
    2
    """
    if kernel.ndim == 1 or sum(n > 1 for n in kernel.shape) < 2:
        return []
    return list(_terms(kernel.tobytes(), kernel.shape, kernel.dtype.str, rtol))


@functools.lru_cache(maxsize=16)
def _terms(cells: bytes, shape: tuple[int, ...], dtype: str, rtol: float) -> tuple[tuple[Vector, ...], ...]:
    kernel = np.frombuffer(cells, dtype).reshape(shape)
    single = separate(kernel, rtol=rtol)
    if single is not None:
        return (single,)
    if kernel.ndim != 2 or kernel.dtype.kind == "i" or 2 * sum(shape) >= kernel.size:
        return ()
    probes = np.random.default_rng(0).standard_normal((kernel.shape[1], min(HIGHEST_RANK + 2, *kernel.shape)))
    basis, _ = np.linalg.qr(kernel @ probes)
    projected = basis.T @ kernel
    if np.abs(basis @ projected - kernel).max() > rtol * np.abs(kernel).max():
        return ()
    columns, values, rows = np.linalg.svd(projected, full_matrices=False)
    rank = int((values > rtol * values[0]).sum())
    if rank > HIGHEST_RANK or rank * sum(kernel.shape) >= kernel.size:
        return ()
    return tuple((basis @ columns[:, i] * values[i], rows[i]) for i in range(rank))
