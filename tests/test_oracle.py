"""The oracle gives the textbooks' numbers, and its comparisons catch what they should."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import scipy.signal
from oracle import (
    MODES_AND_BORDERS,
    OPS,
    assert_close,
    assert_matches,
    border_index,
    convolve_exactly,
    error_bound,
    expected,
    make_case,
)


def integers(exact):
    return np.array(exact.values.tolist(), dtype=np.int64)


DRAWN = {
    "nearest": "aaaaa|abcd|ddddd",
    "symmetric": "ddcba|abcd|dcbaa",
    "mirror": "bcdcb|abcd|cbabc",
    "wrap": "dabcd|abcd|abcda",
}


@pytest.mark.parametrize("border", DRAWN)
def test_borders_are_as_drawn(border):
    left, inside, right = DRAWN[border].split("|")
    assert inside == "abcd"
    drawn = "".join("abcd"[border_index(p, 4, border)] for p in range(-5, 9))
    assert drawn == left + inside + right


@pytest.mark.parametrize("border", ["zero", "constant"])
def test_flat_borders_have_no_sample(border):
    assert [border_index(p, 2, border) for p in (-1, 0, 1, 2)] == [None, 0, 1, None]


@pytest.mark.parametrize("border", DRAWN)
def test_a_single_sample_is_its_own_border(border):
    assert {border_index(p, 1, border) for p in range(-6, 7)} == {0}


def test_the_full_convolution_is_that_of_the_textbook():
    # polynomials: (1 + 2t + 3t²)(4 + 5t) = 4 + 13t + 22t² + 15t³
    assert integers(convolve_exactly([1, 2, 3], [4, 5], mode="full")).tolist() == [4, 13, 22, 15]


def test_the_two_dimensional_convolution_is_that_of_the_textbook():
    image = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    kernel = [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]
    same = [[-13, -20, -17], [-18, -24, -18], [13, 20, 17]]
    assert integers(convolve_exactly(image, kernel)).tolist() == same
    negated = (-np.array(same)).tolist()  # the kernel is odd under a half turn
    assert integers(convolve_exactly(image, kernel, op="correlate")).tolist() == negated


def test_origin_stride_and_dilation_by_hand():
    x = [1, 2, 3, 4, 5]
    assert integers(convolve_exactly(x, [10, 1])).tolist() == [10, 21, 32, 43, 54]
    assert integers(convolve_exactly(x, [10, 1], origin=1)).tolist() == [21, 32, 43, 54, 5]
    assert integers(convolve_exactly(x, [10, 1], op="correlate")).tolist() == [12, 23, 34, 45, 50]
    assert integers(convolve_exactly(x, [10, 1], stride=2)).tolist() == [10, 32, 54]
    assert integers(convolve_exactly(x, [10, 1], dilation=2)).tolist() == [10, 20, 31, 42, 53]
    assert integers(convolve_exactly(x, [10, 1], dilation=2, mode="valid")).tolist() == [31, 42, 53]
    assert integers(convolve_exactly(x, [10, 1], dilation=2, mode="full")).size == 7
    assert integers(convolve_exactly(x, [10, 1], border="constant", border_value=7)).tolist()[0] == 17


def test_missing_samples_by_hand():
    x, k = [1.0, 2.0, np.nan, 4.0, 5.0], [1, 2, 1]
    assert convolve_exactly(x, k).values.tolist() == [4, None, None, None, 14]
    interpolated = convolve_exactly(x, k, nan="interpolate").values.tolist()
    assert interpolated == [4, Fraction(4 * 5, 3), 4 * Fraction(6, 2), Fraction(4 * 13, 3), 14]
    assert convolve_exactly(x, k, nan="fill:3").values.tolist() == [4, 8, 12, 16, 14]
    assert convolve_exactly([np.nan], [1.0], nan="interpolate").values.tolist() == [None]


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_the_oracle_is_numpy_on_integers(mode):
    rng = np.random.default_rng(1)
    image, kernel = rng.integers(-99, 99, 9), rng.integers(-9, 9, 4)
    assert np.array_equal(
        integers(convolve_exactly(image, kernel, mode=mode)), np.convolve(image, kernel, mode)
    )


@pytest.mark.parametrize(
    ("scipy_border", "border"), [("fill", "zero"), ("wrap", "wrap"), ("symm", "symmetric")]
)
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_the_oracle_is_scipy_on_integers(mode, scipy_border, border):
    rng = np.random.default_rng(2)
    image, kernel = rng.integers(-99, 99, (6, 7)), rng.integers(-9, 9, (4, 3))
    reference = scipy.signal.convolve2d(image, kernel, mode, scipy_border)
    assert np.array_equal(integers(convolve_exactly(image, kernel, mode=mode, border=border)), reference)


@pytest.mark.parametrize(("mode", "border"), MODES_AND_BORDERS)
@pytest.mark.parametrize("op", OPS)
def test_leading_axes_are_independent(mode, border, op):
    rng = np.random.default_rng(3)
    image, kernel = rng.integers(-9, 9, (2, 3, 4)), rng.integers(-9, 9, (3,))
    options = {"mode": mode, "border": border, "op": op}
    whole = integers(convolve_exactly(image, kernel, **options))
    for where in np.ndindex(2, 3):
        assert np.array_equal(whole[where], integers(convolve_exactly(image[where], kernel, **options)))


# --- every comparison is shown to fail


def test_one_wrong_integer_is_caught():
    case = make_case((4, 5), (3, 3))
    right = integers(expected(case))
    assert_matches(right, expected(case), "direct")
    wrong = right.copy()
    wrong[2, 3] += 1
    with pytest.raises(AssertionError, match=r"1 integers differ, first at \(2, 3\)"):
        assert_matches(wrong, expected(case), "direct")


@pytest.mark.parametrize("backend", ["direct", "fft"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_error_above_the_bound_is_caught(dtype, backend):
    exact = expected(make_case((4, 5), (3, 3), "float64"))
    right = np.array([[float(y) for y in row] for row in exact.values], dtype=dtype)
    assert_matches(right, exact, backend)
    bound = float(error_bound(exact, (1, 2), float(np.finfo(dtype).eps), backend))
    for sign in (-1, 1):
        inside, outside = right.copy(), right.copy()
        inside[1, 2] += sign * bound * 0.8
        outside[1, 2] += sign * bound * 1.2
        assert_matches(inside, exact, backend)
        with pytest.raises(AssertionError, match=r"at \(1, 2\).* off by"):
            assert_matches(outside, exact, backend)


def test_the_bound_is_tight_enough_to_tell_float32_from_float64():
    exact = expected(make_case((4, 5), (3, 3), "float64"))
    coarse = np.array([[float(y) for y in row] for row in exact.values]).astype(np.float32).astype(np.float64)
    for backend in ("direct", "fft"):
        with pytest.raises(AssertionError, match="off by"):
            assert_matches(coarse, exact, backend)


def test_nan_and_infinity_in_the_wrong_place_are_caught():
    exact = convolve_exactly([1.0, 2.0, np.nan, 4.0], [1.0, 1.0])
    right = np.array([1.0, 3.0, np.nan, np.nan])
    assert_matches(right, exact, "direct")
    for where, bad in [(0, np.nan), (0, np.inf), (2, 0.0), (3, np.inf)]:
        wrong = right.copy()
        wrong[where] = bad
        with pytest.raises(AssertionError, match="not"):
            assert_matches(wrong, exact, "direct")


@pytest.mark.parametrize(
    "wrong", [np.zeros(3), np.zeros((4, 1)), np.zeros(4, np.int32), np.zeros(4, complex)]
)
def test_a_wrong_shape_or_type_is_caught(wrong):
    exact = convolve_exactly([0, 0, 0, 0], [1])
    with pytest.raises(AssertionError, match=r"shape|dtype"):
        assert_matches(wrong, exact, "direct")


def test_disagreement_of_large_results_is_caught():
    rng = np.random.default_rng(4)
    image, kernel = rng.standard_normal((30, 30)), rng.standard_normal((3, 3))
    right = scipy.signal.convolve2d(image, kernel)
    assert_close(right, right, kernel, image)
    with pytest.raises(AssertionError, match="off by"):
        assert_close(right.astype(np.float32), right, kernel, image)
    with pytest.raises(AssertionError, match="shape"):
        assert_close(right[1:], right, kernel, image)
