"""Samples that are not finite: the same rules on every backend."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import LOCAL_BACKENDS, MODES_AND_BORDERS, OPS, assert_matches, convolve_exactly

import convcli
from convcli.errors import UsageError

BAD = (np.nan, np.inf, -np.inf)
POSITIVE = np.array([[1.0, 2.0, 0.5], [0.25, 3.0, 1.0], [1.5, 0.0, 2.0]])


def spoiled(shape=(6, 7), where=((1, 2), (4, 6)), bad=np.nan, dtype=float):
    """Return a random image with bad samples."""
    image = np.random.default_rng(11).standard_normal(shape).astype(dtype)
    for index in where:
        image[index] = bad
    return image


def check(image, kernel, backend, **options):
    """Compare one call with the oracle, and return the result."""
    result = convcli.convolve(image, kernel, backend=backend, **options)
    assert_matches(result, convolve_exactly(image, kernel, **options), backend)
    return result


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_every_output_that_covers_a_bad_sample_is_nan(backend, dtype, bad):
    result = check(spoiled(bad=bad, dtype=dtype), POSITIVE, backend)
    covered = np.zeros((6, 7), bool)
    covered[0:3, 1:4] = covered[3:6, 5:7] = True
    assert np.array_equal(np.isnan(result), covered)


def test_infinities_that_would_cancel_or_add_up_are_nan_all_the_same(backend):
    for row in ([np.inf, np.inf], [np.inf, -np.inf], [np.nan, np.inf]):
        image = np.array([0.0, 0.0, *row, 0.0, 0.0])
        result = check(image, np.array([1.0, 1.0, 1.0]), backend)
        assert np.isnan(result).tolist() == [False, True, True, True, True, False]


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(("mode", "border"), MODES_AND_BORDERS)
def test_borders_carry_bad_samples_as_they_carry_others(backend, mode, border, op):
    image = spoiled((4, 5), [(0, 4), (2, 0)])
    check(image, np.array([[1.0, 2.0], [3.0, -4.0], [0.5, 0.0]]), backend, mode=mode, border=border, op=op)


def test_cells_that_are_zero_belong_to_the_footprint(backend):
    for kernel in (np.zeros((3, 3)), np.pad([[1.0]], 1), np.array([[0.0, 0, 0], [0, 0, 0], [0, 0, 1]])):
        result = check(spoiled((5, 5), [(2, 2)]), kernel, backend)
        assert np.array_equal(np.isnan(result), np.pad(np.ones((3, 3), bool), 1))


def test_gaps_of_a_dilated_kernel_do_not_belong_to_the_footprint(backend):
    result = check(spoiled((7, 7), [(3, 3)]), np.ones((3, 3)), backend, dilation=2)
    covered = np.zeros((7, 7), bool)
    covered[1:6:2, 1:6:2] = True
    assert np.array_equal(np.isnan(result), covered)


@pytest.mark.parametrize("stride", [2, 3, (1, 4)])
def test_strides_skip_bad_samples_that_they_do_not_cover(backend, stride):
    image = spoiled((8, 9), [(1, 1), (5, 5)])
    strided = check(image, np.ones((2, 2)), backend, stride=stride)
    rows, columns = np.broadcast_to(stride, 2)
    whole = convcli.convolve(image, np.ones((2, 2)), backend=backend)
    assert np.array_equal(np.isnan(strided), np.isnan(whole)[::rows, ::columns])


@pytest.mark.parametrize("rank", ["low", "high"])
def test_a_bad_sample_does_not_leave_its_row_and_column_of_tiles(backend, rank):
    rng = np.random.default_rng(12)
    kernel = np.outer(rng.random(7), rng.random(7)) if rank == "low" else rng.random((7, 7))
    image = rng.random((200, 150))
    image[90, 70] = np.inf
    result = convcli.convolve(image, kernel, backend=backend)
    covered = np.zeros(image.shape, bool)
    covered[87:94, 67:74] = True
    assert np.array_equal(np.isnan(result), covered)
    clean = convcli.convolve(np.where(np.isinf(image), 0, image), kernel, backend=backend)
    assert np.allclose(result[~covered], clean[~covered], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("nan", ["propagate", "interpolate"])
def test_planes_do_not_spoil_each_other(backend, nan):
    image = np.stack([spoiled((5, 5), []), spoiled((5, 5), [(0, 0)]), np.full((5, 5), np.nan)])
    result = check(image, POSITIVE, backend, nan=nan, border="nearest")
    assert np.isfinite(result[0]).all()
    assert np.isnan(result[2]).all()


@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize("nan", ["propagate", "interpolate", "fill:-2.5"])
def test_the_rules_hold_on_lines_and_volumes(backend, axes, nan):
    shape, kernel_shape = {1: ((9,), (4,)), 3: ((3, 4, 4), (2, 3, 2))}[axes]
    kernel = np.random.default_rng(13).random(kernel_shape) + 0.5
    bad = (1,) * axes
    check(spoiled(shape, [bad]), kernel, backend, nan=nan)
    check(spoiled(shape, [bad]), kernel, backend, nan=nan, mode="full", border="symmetric", stride=2)


# --- interpolate


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_interpolation_renormalises_over_what_is_finite(backend, dtype, bad):
    check(spoiled(bad=bad, dtype=dtype), POSITIVE, backend, nan="interpolate")


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(("mode", "border"), MODES_AND_BORDERS)
def test_interpolation_works_with_every_border(backend, mode, border, op):
    image = spoiled((4, 5), [(0, 4), (2, 0)])
    kernel = np.array([[1.0, 2.0], [3.0, 0.5], [0.5, 0.25]])
    check(image, kernel, backend, mode=mode, border=border, op=op, nan="interpolate")


@pytest.mark.parametrize("options", [{"stride": 2}, {"dilation": 2}, {"origin": (0, 2)}, {"mode": "full"}])
def test_interpolation_works_with_every_geometry(backend, options):
    check(spoiled(), POSITIVE, backend, nan="interpolate", border="mirror", **options)


def test_interpolation_leaves_a_constant_constant(backend):
    image = np.full((6, 6), 3.25)
    image[2, 3] = image[5, 0] = np.nan
    kernel = np.ones((3, 3)) / 9
    result = convcli.convolve(image, kernel, border="nearest", nan="interpolate", backend=backend)
    assert np.allclose(result, 3.25, rtol=1e-14)


def test_interpolation_keeps_the_sum_of_the_kernel(backend):
    result = convcli.convolve(
        np.array([1.0, np.nan, 1.0]), np.array([2.0, 2.0, 2.0]), nan="interpolate", backend=backend
    )
    assert np.allclose(result, [3.0, 6.0, 3.0])  # the zero border counts as two finite samples


def test_interpolation_without_any_finite_sample_is_nan(backend):
    image = np.full((7, 7), np.nan)
    image[0, 0] = 1.0
    result = check(image, np.ones((3, 3)), backend, nan="interpolate", border="nearest")
    assert np.isfinite(result).sum() == 4


def test_interpolation_changes_nothing_where_all_is_finite(backend):
    image = spoiled((9, 9), [(0, 0)])
    clean = np.where(np.isnan(image), 0.0, image)
    mended = convcli.convolve(image, POSITIVE, nan="interpolate", backend=backend)
    plain = convcli.convolve(clean, POSITIVE, backend=backend)
    assert np.array_equal(mended[2:], plain[2:])
    assert np.array_equal(mended[:, 2:], plain[:, 2:])


@pytest.mark.parametrize("kernel", [[[1.0, -1.0]], [[1, 2, -3]], [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]])
def test_interpolation_needs_a_sum_to_renormalise_to(backend, kernel):
    with pytest.raises(UsageError, match="sum"):
        convcli.convolve(spoiled(), np.array(kernel), nan="interpolate", backend=backend)


def test_interpolation_works_with_negative_weights(backend):
    sharpen = np.array([[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]])
    image = spoiled((6, 6), [(2, 2)])
    result = convcli.convolve(image, sharpen, nan="interpolate", backend=backend)
    exact = convolve_exactly(image, sharpen, nan="interpolate")
    assert_matches(result, exact, "fft" if backend not in LOCAL_BACKENDS else backend)


def test_interpolation_believes_small_weights(backend):
    kernel = np.array([1e-8, 0.5, 1.0])
    check(np.array([np.nan, np.nan, 3.0, 7.0, 5.0]), kernel, backend, nan="interpolate", border="nearest")
    check(np.array([2.0, 4.0, 3.0, np.nan, np.nan]), kernel, backend, nan="interpolate", border="nearest")


def test_weights_that_cancel_leave_nothing_to_interpolate_from(backend):
    check(np.array([1.0, 2.0, np.nan, 4.0]), np.array([1.0, -1.0, 3.0]), backend, nan="interpolate")
    check(np.array([1.0, 2.0, np.nan, 4.0]), np.array([0.0, 1.0, 0.0]), backend, nan="interpolate")


# --- fill


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("nan", ["fill:0", "fill:7", "fill:-1.5", "fill:1e-3"])
def test_filling_replaces_bad_samples_first(backend, nan, bad):
    image = spoiled(bad=bad)
    result = check(image, POSITIVE, backend, nan=nan, border="symmetric")
    replaced = np.where(np.isfinite(image), image, float(nan.removeprefix("fill:")))
    assert np.array_equal(result, convcli.convolve(replaced, POSITIVE, border="symmetric", backend=backend))


def test_filling_with_nothing_to_fill_changes_nothing(backend):
    image = spoiled(where=())
    for nan in ("fill:9", "interpolate"):
        filled = convcli.convolve(image, POSITIVE, nan=nan, backend=backend)
        assert np.array_equal(filled, convcli.convolve(image, POSITIVE, backend=backend))


@pytest.mark.parametrize("nan", ["propagate", "interpolate", "fill:3", "fill:0.5"])
def test_integers_are_always_finite_and_stay_integers(backend, nan):
    image = np.arange(12).reshape(3, 4)
    result = check(image, np.array([[1, 2], [3, 4]]), backend, nan=nan)
    assert result.dtype == np.int64


# --- a border that is not finite


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_a_bad_border_spoils_what_reaches_it(backend, dtype, value):
    image = np.ones((5, 6), dtype)
    result = convcli.convolve(
        image, np.ones((3, 3), int), border="constant", border_value=value, backend=backend
    )
    assert result.dtype == ("float64" if dtype == "float64" else "float32")
    assert np.array_equal(np.isnan(result), np.pad(np.zeros((3, 4), bool), 1, constant_values=True))
    assert np.array_equal(result[1:-1, 1:-1], np.full((3, 4), 9.0)) or backend not in LOCAL_BACKENDS


@pytest.mark.parametrize("value", BAD)
def test_a_bad_border_is_left_out_by_interpolation(backend, value):
    options = {"border": "constant", "border_value": value, "nan": "interpolate"}
    check(spoiled((5, 5), [(2, 2)]), POSITIVE, backend, **options)
    check(np.ones((3, 3)), POSITIVE, backend, mode="full", **options)


@pytest.mark.parametrize("value", BAD)
def test_a_border_that_is_not_read_cannot_spoil_anything(backend, value):
    image = np.arange(20.0).reshape(4, 5)
    kernel = np.ones((2, 2))
    for options in ({"mode": "valid", "border": "constant"}, {"border": "nearest"}, {"border": "zero"}):
        plain = convcli.convolve(image, kernel, backend=backend, **options)
        assert np.isfinite(plain).all()
        assert np.array_equal(
            convcli.convolve(image, kernel, border_value=value, backend=backend, **options), plain
        )
    # strides that never reach the border either: outputs 1 and 3 of a correlation that looks left
    check(image, np.ones((1, 1)), backend, border="constant", border_value=value)


def test_no_warning_is_raised_about_samples_that_are_not_finite(backend):
    image = spoiled((40, 40), [(3, 3), (20, 20)], np.inf, "float32")
    for nan in ("propagate", "interpolate", "fill:0"):
        convcli.convolve(image, POSITIVE, nan=nan, backend=backend)
