"""Integers give exactly the integer; floats stay within the bound where shortcuts would not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from oracle import LOCAL_BACKENDS, assert_close, assert_matches, convolve_exactly

import convcli
from convcli.errors import BackendError, UsageError


def whole_result(image, kernel, backend, **options):
    """Return the result; None where `fft` refuses, which it may do for what is large."""
    try:
        return convcli.convolve(image, kernel, backend=backend, **options)
    except BackendError as error:
        refusal = str(error)
    assert backend.endswith("fft"), f"{backend} refused: {refusal}"
    assert "exact" in refusal
    samples = [*image.flat, options.get("border_value", 0)]
    total = sum(abs(int(k)) for k in kernel.flat) * max(abs(int(x)) for x in samples)
    assert total >= 2**40, f"refused although results stay below {total}"
    return None


def check(image, kernel, backend, **options):
    """Compare one call with the oracle."""
    image, kernel = np.asarray(image), np.asarray(kernel)
    result = whole_result(image, kernel, backend, **options)
    if result is not None:
        assert result.dtype == np.int64
        assert_matches(result, convolve_exactly(image, kernel, **options), backend)


# --- the boundaries


@pytest.mark.parametrize("weight", [65793, 65794, 65795, 65801])
def test_nothing_happens_at_the_end_of_the_float32_mantissa(backend, weight):
    assert 255 * 65793 == 2**24 - 1
    check(np.array([[255, 1, 254], [3, 255, 0]], np.uint8), [[weight]], backend)
    check(np.array([[255, 1, 254], [3, 255, 0]], np.uint8), [[weight, 1], [1, -weight]], backend, mode="full")


@pytest.mark.parametrize("bits", [23, 24, 25, 31, 32, 40, 44, 48, 52, 53, 54, 60, 62])
@pytest.mark.parametrize("kernel", [[1, 1], [1, -1], [2, -3, 1]])
def test_every_bit_of_an_integer_counts(backend, bits, kernel):
    size = (2**bits - 1) // sum(map(abs, kernel))
    rng = np.random.default_rng(bits)
    image = rng.integers(-size, size, 12, endpoint=True)
    image[:3] = size, -size, size - 1
    for border in ("zero", "mirror", "wrap"):
        check(image, kernel, backend, border=border)


@pytest.mark.parametrize("bits", [30, 45, 53, 58, 62])
@pytest.mark.parametrize("shared", [0.2, 0.5, 0.8])
def test_bits_may_sit_in_the_image_or_in_the_kernel(backend, bits, shared):
    rng = np.random.default_rng(bits)
    in_kernel = 2 ** round(shared * bits)
    kernel = rng.integers(-in_kernel, in_kernel, (3, 3), endpoint=True)
    size = (2**bits - 1) // max(1, int(np.abs(kernel).sum()))
    image = rng.integers(-size, size, (5, 6), endpoint=True)
    check(image, kernel, backend, border="symmetric")
    check(image, kernel, backend, mode="full", stride=2, dilation=(1, 2))


def test_results_up_to_the_last_int64_are_exact(backend):
    last = 2**63 - 1
    check([last, -last, last - 1, 0], [1], backend)
    check([last, -last, last - 1, 0], [-1], backend)
    check([1, -1, 1, 0], [last], backend)
    check([7, -7, 6], [1, last // 7 - 1], backend)
    check([3, 3, 3, 3], [last // 9] * 3, backend)


@pytest.mark.parametrize(
    ("image", "kernel"),
    [
        ([2**62, 0], [1, 1]),
        ([2**62, 0], [1, -1]),
        ([-(2**62), 0], [2]),
        ([-(2**63), 0], [1]),
        ([1, 0], [-(2**63)]),
        ([2**32], [2**31]),
        ([2**40, 2**40], [2**40, 2**40]),
        (np.array([2**63], np.uint64), [1]),
        (np.array([2**64 - 1], np.uint64), [1]),
        ([1], np.array([2**63], np.uint64)),
        (np.array([2**64 - 1], np.uint64), np.array([2**64 - 1], np.uint64)),
    ],
)
def test_results_that_may_leave_int64_are_refused(backend, image, kernel):
    with pytest.raises(UsageError, match="64-bit integers"):
        convcli.convolve(np.asarray(image), np.asarray(kernel), backend=backend)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_what_leaves_int64_can_be_asked_for_in_floats(backend, precision):
    image, kernel = np.array([2**62, -(2**63), 5]), np.array([3, -2])
    result = convcli.convolve(image, kernel, precision=precision, backend=backend)
    assert result.dtype == precision
    assert_matches(result, convolve_exactly(image, kernel), backend)


def test_extreme_numbers_without_weight_are_no_reason_to_refuse(backend):
    zero = np.zeros(3, int)
    check(np.array([2**64 - 1, 0, 1], np.uint64), zero, backend)
    check(np.array([-(2**63), 0, 1]), zero, backend)
    check(zero, [-(2**63), 2**63 - 1], backend)
    check(np.array([2**63 - 1, 0, 5], np.uint64), [0, 1], backend)


def test_the_limit_is_that_of_the_samples_and_not_of_their_type(backend):
    check(np.array([1, 0, 1], np.uint8), [2**60], backend)
    check(np.array([-1, 3, 1], np.int16), [2**59, 1], backend)


# --- types


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
)
def test_every_integer_type_is_exact_over_its_range(backend, dtype):
    if dtype == "bool":
        ends = [False, True, True, False]
    else:
        info = np.iinfo(dtype)
        ends = [max(info.min, -(2**60)), min(info.max, 2**60), 0, 1]
    image = np.array([ends, ends[::-1], ends], dtype)
    check(image, [[1, -1], [1, 1]], backend)
    check(image, np.array([[1, 0], [1, 1]], bool), backend, border="wrap")
    check(image, np.array([[1, 0], [2, 1]], np.uint8), backend, op="correlate", border="nearest")


def test_true_counts_as_one(backend):
    image = np.array([[True, True, False], [True, True, True]])
    result = convcli.convolve(image, np.ones((2, 2), bool), mode="valid", backend=backend)
    assert result.tolist() == [[4, 3]]


def test_unsigned_kernels_and_images_do_not_wrap_round(backend):
    image = np.array([0, 1, 255, 0], np.uint8)
    assert convcli.convolve(image, np.array([-1]), backend=backend).tolist() == [0, -1, -255, 0]
    assert convcli.convolve(image, np.array([255, 255], np.uint8), backend=backend).tolist() == [
        0,
        255,
        65280,
        65025,
    ]


# --- borders


def test_a_whole_border_value_keeps_the_result_whole(backend):
    image, kernel = np.arange(6).reshape(2, 3), np.array([[1, 2, 3]])
    for value in (5, 5.0, -5, np.int8(5), np.float32(5), np.uint64(5), True):
        check(image, kernel, backend, border="constant", border_value=value)


def test_a_border_value_is_not_squeezed_through_a_float(backend):
    check([1, 2, 3], [1, 1, -1], backend, border="constant", border_value=2**53 + 1)
    if not backend.endswith("fft"):
        result = convcli.convolve([0], [1, 0, 0], border="constant", border_value=2**62 + 1, backend=backend)
        assert result.tolist() == [2**62 + 1]


def test_a_border_value_counts_for_the_limit(backend):
    for value in (2**63, -(2**63), 10**30, 1e30, 10**400):
        with pytest.raises(UsageError, match="64-bit integers"):
            convcli.convolve([1, 2], [1, 1], border="constant", border_value=value, backend=backend)
        for border in ("zero", "nearest"):  # which do not read it
            result = convcli.convolve([1, 2], [1, 1], border=border, border_value=value, backend=backend)
            assert result.dtype == np.int64


@pytest.mark.parametrize(
    ("dtype", "result_dtype"), [("uint8", "float32"), ("int16", "float32"), ("int64", "float64")]
)
def test_a_broken_border_value_makes_the_result_a_float(backend, dtype, result_dtype):
    image, kernel = np.arange(6, dtype=dtype).reshape(2, 3), np.array([[1, 2, 3]])
    options = {"border": "constant", "border_value": 2.5}
    result = convcli.convolve(image, kernel, backend=backend, **options)
    assert result.dtype == result_dtype
    assert_matches(result, convolve_exactly(image, kernel, **options), backend)


@pytest.mark.parametrize("value", ["5", None, 1j, [1, 2], object()])
def test_a_border_value_is_a_number(value):
    with pytest.raises(UsageError, match="border"):
        convcli.convolve([1.0, 2.0], [1.0, 1.0], border="constant", border_value=value)


# --- low rank


def low_rank(rank, size, most, seed=14):
    rng = np.random.default_rng(seed)
    return sum(np.outer(*rng.integers(-most, most, (2, size), endpoint=True)) for _ in range(rank))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(("most", "size"), [(3, 255), (999, 65535), (2**13, 2**28)])
def test_integer_kernels_of_low_rank_are_exact(backend, rank, most, size):
    kernel = low_rank(rank, 9, most)
    image = np.random.default_rng(15).integers(-size, size, (40, 50), endpoint=True)
    total = int(np.abs(kernel).sum()) * size
    assert total < 2**63
    reference = scipy.ndimage.convolve(image, kernel, mode="mirror") if total < 2**53 else None
    result = whole_result(image, kernel, backend, border="mirror")
    if result is None:
        return
    padded = np.pad(image, 4, mode="reflect").astype(object)
    for i, j in [(0, 0), (3, 4), (20, 33), (39, 49)]:
        window = padded[i : i + 9, j : j + 9][::-1, ::-1]
        assert int(result[i, j]) == int((window * kernel.astype(object)).sum())
    if reference is not None:
        assert np.array_equal(result, reference)


def test_binomial_kernels_are_exact(backend):
    line = np.array([math.comb(16, n) for n in range(17)])
    image = np.random.default_rng(16).integers(0, 256, (60, 70), dtype=np.uint8)
    reference = scipy.signal.convolve2d(image.astype(np.int64), np.outer(line, line), "same")
    assert np.array_equal(convcli.convolve(image, np.outer(line, line), backend=backend), reference)


@pytest.mark.parametrize("common", [2, 6, 2**31, 3**19])
def test_a_common_factor_of_the_kernel_is_kept(backend, common):
    kernel = common * np.outer([1, 2, 3, 2, 1], [1, 0, -1, 4, 2])
    image = np.random.default_rng(17).integers(0, 256, (9, 8), dtype=np.uint8)
    check(image, kernel, backend)


@pytest.mark.parametrize("size", [1e-5, 1e-8, 1e-11, 1e-13])
def test_a_kernel_that_is_nearly_separable_is_not_taken_for_one(backend, size):
    rng = np.random.default_rng(18)
    kernel = np.outer(rng.random(15), rng.random(15))
    kernel[0, 0] += size
    image = np.zeros((90, 90))
    image[::30, ::30] = 1.0  # each kernel cell appears alone in the result
    result = convcli.convolve(image, kernel, mode="full", backend=backend)
    reference = scipy.signal.convolve(image, kernel, method="direct")
    assert_close(result, reference, kernel, image)


@pytest.mark.parametrize("scale", [2.0**-900, 2.0**-100, 2.0**100, 2.0**900])
def test_the_unit_of_measurement_does_not_matter(backend, scale):
    rng = np.random.default_rng(19)
    image, kernel = rng.standard_normal((6, 7)), rng.standard_normal((3, 3))
    check_kernels = kernel, np.outer(kernel[0], kernel[1])
    for k in check_kernels:
        assert_matches(
            convcli.convolve(image, scale * k, backend=backend), convolve_exactly(image, scale * k), backend
        )
        assert_matches(
            convcli.convolve(scale * image, k, backend=backend), convolve_exactly(scale * image, k), backend
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_that_cancel_stay_within_the_bound(backend, dtype):
    image = np.array([1e6, 1.0, -1e6, 3.0, 1e6, -1e6], dtype)
    for kernel in ([1.0, 1.0, 1.0], [0.1, 0.2, -0.3, 0.1]):
        result = convcli.convolve(image, np.array(kernel), backend=backend)
        assert_matches(result, convolve_exactly(image, np.array(kernel)), backend)


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_what_is_too_large_for_float32_is_not_finite_and_spoils_nothing_else(backend, precision):
    image = np.arange(10.0)
    image[2] = 1e300
    if precision == "auto":
        result = convcli.convolve(image, np.ones(3), backend=backend)
        assert np.isfinite(result).all()
    else:
        result = convcli.convolve(image, np.ones(3), precision=precision, backend=backend)
        assert np.isfinite(result).tolist() == [True, False, False, False] + [True] * 6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", [np.ones((3, 3)) / 9, np.array([[0.125, 0.25, 0.125], [0, 0.25, 0.25]])])
def test_a_mean_of_the_largest_numbers_is_finite(backend, kernel, dtype):
    image = np.full((4, 5), np.finfo(dtype).max * 0.9, dtype)
    result = convcli.convolve(image, kernel, border="nearest", backend=backend)
    assert_matches(result, convolve_exactly(image, kernel, border="nearest"), backend)


def test_a_border_too_large_for_float32_spoils_what_reaches_it(backend):
    options = {"border": "constant", "border_value": 1e300, "backend": backend}
    for dtype in ("uint8", "float32"):
        result = convcli.convolve(np.ones(6, dtype), np.ones(3), **options)
        assert np.isfinite(result).tolist() == [False, True, True, True, True, False]


# --- the transform


@pytest.mark.parametrize("shape", [(1,), (2,), (97,), (1000,), (31, 33), (64, 64), (7, 8, 9)])
def test_transforms_of_bytes_round_to_the_exact_integer(shape):
    rng = np.random.default_rng(20)
    for image in (rng.integers(0, 256, shape, dtype=np.uint8), np.full(shape, 255, np.uint8)):
        kernel = rng.integers(-128, 128, tuple(min(n, 7) for n in shape))
        result = convcli.convolve(image, kernel, mode="full", backend="fft")
        assert result.dtype == np.int64
        reference = scipy.signal.convolve(image.astype(np.int64), kernel, method="direct")
        assert np.array_equal(result, reference)


def test_transforms_of_16_bits_with_a_large_kernel_are_exact():
    rng = np.random.default_rng(21)
    image, kernel = rng.integers(0, 2**16, (80, 90), dtype=np.uint16), rng.integers(-255, 256, (31, 31))
    result = convcli.convolve(image, kernel, mode="valid", backend="fft")
    direct = np.array(
        [
            [
                int((image[i : i + 31, j : j + 31].astype(np.int64)[::-1, ::-1] * kernel).sum())
                for j in range(60)
            ]
            for i in range(50)
        ]
    )
    assert np.array_equal(result, direct)


def test_a_transform_says_why_it_cannot_be_exact():
    image, kernel = np.array([2**61, 1, -(2**61)]), np.array([1, 1])
    with pytest.raises(BackendError, match="exact"):
        convcli.convolve(image, kernel, backend="fft")
    assert convcli.convolve(image, kernel, backend="auto").tolist() == [2**61, 2**61 + 1, 1 - 2**61]


# --- the compute type of floats


def test_whole_kernels_over_float32_do_not_lose_what_float64_keeps(backend):
    image = np.array([2.0**24, 1.0, -(2.0**24), 0.0, 3.0], np.float32)
    result = convcli.convolve(image, np.array([1, 1, 1]), backend=backend)
    assert np.allclose(result, [2.0**24 + 1, 1.0, 1 - 2.0**24, 3 - 2.0**24, 3.0], rtol=1e-7, atol=1e-6)


def test_whole_floats_below_the_mantissa_are_exact(backend):
    rng = np.random.default_rng(22)
    image = rng.integers(0, 256, (20, 21), dtype=np.uint8)
    kernel = rng.integers(-9, 10, (3, 3))
    exact = convcli.convolve(image, kernel, backend="direct")
    for precision in ("float32", "float64"):
        result = convcli.convolve(image, kernel, precision=precision, backend=backend)
        scale = 1e-6 if precision == "float32" else 1e-14
        loose = backend not in LOCAL_BACKENDS
        assert np.allclose(result, exact, rtol=0, atol=scale * 255 * np.abs(kernel).sum() if loose else 0)


def test_a_kernel_cell_beyond_float32_is_refused_with_the_way_out(backend):
    with pytest.raises(UsageError, match="beyond float32; use precision float64"):
        convcli.convolve(np.zeros(5, np.uint8), np.array([1e300, 1, 1]), backend=backend)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"nan": None}, "nan rule"),
        ({"nan": "fill:inf"}, "finite number"),
        ({"backend": None}, "backend"),
        ({"border": ["zero"]}, "border"),
        ({"threads": "2"}, "threads"),
        ({"threads": 1.5}, "threads"),
        ({"threads": 0}, "at least 1"),
    ],
)
def test_an_option_of_the_wrong_type_is_a_usage_error(option, text):
    with pytest.raises(UsageError, match=text):
        convcli.convolve(np.zeros((4, 4)), np.ones((3, 3)), **option)


@pytest.mark.filterwarnings("error")
def test_what_overflows_in_one_place_is_finite_everywhere_else(backend):
    image = np.zeros(2000, np.float32)
    image[5] = 1e36
    kernel = np.array([2.0, -3.0, 900.0, 1.0, 2.0])
    result = convcli.convolve(image, kernel, backend=backend)
    assert np.isfinite(result).tolist() == [n != 5 for n in range(2000)]


@pytest.mark.filterwarnings("error")
def test_overflow_makes_no_warning(backend):
    result = convcli.convolve(np.full((3, 3), 3e38, np.float32), np.ones((3, 3), int), backend=backend)
    assert np.isinf(result).any()
