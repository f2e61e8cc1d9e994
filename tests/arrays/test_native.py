"""The compiled core: what it computes at every level of instructions, leaves alone, and refuses."""

from __future__ import annotations

import functools
import importlib
import itertools
import math
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import BORDERS, assert_matches, convolve_exactly

from convcli.arrays import native
from convcli.arrays.borders import border_index
from convcli.errors import UsageError
from convcli.images import colour as pixels

compiled = native.level() is not None
pytestmark = pytest.mark.skipif(not compiled, reason=native.describe())

CORE = importlib.import_module("convcli._native") if compiled else None
NAMES = CORE.levels() if compiled else ("none",)
REAL = ("float32", "float64")
SOURCES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
NOT_FINITE = (np.nan, np.inf, -np.inf)
LENGTHS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 67)

levels = pytest.mark.parametrize("level", range(len(NAMES)), ids=NAMES)
reals = pytest.mark.parametrize("real", REAL)


def at(level):
    """Hold the compiled code to a level of instructions."""

    def held():
        return level

    return mock.patch.object(native, "level", held)


# --- arrays among others, and what is expected of them

BESIDE = -12345


class Framed:
    """An array inside a larger one, whose other samples have a value that would show."""

    def __init__(self, shape, dtype, lead=3, beside=BESIDE):
        self.beside = beside
        self.whole = np.full((*(n + 2 for n in shape[:-1]), lead + shape[-1] + 70), beside, dtype)
        self.place = (*(slice(1, 1 + n) for n in shape[:-1]), slice(lead, lead + shape[-1]))
        self.array = self.whole[self.place]

    def assert_rest_untouched(self):
        """Fail unless all samples beside the array are as they were."""
        rest = self.whole.copy()
        rest[self.place] = self.beside
        assert (rest == self.beside).all(), (
            f"written beside the result, at {np.argwhere(rest != self.beside)[0]}"
        )


def test_a_sample_that_is_written_beside_an_array_shows():
    for where in ((0, 3), (1, 2), (1, 8), (2, 2), (3, 3)):
        framed = Framed((2, 5), "f4")
        framed.array[...] = 7
        framed.assert_rest_untouched()
        framed.whole[where] = 0
        with pytest.raises(AssertionError, match=r"written beside the result, at \["):
            framed.assert_rest_untouched()


def among_nan(values, lead=3):
    """Copy an array into one whose other samples are NaN, so that a result shows what it is made of."""
    framed = Framed(values.shape, values.dtype, lead, np.nan)
    framed.array[...] = values
    return framed.array


def whole_numbers(shape, most=8, seed=0):
    """Draw whole numbers as float64; sums of products of small ones are exact in both types."""
    return np.random.default_rng([seed, *shape]).integers(-most, most, shape, endpoint=True).astype(float)


def taken(image, indices, fill=0.0):
    """Take samples by position; -1 for `fill`."""
    grid = np.ix_(*indices)
    outside = functools.reduce(np.logical_or, (axis < 0 for axis in grid))
    return np.where(outside, image.dtype.type(fill), image[(slice(None), *grid)])


def correlated(padded, kernels):
    """Correlate (C, D, H, W) with (O, C, kd, kh, kw) in float64."""
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernels.shape[2:], (1, 2, 3))
    return np.tensordot(kernels, windows, ((1, 2, 3, 4), (0, 4, 5, 6)))


def assert_correlates(image, kernels, level, real, indices=None, fill=0.0, expected=None):
    """Compare with whole numbers, which leave no room for rounding, and look beside the result."""
    if expected is None:
        padded = image.astype(float) if indices is None else taken(image.astype(float), indices, fill)
        expected = correlated(padded, kernels)
    result = Framed(expected.shape, real)
    with at(level):
        assert native.correlate(image, kernels.astype(real), result.array, indices, fill) is True
    np.testing.assert_array_equal(result.array, expected)
    result.assert_rest_untouched()


def assert_passes(image, columns, rows, level, real, indices=None, fill=0.0):
    """Compare a sum of outer products with the kernel that it is."""
    padded = image.astype(float) if indices is None else taken(image.astype(float), indices, fill)
    expected = correlated(padded[:, None], (columns.T @ rows)[None, None, None])[:, 0]
    result = Framed(expected.shape, real)
    with at(level):
        assert (
            native.passes(image, columns.astype(real), rows.astype(real), result.array, indices, fill) is True
        )
    np.testing.assert_array_equal(result.array, expected)
    result.assert_rest_untouched()


def test_a_wrong_sum_shows():
    image, kernels = whole_numbers((1, 1, 6, 9)), whole_numbers((1, 1, 1, 3, 3))
    expected = correlated(image, kernels)
    expected[0, 0, 2, 5] += 1
    with pytest.raises(AssertionError, match="1 / 28"):
        assert_correlates(image, kernels, 0, "float64", expected=expected)


# --- correlation

KERNELS = ((1, 1), (1, 7), (6, 1), (2, 4), (3, 3), (4, 3), (5, 5))


@functools.cache
def plane(width, taps):
    """One image, its kernel and their correlation, worked out once for all levels."""
    shape = (1, 1, width % 9 + taps[0], width + taps[1] - 1)
    image, kernels = whole_numbers(shape), whole_numbers((1, 1, 1, *taps), 5)
    return image, kernels, correlated(image, kernels)


@levels
@reals
def test_images_of_every_width_are_correlated_to_the_last_column(level, real):
    for width, taps in itertools.product((*range(1, 131), 191, 192, 193, 250), KERNELS):
        image, kernels, expected = plane(width, taps)
        assert_correlates(among_nan(image.astype(real)), kernels, level, real, expected=expected)


@functools.cache
def bordered(width, taps, before):
    """One image with a border of its own on either side, and its correlation."""
    border = BORDERS[(width + before) % len(BORDERS)]
    height = width % 11 + 1
    image, kernels = whole_numbers((1, 1, height, width)), whole_numbers((1, 1, 1, *taps), 5)
    indices = [
        np.zeros(1, np.intp),
        border_index(height, taps[0] // 2, taps[0] - 1, border),
        border_index(width, before, taps[1], border),
    ]
    return image, kernels, indices, correlated(taken(image, indices, -3), kernels)


@levels
@reals
def test_borders_of_every_width_are_read_to_the_last_column(level, real):
    for width, taps in itertools.product(
        (*range(1, 40), *range(90, 215, 3)), ((3, 3), (5, 5), (1, 6), (4, 1))
    ):
        image, kernels, indices, expected = bordered(width, taps, (0, 1, 2, 50)[width % 4])
        assert_correlates(among_nan(image.astype(real)), kernels, level, real, indices, -3, expected)


@st.composite
def layouts(draw, values, real):
    """Lay an image out in memory: as it will be computed, or in another type and order."""
    if draw(st.booleans()):
        return among_nan(values.astype(real), draw(st.integers(0, 17)))
    dtype = np.dtype(draw(st.sampled_from(SOURCES)))
    order, step = draw(st.permutations(range(4))), draw(st.sampled_from((1, 2, 3, 4)))
    block = np.zeros((*(values.shape[n] for n in order), step), dtype)
    flips = tuple(slice(None, None, draw(st.sampled_from((1, -1)))) for _ in order)
    image = block[..., step - 1].transpose(np.argsort(order))[flips]
    image[...] = np.abs(values) if dtype.kind == "u" else values
    return image


@st.composite
def positions(draw, size, least):
    """Draw positions on one axis: a border of any kind, cropped, in steps or in disorder."""
    if draw(st.integers(0, 9)) == 0:
        return np.array(
            draw(st.lists(st.integers(-1, size - 1), min_size=least, max_size=least + 30)), np.intp
        )
    ends = st.sampled_from((0, 0, 1, 2, 5, 49, -1))
    before, after = (max(draw(ends), -(size - 1) // 2) for _ in range(2))
    found = border_index(size, before, after, draw(st.sampled_from(BORDERS)))[
        :: draw(st.sampled_from((1, 1, 2, 3)))
    ]
    return np.resize(found, max(least, len(found)))


SIZES = st.integers(1, 6)
WIDTHS = st.one_of(st.integers(1, 20), st.integers(1, 250))


@levels
@reals
@settings(max_examples=40)
@given(data=st.data())
def test_any_image_is_correlated_with_any_bank_of_kernels(level, real, data):
    channels, outputs, *taps = data.draw(st.tuples(*[st.integers(1, 3)] * 3, SIZES, st.integers(1, 8)))
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 10), WIDTHS))
    indices = [data.draw(positions(n, t)) for n, t in zip(shape, taps, strict=True)]
    image = data.draw(layouts(whole_numbers((channels, *shape)), real))
    kernels = whole_numbers((outputs, channels, *taps), 5)
    assert_correlates(image, kernels, level, real, indices, data.draw(st.sampled_from((0, -7))))


@levels
@reals
def test_images_of_one_and_three_axes_are_correlated(level, real):
    for shape, taps in (
        ((70,), (5,)),
        ((4, 5, 60), (3, 2, 4)),
        ((1, 1, 1), (1, 1, 1)),
        ((3, 1, 1), (3, 1, 1)),
    ):
        image, kernels = whole_numbers((2, *shape)), whole_numbers((3, 2, *taps), 5)
        at_end = (slice(None), *(None,) * (3 - len(shape)))
        expected = correlated(image[at_end], kernels[(slice(None), *at_end)]).reshape(
            3, *(n - t + 1 for n, t in zip(shape, taps, strict=True))
        )
        assert_correlates(image.astype(real), kernels, level, real, expected=expected)


@levels
@reals
@pytest.mark.parametrize("taps", [(1, 5), (4, 1), (3, 3), (5, 5)])
def test_floats_stay_within_the_bound_of_exact_fractions(level, real, taps):
    rng = np.random.default_rng(5)
    image = (rng.standard_normal((7, 61)) * 10.0 ** rng.integers(-4, 5, (7, 61))).astype(real)
    kernel = rng.standard_normal(taps).astype(real)
    exact = convolve_exactly(image, kernel, mode="valid", op="correlate")
    result = np.empty((1, *exact.values.shape), real)
    with at(level):
        native.correlate(image[None], kernel[None, None], result)
    assert_matches(result[0], exact, "direct")


@levels
@reals
def test_rows_that_run_upwards_and_results_that_do_are_taken_as_they_are(level, real):
    image, kernels = whole_numbers((2, 3, 9, 80)), whole_numbers((2, 2, 2, 3, 3), 5)
    expected = correlated(image, kernels)
    up = np.ascontiguousarray(image[:, ::-1, ::-1].astype(real))[:, ::-1, ::-1]
    result = np.empty(expected.shape, real)
    with at(level):
        native.correlate(up, kernels.astype(real), result[::-1, ::-1, ::-1])
    np.testing.assert_array_equal(result[::-1, ::-1, ::-1], expected)


# --- passes


@levels
@reals
def test_passes_of_every_width_are_those_of_their_kernel(level, real):
    for width in (*range(1, 70), 95, 96, 97, 193):
        terms, tall, wide = width % 3 + 1, (1, 2, 3, 6)[width % 4], (1, 2, 5, 8, 3)[width % 5]
        image = whole_numbers((1, width % 10 + tall, width + wide - 1))
        columns, rows = whole_numbers((terms, tall), 3), whole_numbers((terms, wide), 3)
        assert_passes(among_nan(image.astype(real)), columns, rows, level, real)


@levels
@reals
@pytest.mark.parametrize("shape", [(9, 3000), (23, 5000), (5, 40000)])
def test_passes_over_rows_too_wide_for_the_cache_are_made_a_few_at_a_time(level, real, shape):
    image = among_nan(whole_numbers((1, *shape)).astype(real))
    columns, rows = whole_numbers((3, 4), 3), whole_numbers((3, 5), 3)
    assert_passes(image, columns, rows, level, real)
    indices = [border_index(n, 2, 2, "mirror") for n in shape]
    assert_passes(image, columns, rows, level, real, indices)


@levels
@reals
@settings(max_examples=60)
@given(data=st.data())
def test_any_image_is_passed_over(level, real, data):
    terms, *taps = data.draw(st.tuples(st.integers(1, 3), SIZES, st.integers(1, 8)))
    shape = data.draw(st.tuples(st.integers(1, 12), WIDTHS))
    indices = [data.draw(positions(n, t)) for n, t in zip(shape, taps, strict=True)]
    image = data.draw(layouts(whole_numbers((1, 1, *shape)), real))[:, 0]
    columns, rows = (whole_numbers((terms, n), 3) for n in taps)
    assert_passes(image, columns, rows, level, real, indices, data.draw(st.sampled_from((0, -7))))


# --- boxes


def assert_sums(image, shape, factor, level, real, indices=None, fill=0.0):
    """Compare with the kernel that a box is; its one product is rounded once."""
    padded = image.astype(float) if indices is None else taken(image.astype(float), indices, fill)
    expected = correlated(padded[:, None], np.ones((1, 1, 1, *shape)))[:, 0].astype(real) * np.dtype(
        real
    ).type(factor)
    result = Framed(expected.shape, real)
    with at(level):
        assert native.box(image, shape, factor, result.array, indices, fill) is True
    np.testing.assert_array_equal(result.array, expected)
    result.assert_rest_untouched()


@levels
@reals
def test_boxes_of_every_width_are_summed(level, real):
    for width in (*range(1, 70), 95, 96, 97, 193):
        shape, factor = ((1, 2, 3, 8, 17)[width % 5], width % 41 + 1), (1, -3, 1 / 9)[width % 3]
        image = whole_numbers((1, width % 10 + shape[0], width % 23 + 80))
        assert_sums(among_nan(image.astype(real)), shape, factor, level, real)
        indices = [border_index(n, 2, 50, BORDERS[width % 6]) for n in image.shape[1:]]
        assert_sums(image.astype(real), shape, factor, level, real, indices, 4)


@levels
@reals
@settings(max_examples=40)
@given(data=st.data())
def test_any_image_is_summed(level, real, data):
    box = data.draw(st.tuples(st.integers(1, 12), st.integers(1, 70)))
    shape = data.draw(st.tuples(st.integers(1, 12), WIDTHS))
    indices = [data.draw(positions(n, t)) for n, t in zip(shape, box, strict=True)]
    image = data.draw(layouts(whole_numbers((1, 1, *shape)), real))[:, 0]
    assert_sums(image, box, 1, level, real, indices, data.draw(st.sampled_from((0, -7))))


@levels
@pytest.mark.parametrize("shape", [(256, 1), (1, 256), (2, 128), (16, 16), (85, 3), (128, 2)])
def test_boxes_are_exact_as_long_as_the_type_holds_their_sums(level, shape):
    assert 65535 * 256 < 2**24
    image = np.random.default_rng(1).integers(65500, 65535, (1, 300, 300), endpoint=True).astype("u2")
    assert_sums(image, shape, 1, level, "float32")


# --- samples by position


def extremes(dtype, shape):
    """Draw samples from the whole range of a type, its ends among them."""
    dtype, rng = np.dtype(dtype), np.random.default_rng(shape)
    if dtype.kind == "f":
        values = (rng.standard_normal(shape) * 10.0 ** rng.integers(-30, 30, shape)).astype(dtype)
        ends = [0, -0.0, np.finfo(dtype).tiny, np.finfo("f4").max, -np.finfo("f4").max]
    else:
        limits = np.iinfo(dtype)
        values = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        ends = [limits.min, limits.max, limits.max // 2 + 1, limits.max - limits.max // 2**24 // 2]
    values.flat[: len(ends)] = ends[: values.size]
    return values


LAYOUTS = {
    "planes": lambda a: a.copy(),
    "interleaved by 3": lambda a: np.ascontiguousarray(a.transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2),
    "one of 4": lambda a: np.repeat(a, 4, axis=3)[..., 2::4],
    "reversed": lambda a: a[..., ::-1].copy()[..., ::-1],
    "upside down": lambda a: a[:, ::-1, ::-1].copy()[:, ::-1, ::-1],
    "columns first": lambda a: np.ascontiguousarray(a.swapaxes(2, 3)).swapaxes(2, 3),
    "far apart": lambda a: np.repeat(a, 333, axis=3)[..., ::333],
    "out of line": lambda a: np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape),
    "all the same": lambda a: np.broadcast_to(a[..., :1, :1], a.shape),
}


@levels
@reals
@pytest.mark.parametrize("layout", LAYOUTS)
def test_samples_of_every_type_are_taken_from_every_layout(level, real, layout):
    for source, border in itertools.product(SOURCES, BORDERS):
        image = LAYOUTS[layout](extremes(source, (3, 2, 4, 37)))
        lengths = ((2, 1, 0), (4, 1, 2), (37, 2, 60))
        indices = [border_index(*length, border) for length in lengths]
        assert_taken(image, indices, level, real)
        assert_taken(image, [index[::2] for index in indices], level, real)


def assert_taken(image, indices, level, real, fill=-2.5):
    expected = taken(image.astype(real), indices, fill)
    result = Framed(expected.shape, real)
    with at(level):
        assert native.gather(image, indices, fill, result.array) is True
    np.testing.assert_array_equal(result.array, expected)
    result.assert_rest_untouched()


@levels
@reals
def test_positions_may_come_in_any_order(level, real):
    rng = np.random.default_rng(2)
    for size, _ in itertools.product((1, 2, 5, 40), range(12)):
        indices = [rng.integers(-1, n, rng.integers(1, 50)) for n in (2, 3, size)]
        assert_taken(extremes(rng.choice(SOURCES), (2, 2, 3, size)), indices, level, real)


@levels
@reals
def test_what_lies_outside_everywhere_is_the_fill(level, real):
    outside = np.full(30, -1)
    assert_taken(extremes("f4", (1, 1, 2, 3)), [outside[:1], outside, outside], level, real)
    result = Framed((2, 30, 30), real)
    with at(level):
        assert native.gather(np.empty((2, 0, 0), "u1"), [outside, outside], -2.5, result.array) is True
    assert (result.array == -2.5).all()
    result.assert_rest_untouched()


# --- NaN and infinities


def poisoned(shape, where, number, real):
    image = np.ones(shape, real)
    image.flat[where] = NOT_FINITE[number % 3]
    return image


@levels
@reals
def test_one_sample_that_is_not_finite_is_found_wherever_it_is(level, real):
    with at(level):
        for n in LENGTHS:
            assert native.finite(np.ones((1, 1, 1, n), real))
            assert not any(native.finite(poisoned((1, 1, 1, n), k, k, real)) for k in range(n))
        assert not any(native.finite(poisoned((2, 3, 2, 5), k, k, real)) for k in range(60))
        assert not any(native.finite(among_nan(poisoned((3, 18), k, k, real))) for k in range(54))
        assert native.finite(among_nan(np.ones((3, 18), real)))


@levels
@reals
def test_the_largest_and_the_smallest_numbers_are_finite(level, real):
    limits = np.finfo(real)
    for value in (limits.max, limits.min, limits.tiny, limits.smallest_subnormal, -0.0):
        with at(level):
            assert all(native.finite(np.full((1, 2, n), value, real)) for n in LENGTHS)


@levels
@reals
@pytest.mark.parametrize("source", ["f4", "f8"])
def test_copies_say_whether_all_samples_are_finite(level, real, source):
    indices = [np.arange(1), border_index(33, 2, 3, "zero")]
    result = np.empty((1, 1, 38), real)
    with at(level):
        for k in range(33):
            assert not native.gather(poisoned((1, 1, 33), k, k, source), indices, 0.0, result)
        assert native.gather(np.ones((1, 1, 33), source), indices, 0.0, result)
        assert not native.gather(np.ones((1, 1, 33), source), indices, np.nan, result)
        wide = np.full((1, 1, 33), 1e300)
        assert native.gather(wide, indices, 0.0, result) is (real == "float64")  # infinite in float32


@levels
@reals
@pytest.mark.parametrize("border", ["zero", "mirror"])
def test_a_correlation_says_so_wherever_a_sample_is_not_finite(level, real, border):
    indices = [border_index(n, 1, 1, border) for n in (5, 150)]
    kernels, columns, rows = np.ones((1, 1, 3, 3), real), np.ones((2, 3), real), np.ones((2, 3), real)
    result = np.empty((1, 5, 150), real)
    with at(level):
        for k in range(0, 750, 7):
            image = poisoned((1, 5, 150), k, k, real)
            assert native.correlate(image, kernels, result, indices) is False
            assert native.passes(image, columns, rows, result, indices) is False
            assert native.box(image, (3, 3), 1.0, result, indices) is False
            assert native.correlate(image, kernels, result[:, 1:-1, 1:-1]) is False
        assert native.correlate(np.full((1, 5, 150), 1e300), kernels, result, indices) is (real == "float64")


# --- rounding and storing

TIES = (
    0.5,
    1.5,
    2.5,
    254.5,
    255.5,
    256.5,
    65534.5,
    65535.5,
    -0.5,
    -0.49999,
    0.49999997,
    254.50002,
    255.49998,
)
FAR = (
    np.nan,
    np.inf,
    -np.inf,
    2.0**31,
    -(2.0**31),
    2.0**32 + 5,
    2.0**63,
    1e30,
    -1e30,
    1e-40,
    -0.0,
    65536,
    -1,
)
NEARLY = tuple(k / 4096 + d for k in (2048, 6144, 1044480, 8191) for d in (-1e-4, -1e-6, 0, 1e-6, 1e-4))


def results(real):
    """Numbers that are hard to round, and enough others that vectors are filled more than once."""
    rng = np.random.default_rng(9)
    values = [*TIES, *FAR, *NEARLY, *rng.uniform(-50, 300, 700), *rng.uniform(-1e4, 8e4, 300)]
    values += list(rng.integers(-20, 600, 171) / 2)
    return np.array(values).astype(real)[: 3 * 5 * 79].reshape(3, 5, 79)


TARGETS = {
    "planes": lambda shape, kind: np.full(shape, 99, kind),
    "interleaved by 3": lambda shape, kind: np.full((*shape[1:], 3), 99, kind).transpose(2, 0, 1),
    "in 4": lambda shape, kind: np.full((*shape[1:], 4), 99, kind).transpose(2, 0, 1)[:3],
    "reversed": lambda shape, kind: np.full(shape, 99, kind)[:, ::-1, ::-1],
    "out of line": lambda shape, kind: (
        np.full(math.prod(shape) * np.dtype(kind).itemsize + 1, 99, np.uint8)[1:].view(kind).reshape(shape)
    ),
}


def nothing(_):
    """Stand for `native.serves` where NumPy has to do."""
    return False


def assert_stored_as_numpy_does(level, values, kind, layout="planes", **options):
    found, expected = (TARGETS[layout](values.shape, kind) for _ in range(2))
    with np.errstate(all="ignore"):
        with mock.patch.object(native, "serves", nothing):
            clipped = pixels.store(values.copy(), expected, **options)
        with at(level):
            assert pixels.store(values.copy(), found, **options) == clipped
    np.testing.assert_array_equal(found, expected)
    if found.base is not None and found.base.size == expected.base.size:
        np.testing.assert_array_equal(found.base, expected.base)  # what lies between the samples too


@levels
@reals
@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_results_are_stored_as_numpy_stores_them(level, real, kind):
    assert pixels.SNAP == 4096
    values = results(real)
    for divisor, bias, absolute, snap in itertools.product(
        (1.0, 9.0, -0.3, 0.0, 1e-45, np.inf), (0.0, 0.5, -128.0, 1e-50, np.nan), (False, True), (False, True)
    ):
        options = {"divisor": divisor, "bias": bias, "absolute": absolute, "snap": snap}
        assert_stored_as_numpy_does(level, values, kind, **options)


@levels
@reals
@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("layout", TARGETS)
def test_results_are_stored_in_every_layout(level, real, kind, layout):
    values = results(real)
    assert_stored_as_numpy_does(level, values, kind, layout, divisor=0.75, snap=True)
    for width in (1, 2, 7, 16, 33):
        assert_stored_as_numpy_does(level, values[..., 3 : 3 + width], kind, layout, bias=2.0)


@levels
@reals
@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_a_result_of_more_than_one_part_is_counted_once(level, real, kind):
    for width in (255, 256, 257, 511, 513, 1000):
        values = np.resize(results(real), (1, 2, width))
        assert_stored_as_numpy_does(level, values, kind, bias=-3.0)


def test_a_difference_between_the_two_ways_to_store_shows():
    with pytest.raises(AssertionError), mock.patch.object(pixels, "SNAP", 4):
        assert_stored_as_numpy_does(0, results("float32"), "uint8", snap=True)


# --- rows of PNG files


def unfiltered(lines, height, width, step):
    """Undo the filters of the PNG specification, section 9, one byte at a time."""
    rows = [[0] * width]
    for line in np.asarray(lines).reshape(height, width + 1).tolist():
        row, above = [], rows[-1]
        for i, x in enumerate(line[1:]):
            a, b, c = row[i - step] if i >= step else 0, above[i], above[i - step] if i >= step else 0
            p = a + b - c
            nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            row.append((x + (0, a, b, (a + b) // 2, nearest)[line[0]]) % 256)
        rows.append(row)
    return np.array(rows[1:], np.uint8)


@pytest.mark.parametrize("step", [1, 2, 3, 4, 6, 8])
def test_rows_of_png_files_are_those_of_its_specification(step):
    rng = np.random.default_rng(step)
    for first, width in itertools.product(range(5), (step, 2 * step, 17 * step, 17 * step + 1)):
        lines = rng.integers(0, 256, (9, width + 1)).astype(np.uint8)
        lines[:, 0] = rng.integers(0, 5, 9)
        lines[0, 0] = first
        pixels = Framed((9 * width,), np.uint8, beside=77)
        assert native.unfilter(lines.tobytes(), pixels.array.reshape(9, width), step) is True
        expected = unfiltered(lines, 9, width, step)
        np.testing.assert_array_equal(pixels.array.reshape(9, width), expected)
        pixels.assert_rest_untouched()


def test_filters_that_png_does_not_have_are_reported():
    for row, number in itertools.product(range(3), (5, 6, 128, 255)):
        lines = np.zeros((3, 5), np.uint8)
        lines[row, 0] = number
        assert native.unfilter(lines.tobytes(), np.empty((3, 4), np.uint8), 1) is False


# --- refusals


def good_calls():
    """One call of each function that succeeds; every refusal differs from it in one argument."""
    image, row = np.ones((2, 1, 8, 30), "f4"), np.arange(30)
    return {
        "correlate": [
            image,
            np.ones((3, 2, 1, 3, 5), "f4"),
            np.empty((3, 1, 6, 26), "f4"),
            0,
            np.arange(1),
            np.arange(8),
            row,
            0.0,
        ],
        "passes": [
            image[:1],
            np.ones((2, 3), "f4"),
            np.ones((2, 5), "f4"),
            np.empty((1, 1, 6, 26), "f4"),
            0,
            np.arange(8),
            row,
            0.0,
        ],
        "box": [image[:1], 3, 5, 2.0, np.empty((1, 1, 6, 26), "f4"), 0, np.arange(8), row, 0.0],
        "gather": [image, np.arange(1), np.arange(8), row, np.empty((2, 1, 8, 30), "f4"), 0.0, 0],
        "finite": [image, 0],
        "unfilter": [np.zeros(8 * 13, "u1"), np.empty((8, 12), "u1"), 8, 3],
        "finish": [np.ones((2, 8, 30), "f4"), np.empty((2, 8, 30), "u1"), 1.0, 0.0, False, False, 0],
    }


def changed(**options):
    """Make an array of the shape and the type of another, but for what is said."""

    def change(array):
        shape = options.get("shape", array.shape)
        return np.zeros(shape, options.get("dtype", array.dtype))

    return change


def moved(count):
    return lambda index: index + count


def locked(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def with_gaps(array):
    return np.repeat(array, 2, axis=-1)[..., ::2]


def out_of_line(array):
    block = np.zeros(array.nbytes + 1, np.uint8)[1:]
    return block.view(array.dtype).reshape(array.shape)


def between_samples(array):
    """Return an array whose rows lie no whole number of samples apart."""
    strides = [s + (n < array.ndim - 1) for n, s in enumerate(array.strides)]
    block = np.zeros(array.nbytes + 1000, np.uint8)
    return np.ndarray(array.shape, array.dtype, block, 0, strides)


def instead(value):
    return lambda _: value


FUNCTIONS = ("correlate", "passes", "box", "gather", "finite", "finish", "unfilter")
AXES = "axes of type"
FIT = "fit"
ALIEN = "bytes-like object is required|does not support the buffer|buffer is read-only|real number"
REFUSALS = [
    *[("correlate", n, changed(shape=(4, 4)), ValueError, AXES) for n in (0, 1, 2)],
    *[("correlate", n, instead(v), TypeError, ALIEN) for n in (0, 1, 2) for v in (None, [[1.0]], "image")],
    *[
        ("correlate", n, changed(dtype=t), ValueError, AXES)
        for n in (0, 1, 2)
        for t in ("f2", "c8", "?", "S4")
    ],
    ("correlate", 0, changed(dtype=">f4"), ValueError, AXES),
    ("correlate", 0, changed(dtype=[("a", "f4")]), ValueError, AXES),
    ("correlate", 0, changed(shape=(3, 1, 8, 30)), ValueError, FIT),
    ("correlate", 0, changed(shape=(2, 1, 8, 29)), ValueError, "a position is outside"),
    ("correlate", 0, changed(shape=(2, 0, 8, 30)), ValueError, "a position is outside"),
    ("correlate", 0, changed(shape=(0, 1, 8, 30)), ValueError, FIT),
    ("correlate", 1, changed(dtype="f8"), ValueError, FIT),
    ("correlate", 1, changed(dtype="i4"), ValueError, FIT),
    ("correlate", 1, changed(shape=(3, 2, 1, 3, 4)), ValueError, "one for each sample"),
    ("correlate", 1, changed(shape=(3, 2, 1, 0, 5)), ValueError, FIT),
    ("correlate", 1, changed(shape=(3, 0, 1, 3, 5)), ValueError, FIT),
    ("correlate", 1, changed(shape=(4, 2, 1, 3, 5)), ValueError, FIT),
    ("correlate", 1, with_gaps, ValueError, FIT),
    ("correlate", 1, out_of_line, ValueError, FIT),
    ("correlate", 2, changed(dtype="f8"), ValueError, FIT),
    ("correlate", 2, changed(dtype="u1"), ValueError, "float32"),
    ("correlate", 2, changed(shape=(3, 1, 6, 27)), ValueError, "one for each sample"),
    ("correlate", 2, changed(shape=(3, 1, 0, 26)), ValueError, FIT),
    ("correlate", 2, locked, (ValueError, BufferError), "read-only"),
    ("correlate", 2, with_gaps, ValueError, "without gaps"),
    ("correlate", 2, out_of_line, ValueError, "aligned"),
    ("correlate", 2, between_samples, ValueError, "aligned"),
    *[(name, n, instead(99), ValueError, "level 99") for name, n in (("correlate", 3), ("passes", 4))],
    *[
        (name, n, instead(-1), ValueError, "level -1")
        for name, n in (("gather", 6), ("finite", 1), ("finish", 6))
    ],
    ("finite", 1, instead(2**40), OverflowError, "maximum"),
    ("finite", 1, instead("0"), TypeError, "as an integer"),
    *[("correlate", n, moved(1), ValueError, "a position is outside") for n in (4, 5, 6)],
    *[("correlate", n, moved(-2), ValueError, "a position is outside") for n in (4, 5, 6)],
    *[("correlate", n, changed(dtype="i4"), ValueError, "must be intp") for n in (4, 5, 6)],
    *[("correlate", n, changed(shape=(7,)), ValueError, "one for each sample") for n in (4, 5, 6)],
    *[("correlate", n, with_gaps, ValueError, "positions") for n in (5, 6)],
    *[("correlate", n, out_of_line, ValueError, "positions") for n in (5, 6)],
    ("correlate", 5, changed(shape=(8, 1)), ValueError, AXES),
    ("correlate", 5, instead([0] * 8), TypeError, ALIEN),
    ("correlate", 7, instead("0"), TypeError, ALIEN),
    ("passes", 0, changed(shape=(2, 1, 8, 30)), ValueError, FIT),
    ("passes", 0, changed(shape=(1, 2, 8, 30)), ValueError, "fit"),
    ("passes", 0, changed(shape=(8, 30)), ValueError, AXES),
    *[("passes", n, changed(dtype="f8"), ValueError, FIT) for n in (1, 2, 3)],
    *[("passes", n, changed(shape=(3, k)), ValueError, FIT) for n, k in ((1, 3), (2, 5))],
    *[("passes", n, changed(shape=(2, 0)), ValueError, FIT) for n in (1, 2)],
    *[("passes", n, with_gaps, ValueError, FIT) for n in (1, 2)],
    ("passes", 1, changed(shape=(2, 4)), ValueError, "one for each sample"),
    ("passes", 2, changed(shape=(2, 4)), ValueError, "one for each sample"),
    ("passes", 3, changed(shape=(2, 1, 6, 26)), ValueError, FIT),
    ("passes", 3, locked, (ValueError, BufferError), "read-only"),
    ("passes", 3, instead(None), TypeError, ALIEN),
    ("box", 0, changed(shape=(2, 1, 8, 30)), ValueError, "one plane"),
    ("box", 0, changed(shape=(1, 1, 8, 29)), ValueError, "a position is outside"),
    *[("box", n, instead(v), ValueError, FIT) for n in (1, 2) for v in (0, -1)],
    *[("box", n, instead(v), ValueError, "one for each sample") for n in (1, 2) for v in (4, 2**61)],
    *[("box", n, instead(1.0), TypeError, "as an integer") for n in (1, 2)],
    ("box", 1, instead(2**64), OverflowError, "too large"),
    ("box", 4, changed(shape=(2, 1, 6, 26)), ValueError, "one plane"),
    ("box", 4, locked, (ValueError, BufferError), "read-only"),
    ("box", 5, instead(99), ValueError, "level 99"),
    ("gather", 0, changed(shape=(1, 1, 8, 30)), ValueError, "same channels"),
    ("gather", 0, changed(dtype="M8[s]"), ValueError, "buffer"),
    ("gather", 2, moved(1), ValueError, "a position is outside"),
    ("gather", 4, changed(dtype="i8"), ValueError, "float32"),
    ("gather", 4, locked, (ValueError, BufferError), "read-only"),
    ("gather", 4, with_gaps, ValueError, "without gaps"),
    ("finite", 0, changed(dtype="i4"), ValueError, "float32"),
    ("finite", 0, changed(shape=(30,)), ValueError, AXES),
    ("finite", 0, with_gaps, ValueError, "without gaps"),
    ("finite", 0, between_samples, ValueError, "aligned"),
    ("finite", 0, instead(b"bytes"), ValueError, AXES),
    ("finish", 0, changed(shape=(2, 8, 29)), ValueError, "the shape of the result"),
    ("finish", 0, changed(dtype="i4"), ValueError, "float32"),
    ("finish", 0, with_gaps, ValueError, "result"),
    ("finish", 1, changed(dtype="i1"), ValueError, "uint8 or uint16"),
    ("finish", 1, changed(dtype="f4"), ValueError, "uint8 or uint16"),
    ("finish", 1, locked, (ValueError, BufferError), "read-only"),
    ("finish", 2, instead("1"), TypeError, ALIEN),
    *[
        ("unfilter", 0, changed(shape=(n,)), ValueError, "a byte more")
        for n in (0, 8 * 12, 8 * 13 - 1, 8 * 13 + 1)
    ],
    *[("unfilter", 1, changed(shape=(n,)), ValueError, "a byte more") for n in (0, 95, 97, 12)],
    *[("unfilter", 2, instead(n), ValueError, "a byte more") for n in (0, -8, 7, 9, 2**62)],
    *[("unfilter", 3, instead(n), ValueError, "a byte more") for n in (0, -1, 13, 2**62)],
    ("unfilter", 0, lambda lines: lines[::-1], (ValueError, BufferError), "contiguous"),
    ("unfilter", 1, locked, (ValueError, BufferError, TypeError), "read-only|read-write"),
    ("unfilter", 1, instead(bytes(96)), (BufferError, TypeError), "read-write"),
    ("unfilter", 1, with_gaps, (BufferError, TypeError), "read-write"),
]


def references(arguments):
    """Count those to every array: one too many is memory that is never freed."""
    return [sys.getrefcount(a) for a in arguments if isinstance(a, np.ndarray)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_calls_that_refusals_differ_from_succeed(name):
    arguments = good_calls()[name]
    before = references(arguments)
    getattr(CORE, name)(*arguments)
    assert references(arguments) == before


@pytest.mark.parametrize(("name", "number", "change", "error", "words"), REFUSALS)
def test_what_does_not_fit_is_refused_and_let_go(name, number, change, error, words):
    arguments = good_calls()[name]
    arguments[number] = change(arguments[number])
    before = references(arguments)
    with pytest.raises(error, match=words):
        getattr(CORE, name)(*arguments)
    assert references(arguments) == before


@pytest.mark.parametrize("name", FUNCTIONS)
def test_any_memory_that_says_what_it_holds_will_do_and_may_be_resized_afterwards(name):
    core, arguments = getattr(CORE, name), good_calls()[name]
    blocks = [bytearray(a.tobytes()) if isinstance(a, np.ndarray) else None for a in arguments]
    for wrong in (False, True):
        views = [
            a if b is None else memoryview(b).cast(a.dtype.char, a.shape)
            for a, b in zip(arguments, blocks, strict=True)
        ]
        if wrong:
            views[0] = memoryview(blocks[0]).cast("f")[:7]
            with pytest.raises(ValueError, match=r"1 axes of type f; \d of real numbers|a byte more"):
                core(*views)
        else:
            core(*views)
        for view in views:
            if isinstance(view, memoryview):
                view.release()  # refused while anybody holds the memory
    for block in blocks:
        if block is not None:
            block.extend(b"more")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says how much memory a process has")
@pytest.mark.parametrize("change", [None, 0, 1, 2])
@pytest.mark.parametrize("name", ["correlate", "passes", "box"])
def test_calls_leave_no_memory_behind(name, change):
    wide = 1 << 17
    arguments = [np.ones((1, 1, 2, wide), "f4"), np.empty((1, 1, 1, wide - 1), "f4"), 0]
    arguments[1:1] = {
        "correlate": [np.ones((1, 1, 1, 2, 2), "f4")],
        "passes": [np.ones((1, 2), "f4"), np.ones((1, 2), "f4")],
        "box": [2, 2, 1.0],
    }[name]
    if change is not None:
        bad = arguments[change]
        arguments[change] = np.ones((*bad.shape[:-1], 1), "f4") if isinstance(bad, np.ndarray) else 99

    def call():
        if change is None:
            getattr(CORE, name)(*arguments)
        else:
            with pytest.raises(ValueError, match=r"fit|level"):
                getattr(CORE, name)(*arguments)

    call()
    before = memory_bytes()
    for _ in range(30):
        call()
    assert memory_bytes() - before < 10e6, "each call needs at least one megabyte"


def memory_bytes():
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def test_lengths_that_no_memory_holds_are_refused():
    """Rows that are all the same row, so that arrays of any length lie in the memory that there is."""
    huge = np.lib.stride_tricks.as_strided
    one, byte = np.zeros(1, "f4"), np.zeros(1, "i1")
    result = huge(one, (1, 1, 2**61 - 1, 1), (0,) * 4)
    for height in (2**61, 4):
        with pytest.raises((ValueError, MemoryError)):
            CORE.correlate(
                huge(byte, (1, 1, height, 1), (0,) * 4), np.zeros((1,) * 3 + (2, 1), "f4"), result, 0
            )
    for height in (2**61 - 7, 2**61 + 1, 2**63 - 1):
        with pytest.raises(ValueError, match="fit"):
            CORE.box(np.ones((1, 1, 8, 8), "f4"), height, 1, 1.0, np.empty((1, 1, 8, 8), "f4"), 0)


@reals
def test_a_single_column_may_have_any_distance_to_the_next(real):
    record = np.ones((8, 4), [("a", real), ("b", "u1")])["a"]
    column = record[:: np.dtype(real).itemsize, :1]
    assert column.flags.aligned
    assert column.strides[-1] % column.itemsize
    assert native.finite(column)
    assert pixels.store(column[None], np.empty((1, *column.shape), np.uint8)) == 0


# --- threads


def longest_pause(work):
    """Run `work` in another thread; return how long it took, and the longest that this one stood still."""
    took = []

    def timed():
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)

    thread = threading.Thread(target=timed)
    pause, last = 0.0, time.perf_counter()
    thread.start()
    while thread.is_alive():
        time.sleep(0.001)
        now = time.perf_counter()
        pause, last = max(pause, now - last), now
    return took[0], pause


def test_other_threads_run_while_the_compiled_code_does():
    image, kernels = np.ones((1, 1000, 1500), "f8"), np.ones((1, 1, 19, 19), "f8")
    result = np.empty((1, 982, 1482), "f8")

    def work():
        native.correlate(image, kernels, result)

    with at(0):
        for _ in range(5):  # on a busy machine another process may be what this one waits for
            took, pause = longest_pause(work)
            if pause < took / 2:
                return
    pytest.fail(f"nothing else ran for {pause:.3f} of {took:.3f} seconds")


@levels
@reals
def test_parts_that_threads_compute_are_the_whole_to_the_last_bit(level, real):
    rng = np.random.default_rng(3)
    image, kernels = (
        rng.standard_normal((2, 61, 300)).astype(real),
        rng.standard_normal((2, 2, 5, 5)).astype(real),
    )
    whole, parts = np.empty((2, 57, 296), real), np.empty((2, 57, 296), real)
    rows = [(y, min(y + n, 57)) for y, n in ((0, 13), (13, 1), (14, 30), (44, 13))]

    def compute(top, bottom):
        for left, right in ((0, 100), (100, 296)):
            image_part = image[:, top : bottom + 4, left : right + 4]
            native.correlate(image_part, kernels, parts[:, top:bottom, left:right])

    with at(level):
        native.correlate(image, kernels, whole)
        threads = [threading.Thread(target=compute, args=ends) for ends in rows]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    np.testing.assert_array_equal(parts, whole)


# --- the switch


@pytest.fixture
def switch(monkeypatch):
    """Set CONVCLI_NATIVE as if the process began with it."""

    def clear():
        native._loaded.cache_clear()
        native.level.cache_clear()

    def to(value):
        monkeypatch.setenv("CONVCLI_NATIVE", value)
        clear()

    yield to
    monkeypatch.undo()
    clear()


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
def test_the_environment_holds_it_to_a_level(switch, number):
    switch(NAMES[number])
    assert native.level() == number
    assert native.describe().startswith("compiled")
    assert native.describe().endswith(NAMES[number])
    assert native.serves("float32")
    assert not native.serves("int64")


def test_an_empty_value_leaves_it_the_best_level(switch):
    switch("")
    assert native.level() == len(NAMES) - 1


def test_the_environment_switches_it_off(switch):
    switch("0")
    assert native.level() is None
    assert native.describe().startswith("NumPy")
    assert "CONVCLI_NATIVE=0" in native.describe()
    assert not native.serves("float64")


def test_a_level_that_the_machine_does_not_have_is_refused(switch):
    switch("x86-64-v9")
    with pytest.raises(
        UsageError,
        match=f'CONVCLI_NATIVE is "x86-64-v9".*not one of 0 .NumPy., 1 .the best here., {", ".join(NAMES)}',
    ):
        native.level()


# --- memory

SOURCE = Path(native.__file__).parents[1] / "_native.c"


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Build the core with sanitizers; return the module and what must be loaded before Python."""
    compiler = shutil.which("cc")
    headers = sysconfig.get_path("include")
    if sys.platform != "linux" or not compiler or not Path(headers, "Python.h").exists():
        pytest.skip("sanitizers need Linux, a C compiler and the headers of Python")
    runtime = subprocess.run(
        [compiler, "-print-file-name=libasan.so"], capture_output=True, text=True
    ).stdout.strip()
    if not os.path.isabs(runtime):
        pytest.skip("the C compiler has no libasan.so")
    module = tmp_path_factory.mktemp("watched") / "_native.so"
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    quick = ["-O1", "-g1", "-w", "-Dalways_inline=noinline"]  # a third of the time
    command = [
        compiler,
        *quick,
        *checks,
        "-shared",
        "-fPIC",
        f"-I{headers}",
        str(SOURCE),
        "-o",
        str(module),
        "-lm",
    ]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return module, runtime


@pytest.mark.skipif(platform.python_implementation() != "CPython", reason="only CPython runs under libasan")
def test_thousands_of_calls_touch_no_memory_but_their_own(watched):
    module, runtime = watched
    script = Path(__file__).parents[1] / "sanitize.py"
    environment = {
        **os.environ,
        "LD_PRELOAD": runtime,
        "ASAN_OPTIONS": "detect_leaks=0",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, str(script), str(module), "6000", "1"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == "6000 calls\n"
