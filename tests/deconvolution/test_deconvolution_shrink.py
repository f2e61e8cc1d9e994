"""Proximal maps against a search for the minimum they are defined by."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convcli.deconvolution import proximal
from convcli.deconvolution.proximal import shrink_power, shrink_vectors
from convcli.errors import UsageError

RNG = np.random.default_rng(21)
EXPONENTS = [1 / 2, 2 / 3, 1.0]
RTOL = {"float32": 1e-6, "float64": 1e-12}
LIMITS = {1 / 2: 1.5, 2 / 3: 1.4756, 1.0: 1.0}  # of |v| at threshold 1, to four digits

samples = st.floats(-1e6, 1e6, width=32)
thresholds = st.floats(0, 1e4)
exponents = st.sampled_from(EXPONENTS)
dtypes = st.sampled_from(["float32", "float64"])


def objective(w, v, threshold, exponent):
    return (w - v) ** 2 / 2 + threshold * np.abs(w) ** exponent


def search(v, threshold, exponent):
    """Position of the least value: on a grid, on finer ones around its best, then by Newton's method."""
    low, high = -abs(v) - 1e-3, abs(v) + 1e-3
    for _ in range(5):
        grid = np.append(0.0, np.linspace(low, high, 4001))
        best = grid[np.argmin(objective(grid, v, threshold, exponent))]
        step = (high - low) / 4000
        low, high = best - step, best + step
    if best == 0 or (exponent == 1 and abs(v) <= threshold):
        return 0.0
    w, sign = abs(best), math.copysign(1, v)
    for _ in range(30):
        first = w - abs(v) + threshold * exponent * w ** (exponent - 1)
        w -= first / (1 + threshold * exponent * (exponent - 1) * w ** (exponent - 2))
    return sign * w


def one(v, threshold, exponent, dtype="float64"):
    return float(shrink_power(np.array([v], dtype), threshold, exponent)[0])


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("threshold", [1e-4, 0.3, 1.0, 40.0])
@pytest.mark.parametrize("dtype", RTOL)
def test_a_power_is_shrunk_to_the_minimum_that_a_search_finds(exponent, threshold, dtype):
    limit = LIMITS[exponent] * threshold ** (1 / (2 - exponent))
    factors = np.concatenate([np.linspace(0, 0.999, 5), np.linspace(1.001, 4, 25), [10, 100, 1e4]])
    v = (limit * np.concatenate([factors, -factors])).astype(dtype)
    expected = np.array([search(float(x), threshold, exponent) for x in v])
    found = shrink_power(v, threshold, exponent)
    # At its edge a soft threshold starts from 0, and what is left has the rounding of v.
    atol = np.finfo(dtype).eps * 2 * limit if exponent == 1 else 0
    np.testing.assert_allclose(found, expected, rtol=RTOL[dtype], atol=atol)
    assert np.count_nonzero(expected) == 2 * 28


def test_the_search_for_a_minimum_knows_roots_in_closed_form():
    for w in (1.5, 2.0, 30.0):
        assert search(w + 0.5 / math.sqrt(w), 1.0, 1 / 2) == pytest.approx(w, rel=1e-14)
        assert search(w + 2 / 3 / math.cbrt(w), 1.0, 2 / 3) == pytest.approx(w, rel=1e-14)
    assert search(1.4, 1.0, 1 / 2) == search(-1.0, 1.0, 1.0) == 0
    assert search(-3.0, 1.0, 1.0) == -2


@pytest.mark.parametrize("exponent", [1 / 2, 2 / 3])
@pytest.mark.parametrize("dtype", RTOL)
def test_what_is_left_of_a_power_solves_its_equation_to_rounding(exponent, dtype):
    v = np.concatenate([np.linspace(1.51, 9, 5000), np.logspace(1, 30, 5000)]).astype(dtype)
    w = shrink_power(v, 1.0, exponent).astype(np.longdouble)
    residual = w + exponent * w ** np.longdouble(exponent - 1) - v.astype(np.longdouble)
    assert np.max(np.abs(residual / w)) < 32 * np.finfo(dtype).eps


@pytest.mark.parametrize("exponent", [1 / 2, 2 / 3])
def test_at_the_jump_zero_and_the_root_are_equally_low(exponent):
    root = (2 * (1 - exponent)) ** (1 / (2 - exponent))
    limit = root + exponent * root ** (exponent - 1)
    assert limit == pytest.approx(LIMITS[exponent], abs=1e-4)
    assert objective(root, limit, 1.0, exponent) == pytest.approx(limit**2 / 2, rel=1e-14)
    assert one(limit * (1 - 1e-12), 1.0, exponent) == 0
    assert one(limit * (1 + 1e-12), 1.0, exponent) == pytest.approx(root, rel=1e-10)


@given(v=samples, threshold=thresholds, exponent=exponents, other=samples)
def test_no_other_value_is_lower(v, threshold, exponent, other):
    w = one(v, threshold, exponent)
    for rival in (0.0, v, other, w * 1.001, w * 0.999):
        lowest, height = objective(w, v, threshold, exponent), objective(rival, v, threshold, exponent)
        assert lowest <= height + 1e-12 * (v * v + threshold * (1 + abs(v)))


@given(v=samples, threshold=thresholds, exponent=exponents, dtype=dtypes)
def test_a_power_shrinks_towards_zero_and_never_past_it(v, threshold, exponent, dtype):
    w = one(v, threshold, exponent, dtype)
    assert abs(w) <= abs(v)
    assert w * v >= 0
    assert one(-v, threshold, exponent, dtype) == -w


@given(st.lists(samples, min_size=2, max_size=30), thresholds, exponents, dtypes)
def test_a_power_keeps_the_order_of_samples(values, threshold, exponent, dtype):
    v = np.sort(np.array(values, dtype))
    w = shrink_power(v, threshold, exponent).astype(float)
    rounding = 8 * np.finfo(dtype).eps * np.abs(v[1:]).astype(float)
    assert (np.diff(w) >= -rounding).all()


@given(samples, samples, st.floats(0, 10), dtypes)
def test_vectors_shrink_by_the_threshold_and_keep_their_direction(x, y, threshold, dtype):
    v = np.array([[x], [y]], dtype)
    length = math.hypot(*v[:, 0].astype(float))
    expected = v.astype(float) * (max(0, 1 - threshold / length) if length else 0)
    rounding = 8 * np.finfo(dtype).eps * length + math.sqrt(np.finfo(dtype).tiny)
    np.testing.assert_allclose(shrink_vectors(v, threshold), expected, rtol=0, atol=rounding)


@pytest.mark.parametrize("shape", [(1, 1, 9), (2, 1, 5, 7), (2, 3, 6, 4), (3, 1, 4, 5, 6)], ids=str)
@pytest.mark.parametrize("dtype", RTOL)
def test_vectors_are_shrunk_as_their_formula_says(shape, dtype):
    v = RNG.standard_normal(shape).astype(dtype)
    length = np.sqrt(np.sum(v.astype(float) ** 2, axis=0))
    expected = v * np.maximum(0, 1 - 0.8 / length)
    assert 0 < np.count_nonzero(expected) < expected.size
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(shrink_vectors(v, 0.8), expected, rtol=0, atol=8 * eps)


def test_vectors_are_shrunk_to_the_minimum_that_a_search_finds():
    v = np.array([1.3, -0.7])
    grid = np.linspace(-2, 2, 2001)
    x, y = np.meshgrid(grid, grid, indexing="ij")
    height = ((x - v[0]) ** 2 + (y - v[1]) ** 2) / 2 + 0.9 * np.hypot(x, y)
    i, j = np.unravel_index(np.argmin(height), height.shape)
    np.testing.assert_allclose(shrink_vectors(v[:, None], 0.9)[:, 0], [grid[i], grid[j]], atol=2e-3)


def test_vectors_of_one_component_have_a_soft_threshold():
    v = RNG.standard_normal((1, 2, 50))
    np.testing.assert_allclose(shrink_vectors(v, 0.5), shrink_power(v, 0.5, 1.0), atol=1e-15)


MAPS = {
    "together": shrink_vectors,
    "1/2": lambda v, t: shrink_power(v, t, 1 / 2),
    "2/3": lambda v, t: shrink_power(v, t, 2 / 3),
    "1": lambda v, t: shrink_power(v, t, 1),
}
EVERY_MAP = pytest.mark.parametrize("shorten", MAPS.values(), ids=MAPS)


@EVERY_MAP
@pytest.mark.parametrize("dtype", RTOL)
@pytest.mark.parametrize("threshold", [0, 1e-320, 1e-45, 1e-30, 1.0, 1e30, 1e300])
def test_extreme_samples_and_thresholds_are_never_nan(shorten, dtype, threshold):
    limits = np.finfo(dtype)
    v = np.array([[0, limits.smallest_subnormal, limits.tiny, 1e-20, 1, 1e10, limits.max / 4]], dtype)
    v = np.concatenate([v, -v], axis=1)
    w = shorten(v, threshold)
    assert w.dtype == v.dtype
    assert np.isfinite(w).all()
    assert (np.abs(w) <= np.abs(v)).all()


@EVERY_MAP
@pytest.mark.parametrize("dtype", RTOL)
def test_a_threshold_of_zero_changes_nothing(shorten, dtype):
    v = RNG.standard_normal((2, 1, 5, 6)).astype(dtype)
    w = shorten(v, 0.0)
    assert np.array_equal(w, v)
    assert not np.shares_memory(w, v)


@EVERY_MAP
def test_what_is_infinite_stays_and_nan_spreads_no_further(shorten):
    v = np.array([[np.inf, -np.inf, np.nan, 3.0, 0.0]], np.float32)
    alone = shorten(v[:, 3:], 1.0)
    w = shorten(v, 1.0)
    assert w[0, 0] == np.inf
    assert w[0, 1] == -np.inf
    assert np.isnan(w[0, 2])
    assert np.array_equal(w[:, 3:], alone)


@EVERY_MAP
@pytest.mark.parametrize("dtype", RTOL)
def test_the_argument_stays_and_its_layout_does_not_matter(shorten, dtype):
    v = RNG.standard_normal((2, 1, 6, 8)).astype(dtype)
    before = v.copy()
    w = shorten(v, 0.4)
    assert np.array_equal(v, before)
    assert w.dtype == v.dtype
    assert np.array_equal(shorten(np.asfortranarray(v), 0.4), w)
    assert np.array_equal(shorten(v[:, :, ::-2, 1::3], 0.4), w[:, :, ::-2, 1::3])
    assert shorten(v[:, :, :0], 0.4).shape == (2, 1, 0, 8)


@EVERY_MAP
def test_blocks_make_no_difference(shorten, monkeypatch):
    v = RNG.standard_normal((2, 1, 13, 17)).astype(np.float32)
    whole = shorten(v, 0.4)
    monkeypatch.setattr(proximal, "BLOCK_BYTES", 28)
    # Libraries of vector instructions may round the odd samples at the end of a block otherwise.
    np.testing.assert_allclose(shorten(v, 0.4), whole, rtol=1e-6)


@pytest.mark.parametrize("exponent", [0.0, 0.6, 0.8, 2.0, -1.0, math.nan])
def test_other_exponents_are_refused(exponent):
    with pytest.raises(UsageError, match=rf"^exponent {exponent:g} .*; use 1/2, 2/3 or 1$"):
        shrink_power(np.ones((1, 3)), 1.0, exponent)


def test_two_thirds_may_be_written_with_few_digits():
    v = np.linspace(-4, 4, 33)
    assert np.array_equal(shrink_power(v, 1.0, 0.6666667), shrink_power(v, 1.0, 2 / 3))


@EVERY_MAP
@pytest.mark.parametrize("threshold", [-1.0, math.nan])
def test_thresholds_below_zero_are_refused(shorten, threshold):
    with pytest.raises(UsageError, match=rf"^threshold {threshold:g} is not 0 or above; use 0 to leave"):
        shorten(np.ones((1, 3)), threshold)
