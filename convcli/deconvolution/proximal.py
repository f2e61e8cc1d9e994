"""Proximal maps of sparse penalties: where |v| is small the answer is zero."""

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from convcli.arrays.library import HOST, Array, array_module
from convcli.deconvolution.blur import squared_length
from convcli.errors import UsageError

# Exponents of `shrink_power`, with n = 1/(1 − exponent); 1 marks the soft threshold, which has none.
EXPONENTS = {1.0: 1, 1 / 2: 2, 2 / 3: 3}
BLOCK_BYTES = 2**16  # the half dozen buffers of a block fit into the second-level cache together
GPU_BLOCK_BYTES = 2**24  # on a GPU the buffers only must not take much memory


def shrink_vectors(v: Array, threshold: float) -> Array:
    """Shorten vectors by `threshold`, those not as long to zero.

    The minimum over w of ½ |w − v|² + t |w|, with |·| the Euclidean norm over axis 0, which holds the
    components of a vector, is

        w = v · max(0, 1 − t / |v|)

    Wang, Yang, Yin and Zhang (2008), "A new alternating minimization algorithm for total variation
    image reconstruction", section 2. `v` stays as it is: splitting methods go on with v − w.

    >>> shrink_vectors(np.array([[3.0, 0.3], [4.0, 0.4]]), 1.0).tolist()
    [[2.4000000000000004, 0.0], [3.2, 0.0]]
    """
    limit = _within(threshold, v.dtype)
    if limit == 0:
        return v.copy()
    result = np.empty_like(v, order="C")
    for block, target in _blocks(v, result, len(v)):
        # A length beyond the largest float becomes infinite, and the vector stays as it is.
        with np.errstate(over="ignore"):
            factor = squared_length(block)
        np.sqrt(factor, out=factor)
        np.maximum(factor, limit, out=factor)  # short vectors get the factor 0, never 0/0
        np.divide(limit, factor, out=factor)
        np.subtract(1, factor, out=factor)
        np.multiply(block, factor, out=target)
    return result


def shrink_power(v: Array, threshold: float, exponent: float) -> Array:
    """Proximal map of a power: samples up to a limit become zero, larger ones a little smaller.

    The minimum over w of ½ (w − v)² + t |w|^α. With n = 1/(1 − α) it is at

        w = v gⁿ = v (1 − m/g),   gⁿ⁺¹ − g + m = 0,   m = α (c / |v|)^((n+1)/n),   c = t^(1/(2−α))

    for the largest root g of this cubic (α = ½) or quartic (α = ⅔), if |v| is above
    c (2−α) (2(1−α))^(−(1−α)/(2−α)); up to there, w = 0 is as low or lower. For α = 1 it is the
    soft threshold, sign(v) max(0, |v| − t).

    Above the limit gⁿ is in [2/(n+1), 1] and the slope of the polynomial in [1, n]. So well away
    from the other roots, Newton's method takes a parabola's guess to the last bits in two steps
    (float32) or three (float64): less than the arc cosine or the nested radicals of the root in
    closed form, and without their cancellation.

    Krishnan and Fergus (2009), "Fast image deconvolution using hyper-Laplacian priors", section 2.2.

    >>> shrink_power(np.array([1.0, 1.5, 1.51, -100.0]), 1.0, 1 / 2).round(3).tolist()
    [0.0, 0.0, 1.013, -99.95]
    """
    n = next((n for known, n in EXPONENTS.items() if math.isclose(exponent, known, rel_tol=1e-6)), None)
    if n is None:
        raise UsageError(f"exponent {exponent:g} has no closed form here; use 1/2, 2/3 or 1")
    result = np.empty_like(v, order="C")
    if n == 1:
        bound = _within(threshold, v.dtype)
        for block, target in _blocks(v, result):
            np.clip(block, -bound, bound, out=target)
            np.subtract(block, target, out=target)
        return result
    alpha = 1 - 1 / n
    edge = (2 - alpha) * (2 - 2 * alpha) ** ((alpha - 1) / (2 - alpha))
    limit = _within(edge * _within(threshold, np.dtype(np.float64)) ** (1 / (2 - alpha)), v.dtype)
    if limit < np.finfo(v.dtype).tiny:
        return v.copy()
    for block, target in _blocks(v, result):
        size = np.abs(block)
        large = size > limit
        np.maximum(size, limit, out=size)  # where w = 0 any finite factor does
        ratio = np.divide(limit / edge, size, out=size)
        factor = _kept(ratio, n)
        factor *= large
        np.multiply(block, factor, out=target)
    return result


def _kept(ratio: Array, n: int) -> Array:
    """Fraction 1 − m/g of a sample that is left, for ratio = c / |v|; `ratio` is overwritten."""
    constant = np.sqrt(ratio) if n == 2 else np.cbrt(ratio)
    constant *= ratio
    constant *= 1 - 1 / n
    bend, tilt, start = _parabola(n)
    g = constant * bend
    g += tilt
    g *= constant
    g += start
    power, slope = np.empty_like(g), ratio
    for _ in range(2 if g.dtype.itemsize <= 4 else 3):
        np.multiply(g, g, out=power)
        if n == 3:
            power *= g
        np.multiply(power, n + 1, out=slope)
        slope -= 1
        power *= n
        g *= power
        g -= constant
        g /= slope
    constant /= g
    return np.subtract(1, constant, out=constant)


@functools.cache
def _parabola(n: int) -> tuple[float, ...]:
    """Coefficients, highest power first, of a parabola in m within 0.005 of the root g."""
    g = np.linspace((2 / (n + 1)) ** (1 / n), 1, 64)
    return tuple(np.polyfit(g - g ** (n + 1), g, 2).tolist())


def _within(threshold: float, dtype: np.dtype[Any]) -> float:
    """Threshold as a finite number of `dtype`."""
    if not threshold >= 0:
        raise UsageError(f"threshold {threshold:g} is not 0 or above; use 0 to leave all as it is")
    return float(dtype.type(min(float(threshold), float(np.finfo(dtype).max))))


def _blocks(v: Array, result: Array, rows: int = 1) -> Iterator[tuple[Array, Array]]:
    """Views of `v` and of `result` as (`rows`, samples), so many at a time."""
    source, target = v.reshape(rows, -1), result.reshape(rows, -1)
    step = (BLOCK_BYTES if array_module(v) is HOST else GPU_BLOCK_BYTES) // v.itemsize
    for start in range(0, target.shape[1], step):
        part = np.s_[:, start : start + step]
        yield source[part], target[part]
