"""The arithmetic of photographs, against plain NumPy: alpha, light, ranges, types and rounding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import convolve_exactly

from convcli.engine.problem import Convolution
from convcli.errors import LimitError, UsageError
from convcli.filtering import response
from convcli.filtering.filter import Filter, prepare_filter
from convcli.filtering.options import Percent
from convcli.images.colour import LUMA, finish, from_linear, luma, premultiply, to_linear, white
from convcli.kernels import Kernel, parse_kernel
from convcli.options import amount, axes, real

RNG = np.random.default_rng(8)
RGB = RNG.integers(0, 256, (3, 9, 11), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (1, 9, 11), dtype=np.uint8)
BOX = np.ones((3, 3), int)


def filter_planes(planes, kernels, options, **more):
    return prepare_filter(planes, kernels, options, **more).run()


def apply(planes, *kernels, alpha=False, photo=True, **options):
    """Filter with kernels given as text; return the outputs and what was clipped."""
    made = [parse_kernel(k) if isinstance(k, str) else k for k in kernels]
    filtered = filter_planes(np.asarray(planes), made, Filter(**options), alpha=alpha, photo=photo)
    return filtered.outputs, filtered.clipped


def one(planes, *kernels, **options):
    outputs, _ = apply(planes, *kernels, **options)
    assert len(outputs) == 1
    return outputs[0]


def windows(plane, size=(3, 3)):
    """Sums over all windows of an image continued by its edge."""
    before = [(n - 1) // 2 for n in size]
    padded = np.pad(plane, [(n - 1 - b, b) for n, b in zip(size, before, strict=True)], mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, size).sum(axis=(-2, -1))


# options


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"normalize": "all"}, 'unknown normalize rule "all"; use one of none, sum, abs, auto'),
        ({"range": "wide"}, 'unknown range "wide"; use one of clamp, abs, minmax, none'),
        ({"dtype": "int3"}, r'unknown dtype "int3"; .*use one of keep, uint8, uint16, float32'),
        ({"alpha": "beta"}, 'unknown alpha rule "beta"; use one of premultiply, filter, ignore'),
        ({"combine": "mix"}, r'unknown combination "mix"; .*use one of none, magnitude, max, sum, mean'),
        ({"repeat": 0}, "repeat 0 is below 1"),
        ({"divisor": 0.0}, "divisor 0 divides by zero"),
        ({"divisor": 2.0, "normalize": "sum"}, "both divide; use one"),
    ],
)
def test_filter_refuses_what_makes_no_sense(option, text):
    with pytest.raises(UsageError, match=text):
        Filter(**option)


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (real, "-1/4", -0.25),
        (real, "1e3", 1000.0),
        (amount, "4GiB", 2**32),
        (amount, "1.5k", 1500),
        (amount, "200M", 200_000_000),
        (amount, "512 MB", 512_000_000),
        (axes, "2x3", (2, 3)),
        (axes, "0", 0),
    ],
)
def test_values_are_read_as_people_write_them(read, text, value):
    assert read(text, "value") == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((real, text) for text in ("red", "1/0", "nan", "1e999", "", "1/", "1/2/3")),
        *((amount, text) for text in ("lots", "-5", "5QB", "", "1e3", "GB", "1 000")),
        *((axes, text) for text in ("two", "2x", "x2", "", "2.5", "2x3y")),
    ],
)
def test_values_that_are_none_are_quoted(read, text):
    with pytest.raises(UsageError, match=r'^value (".*" )?(is not|is too|is empty|divides by zero)'):
        read(text, "value")


# alpha


def test_no_colour_bleeds_out_of_transparent_pixels():
    """A red half that cannot be seen beside a green half that can."""
    planes = np.zeros((4, 8, 12), np.uint8)
    planes[0, :, :6], planes[1, :, 6:], planes[3, :, 6:] = 255, 255, 255
    for kernel in ("box:5", "gaussian:2", "box:3"):
        red, green, blue, alpha = one(planes, kernel, alpha=True)
        visible = alpha > 0
        assert visible[:, 5].all()
        assert (red[visible] == 0).all()
        assert (green[visible] == 255).all()
        assert (blue == 0).all()
    bled = one(planes, "box:5")
    assert (bled[0][:, 6] > 0).all()  # as it does where alpha is a channel like the others


@pytest.mark.parametrize("kernel", ["box:3", "gaussian:1", "sharpen", "sobel-x", "emboss", "1 2; 3 -1"])
@pytest.mark.parametrize("options", [{}, {"mode": "full"}, {"linear": True}, {"bias": 9.0}, {"repeat": 2}])
def test_opaque_image_is_filtered_like_one_without_alpha(kernel, options):
    opaque = np.concatenate([RGB, np.full_like(ALPHA, 255)])
    colour = one(opaque, kernel, alpha=True, precision="float64", **options)
    plain = one(RGB, kernel, precision="float64", **options)
    np.testing.assert_array_equal(colour[:3], plain)
    assert (colour[3] == 255).all()


@pytest.mark.parametrize(
    "kernel", ["box:5", "gaussian:1.5", "sharpen", "unsharp:2", "3 -1; 2 0", "motion:7,30"]
)
@pytest.mark.parametrize("rule", ["premultiply", "filter", "ignore"])
def test_constant_image_stays_constant(kernel, rule):
    planes = np.stack([np.full((7, 8), value, np.uint8) for value in (200, 31, 7, 90)])
    how = Filter(alpha=rule, normalize="sum")
    output = filter_planes(planes, [parse_kernel(kernel)], how, alpha=True).outputs[0]
    np.testing.assert_array_equal(output, planes)


def test_premultiplied_colours_are_means_weighed_by_alpha():
    output = one(np.concatenate([RGB, ALPHA]), "box:3", alpha=True)
    weights = windows(ALPHA[0].astype(float))
    for plane, found in zip(RGB, output[:3], strict=True):
        np.testing.assert_allclose(found, windows(plane * ALPHA[0].astype(float)) / weights, atol=0.5001)
    np.testing.assert_array_equal(output[3], np.rint(weights / 9))


def test_edge_detector_keeps_alpha_as_it_is():
    planes = np.concatenate([RGB, ALPHA])
    output = one(planes, "sobel-x", alpha=True, dtype="float32")
    np.testing.assert_array_equal(output[3], ALPHA[0])
    response = convolve_exactly(
        RGB.astype(int) * ALPHA.astype(int), [[1, 0, -1], [2, 0, -2], [1, 0, -1]], border="nearest"
    )
    np.testing.assert_allclose(output[:3], response.values.astype(float) / 255, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "options", [{"mode": "full"}, {"mode": "valid"}, {"stride": 2}, {"op": "correlate", "origin": 0}]
)
@pytest.mark.parametrize("rule", ["premultiply", "filter", "ignore"])
def test_alpha_lies_on_the_colours_whatever_the_geometry(options, rule):
    """A transparent image with one opaque white pixel: colour is where alpha is."""
    planes = np.zeros((2, 9, 10), np.uint8)
    planes[:, 4, 6] = 255
    for kernel in ("0 0 1", "0; 0; 1", "1 0; 0 0"):
        colour, alpha = filter_planes(
            planes, [parse_kernel(kernel)], Filter(alpha=rule, **options), alpha=True
        ).outputs[0]
        assert colour.shape == alpha.shape
        if rule != "ignore":
            np.testing.assert_array_equal(colour, alpha)


def test_gray_with_alpha_follows_the_same_rules():
    planes = np.concatenate([RGB[:1], ALPHA])
    full = np.concatenate([RGB[[0, 0, 0]], ALPHA])
    np.testing.assert_array_equal(
        one(planes, "gaussian:1", alpha=True), one(full, "gaussian:1", alpha=True)[[0, 3]]
    )


# light and brightness


def test_linear_light_is_the_mean_of_light():
    output = one(RGB[:1], "1/2 1/2", linear=True, op="correlate", precision="float64")[0]
    v = RGB[0] / 255
    light = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    mean = (light + np.c_[light[:, 1:], light[:, -1:]]) / 2
    back = np.where(mean <= 0.0031308, 12.92 * mean, 1.055 * mean ** (1 / 2.4) - 0.055)
    assert np.abs(output - back * 255).max() < 0.501


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_light_and_back_is_the_identity_on_every_sample(dtype):
    samples = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    assert (np.rint(from_linear(to_linear(samples), white(np.dtype(dtype)))) == samples).all()


def test_linear_leaves_alpha_alone():
    planes = np.concatenate([RGB, ALPHA])
    how = Filter(linear=True, alpha="filter")
    output = filter_planes(planes, [parse_kernel("identity")], how, alpha=True).outputs[0]
    np.testing.assert_array_equal(output, planes)


def test_luma_weighs_the_colours_as_bt709_does():
    expected = np.rint(np.tensordot(LUMA, RGB.astype(float), 1))
    assert sum(LUMA) == pytest.approx(1)
    np.testing.assert_array_equal(luma(RGB)[0], expected)
    np.testing.assert_array_equal(one(RGB, "identity", gray=True)[0], expected)
    gray, alpha = one(np.concatenate([RGB, ALPHA]), "box:3", alpha=True, gray=True)
    np.testing.assert_array_equal(alpha, np.rint(windows(ALPHA[0].astype(int)) / 9))
    assert gray.shape == expected.shape
    equal = RGB[[0, 0, 0]]
    np.testing.assert_array_equal(luma(equal)[0], RGB[0])


def test_gray_leaves_gray_images_as_they_are():
    np.testing.assert_array_equal(one(RGB[:1], "sharpen", gray=True), one(RGB[:1], "sharpen"))
    two = np.concatenate([RGB[:1], ALPHA])
    np.testing.assert_array_equal(one(two, "box:3", gray=True, alpha=True), one(two, "box:3", alpha=True))


def test_premultiplication_is_exact():
    for dtype in (np.uint8, np.uint16):
        most = np.iinfo(dtype).max
        colour, alpha = np.full((3, 2, 2), most, dtype), np.full((1, 2, 2), most, dtype)
        assert (premultiply(colour, alpha) == most**2).all()


# ranges


def test_minmax_stretches_over_the_whole_range():
    for dtype, high in (("uint8", 255), ("uint16", 65535), ("float32", 1)):
        output = one(RGB, "sobel-x", range="minmax", dtype=dtype, precision="float64").astype(float)
        response = convolve_exactly(
            RGB, [[1, 0, -1], [2, 0, -2], [1, 0, -1]], border="nearest"
        ).values.astype(float)
        expected = (response - response.min()) / (response.max() - response.min()) * high
        assert np.abs(output - expected).max() <= (0.5 if high > 1 else 1e-6)
        assert (output.min(), output.max()) == (0, high)


def test_minmax_of_a_constant_response_is_dark_and_finite():
    output, clipped = apply(np.full((1, 4, 4), 9, np.uint8), "box:3", range="minmax")
    assert (output[0].max(), clipped) == (0, 0)


def test_minmax_and_abs_leave_alpha_alone():
    planes = np.concatenate([RGB, ALPHA])
    for rule in ("minmax", "abs"):
        output = one(planes, "sobel-x", alpha=True, range=rule)
        np.testing.assert_array_equal(output[3], ALPHA[0])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.sampled_from(["uint8", "uint16"]))
def test_finish_clamps_rounds_half_to_even_and_counts(values, dtype):
    values = [*values, -0.5, 0.5, 1.5, 2.5, 254.5, 255.5]
    high = np.iinfo(dtype).max
    rounded = [round(value) for value in values]  # Python rounds half to even as well
    output, clipped = finish(np.array([[values]]), False, np.dtype(dtype), "clamp")
    assert output.dtype == dtype
    assert output[0, 0].tolist() == [min(max(value, 0), high) for value in rounded]
    assert clipped == sum(not 0 <= value <= high for value in rounded)


def test_nan_and_infinity_count_as_clipped_in_integer_types():
    values = np.array([[[np.nan, np.inf, -np.inf, 7.0]]])
    output, clipped = finish(values.copy(), False, np.dtype("uint8"), "clamp")
    assert (output[0, 0].tolist(), clipped) == ([0, 255, 0, 7], 3)
    output, clipped = finish(values.copy(), False, np.dtype("float32"), "clamp")
    assert clipped == 0
    np.testing.assert_array_equal(output, values.astype(np.float32))


def test_range_none_keeps_floats_and_refuses_integers_that_do_not_fit():
    response = convolve_exactly(RGB, [[1, 0, -1], [2, 0, -2], [1, 0, -1]], border="nearest").values.astype(
        float
    )
    output = one(RGB, "sobel-x", range="none", dtype="float32")
    np.testing.assert_array_equal(output, response)
    clipped = ((response < 0) | (response > 255)).sum()
    with pytest.raises(UsageError, match=rf'{clipped} samples are outside 0 to 255 and range is "none"'):
        apply(RGB, "sobel-x", range="none")


# normalisation, divisor, bias


@pytest.mark.parametrize(
    ("kernel", "rule", "divisor"),
    [
        ("1 2 3", "none", 1),
        ("1 2 3", "sum", 6),
        ("1 -2 5", "sum", 4),
        ("1 -2 5", "abs", 8),
        ("1 -2 5", "auto", 4),
        ("1 -2 1", "auto", 4),
        ("1 -2 1", "abs", 4),
        ("1 -2 1", "sum", 1),
        ("0 0", "sum", 1),
        ("0 0", "abs", 1),
        ("0 0", "auto", 1),
        ("1/3 2/3", "sum", 1),
        ("-1 -2", "sum", -3),
    ],
)
def test_normalisation_divides_by(kernel, rule, divisor):
    made = parse_kernel(kernel)
    values = made.values if rule != "none" and divisor != 1 else made.weights
    filtered = filter_planes(RGB[:1], [made], Filter(normalize=rule, dtype="float32", precision="float64"))
    expected = convolve_exactly(RGB[:1], values, border="nearest").values.astype(float) / divisor
    np.testing.assert_allclose(filtered.outputs[0], expected.astype(np.float32), rtol=1e-6, atol=1e-9)
    zero = "was not divided"
    assert [zero in note for note in filtered.notes] == [True] * (
        rule in ("sum", "abs", "auto") and divisor == 1 and "/" not in kernel
    )


def test_divisor_and_bias_of_the_options_take_the_place_of_the_kernels_own():
    kernel = Kernel(np.array([[2, 4]]), "own", divisor=6, bias=10)
    x = RGB[:1].astype(float)
    total = 2 * x + 4 * np.concatenate([x[..., :1], x[..., :-1]], axis=-1)
    for options, divisor, bias in (
        ({}, 6, 10),
        ({"divisor": 3.0}, 3, 10),
        ({"bias": -1.0}, 6, -1),
        ({"bias": 0.0}, 6, 0),
        ({"normalize": "sum", "bias": Percent(20)}, 6, 51),
        ({"normalize": "abs"}, 6, 10),
    ):
        output = one(RGB[:1], kernel, precision="float64", **options)
        np.testing.assert_array_equal(output, np.clip(np.rint(total / divisor + bias), 0, 255))


@pytest.mark.parametrize(("dtype", "half"), [(np.uint8, 127.5), (np.uint16, 32767.5), (np.float32, 0.5)])
def test_bias_in_percent_is_of_full_brightness(dtype, half):
    output = one(np.zeros((1, 3, 3), dtype), "identity", bias=Percent(50), dtype="float32")
    np.testing.assert_array_equal(output, np.full((1, 3, 3), half, np.float32))


def test_bias_is_added_at_every_repetition_as_the_filter_is_applied_again():
    output = one(np.zeros((1, 3, 3), np.uint8), "identity", bias=7.0, repeat=3)
    np.testing.assert_array_equal(output, np.full((1, 3, 3), 21))


# several kernels, repetition


def test_combinations_are_what_numpy_says():
    kernels = ("sobel-x", "sobel-y", "laplacian")
    singles = [one(RGB, kernel, dtype="float32").astype(float) for kernel in kernels]
    for rule, expected in (
        ("magnitude", np.sqrt(sum(single**2 for single in singles))),
        ("max", np.maximum.reduce(singles)),
        ("sum", sum(singles)),
        ("mean", sum(singles) / 3),
    ):
        found = one(RGB, *kernels, combine=rule, dtype="float32")
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-4)
    outputs, _ = apply(RGB, *kernels, combine="none", dtype="float32")
    for output, single in zip(outputs, singles, strict=True):
        np.testing.assert_array_equal(output, single)


def test_magnitude_of_one_kernel_is_the_absolute_value():
    np.testing.assert_array_equal(one(RGB, "sobel-x", combine="magnitude"), one(RGB, "sobel-x", range="abs"))


@pytest.mark.parametrize("rule", ["magnitude", "max", "sum", "mean"])
def test_combining_opaque_images_keeps_them_opaque(rule):
    opaque = np.concatenate([RGB, np.full_like(ALPHA, 255)])
    output = one(opaque, "sobel-x", "sobel-y", combine=rule, alpha=True)
    assert (output[3] == 255).all()
    np.testing.assert_array_equal(output[:3], one(RGB, "sobel-x", "sobel-y", combine=rule))


@pytest.mark.parametrize("rule", ["magnitude", "max", "sum", "mean"])
def test_combining_keeps_the_alpha_of_edge_detectors(rule):
    planes = np.concatenate([RGB, ALPHA])
    output = one(planes, "sobel-x", "sobel-y", combine=rule, alpha=True)
    np.testing.assert_array_equal(output[3], ALPHA[0])


def test_combining_sums_of_wide_integers_does_not_overflow():
    big = np.full((4, 4), 2**62, np.int64)
    output = one(big, "identity", "identity", "identity", combine="mean", photo=False)
    assert (output == 2.0**62).all()
    with pytest.raises(UsageError, match="the sum may reach 9223372036854775808, beyond 64-bit integers"):
        one(big, "identity", "identity", "identity", combine="sum", photo=False)


def test_outputs_of_different_sizes_are_not_combined():
    with pytest.raises(UsageError, match=r"different sizes \(.*\) cannot be combined; use --mode same"):
        apply(RGB, "box:3", "box:5", combine="sum", mode="full")


@given(st.integers(1, 4))
def test_repeating_is_filtering_again(times):
    output = one(RGB[0].astype(np.int64), "1 2; 0 1", repeat=times, mode="full", border="zero", photo=False)
    expected = RGB[0].astype(np.int64)
    for _ in range(times):
        expected = convolve_exactly(expected, [[1, 2], [0, 1]], mode="full").values.astype(np.int64)
    np.testing.assert_array_equal(output, expected)


# types


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_photo_keeps_its_type(dtype):
    assert one(RGB.astype(dtype), "gaussian:1").dtype == dtype


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_samples_keep_their_value_in_another_type(dtype):
    """The option says what is written, not a scale."""
    output = one(RGB, "identity", dtype=dtype)
    assert output.dtype == dtype
    np.testing.assert_array_equal(output, RGB)


def test_array_returns_in_the_type_of_its_result_and_unclipped():
    for dtype, kernel, expected in (
        ("uint8", "1 -3", "int64"),
        ("int32", "1 -3", "int64"),
        ("uint8", "0.5 1.5", "float64"),
        ("float32", "1 -3", "float32"),
        ("float64", "1 -3", "float64"),
    ):
        output = one(RGB[0].astype(dtype), kernel, photo=False)
        if expected == "float64" and dtype == "uint8":
            assert output.dtype.kind == "f"
        else:
            assert output.dtype == expected
        values = convolve_exactly(RGB[0], parse_kernel(kernel).weights, border="nearest").values.astype(float)
        np.testing.assert_allclose(output, values, rtol=1e-6)
    assert output.min() < 0


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_minmax_of_an_array_needs_no_other_option(dtype):
    output = one(RGB[0].astype(dtype), "1 -3", range="minmax", photo=False)
    response = convolve_exactly(RGB[0], [[1, -3]], border="nearest").values.astype(float)
    share = (response - response.min()) / (response.max() - response.min())
    found = output.astype(float)
    assert found.max() > found.min()
    assert np.abs((found - found.min()) / (found.max() - found.min()) - share).max() < 0.01


def test_clamp_that_is_asked_for_an_array_is_not_ignored():
    """It ends at the array's own type, or is refused until a type is named."""
    try:
        output = one(RGB[0], "1 -3", range="clamp", photo=False)
    except UsageError:
        return
    assert output.min() == 0
    assert output.dtype == np.uint8


def test_inputs_are_not_changed():
    planes = RGB.astype(np.float32)
    kept = planes.copy()
    for options in (
        {},
        {"linear": True},
        {"range": "minmax"},
        {"range": "abs"},
        {"repeat": 2},
        {"bias": 3.0},
    ):
        one(planes, "identity", **options)
        np.testing.assert_array_equal(planes, kept)
    array = RGB[0].astype(np.float64)
    one(array, "identity", range="minmax", photo=False)
    np.testing.assert_array_equal(array, RGB[0])


def test_non_finite_samples_of_a_float_photo_spread_no_further_than_the_kernel():
    planes = RNG.random((1, 8, 9), dtype=np.float32)
    planes[0, 3, 4] = np.nan
    output = one(planes, "box:3")
    assert np.isnan(output).sum() == 9
    assert np.isfinite(one(planes, "box:3", nan="interpolate")).all()


def test_memory_limit_counts_the_result():
    with pytest.raises(LimitError, match="of memory, more than the 1 MB allowed"):
        apply(RGB, "box:3", mode="full", dilation=400, max_memory=1_000_000)


def test_what_is_prepared_has_a_plan_and_no_output():
    filtered = prepare_filter(RGB, [parse_kernel("box:3")], Filter(backend="fft")).filtered
    assert (filtered.outputs, filtered.clipped, filtered.plan.backend) == ([], 0, "fft")


# the border value, on whatever scale the planes are


@pytest.mark.parametrize("kernel", ["box:3", "gaussian:1", "0.1000001 0.7999998 0.1000001"])
@pytest.mark.parametrize("options", [{}, {"repeat": 2}, {"linear": True}, {"linear": True, "repeat": 3}])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_flat_picture_in_a_border_of_its_own_value_stays_flat(kernel, options, channels):
    value = 255 if channels in (2, 4) else 200
    flat = np.full((channels, 9, 8), value, np.uint8)
    (output,) = filter_planes(
        flat,
        [parse_kernel(kernel)],
        Filter(border="constant", border_value=value, **options),
        alpha=channels in (2, 4),
    ).outputs
    np.testing.assert_array_equal(output, flat)


@pytest.mark.parametrize("kernel", ["0.1 0.2 0.1", "0.1000001 0.2 0.1", "1/10 1/5 1/10"])
def test_divisor_divides_the_kernel_as_it_is_written(kernel):
    flat = np.full((1, 4, 4), 200, np.uint8)
    assert (filter_planes(flat, [parse_kernel(kernel)], Filter(divisor=2.0)).outputs[0] == 40).all()


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_largest_integers_of_all_survive_a_clamp(dtype):
    image = np.full((4, 4), np.iinfo(dtype).max, dtype)
    how = Filter(precision="float64", range="clamp")
    (output,) = filter_planes(image, [parse_kernel("box:3")], how, photo=False).outputs
    assert (output == image).all()


@pytest.mark.parametrize("how", [Filter(divisor=4e11), Filter(bias=3), Filter(normalize="sum"), Filter()])
def test_sums_beyond_float64_are_scaled_and_shifted_all_the_same(how):
    kernel = Kernel(np.array([[200_000_000_000], [200_000_000_000]]), "heavy", divisor=1)
    chart = np.arange(36, dtype=np.uint16).reshape(1, 6, 6) * 1800
    scale = how.divisor or (4e11 if how.normalize == "sum" else 1)
    above = np.concatenate([chart[0, :1], chart[0, :-1]]).astype(float)
    expected = (above + chart[0]) * 2e11
    output = filter_planes(chart, [kernel], how).outputs[0]
    expected = np.rint(expected / scale + (how.bias or 0)).clip(0, 65535)
    np.testing.assert_array_equal(output[0], expected)


@pytest.mark.parametrize("kernel", ["0 -1 0; -1 5 -1; 0 -1 0", "box:3", "sobel-x"])
def test_light_through_whole_numbers_is_the_same_on_every_backend(kernel, backend):
    planes = np.random.default_rng(4).integers(0, 256, (3, 40, 50)).astype(np.uint8)
    kernels = [parse_kernel(kernel)]
    found, expected = (
        filter_planes(planes, kernels, Filter(linear=True, backend=name)).outputs[0]
        for name in (backend, "im2col")
    )
    np.testing.assert_array_equal(found, expected)


def test_the_estimate_of_memory_knows_the_type_that_is_asked_for():
    planes = np.zeros((3, 300, 300), np.uint8)
    with pytest.raises(LimitError, match="needs"):
        filter_planes(planes, [parse_kernel("box:3")], Filter(dtype="float32", max_memory=1_000_000))


# the plan of what is not there yet


@pytest.mark.parametrize(
    ("planes", "options", "alpha"),
    [
        (np.full((1, 9, 9), 900, np.float32) + np.arange(81).reshape(9, 9), {"linear": True}, False),
        (np.full((2, 9, 9), 5000, np.float32) + np.arange(81).reshape(9, 9), {}, True),
        (np.full((4, 9, 9), 300, np.uint16), {}, True),
        (np.full((4, 9, 9), 255, np.uint8), {"linear": True, "gray": True}, True),
        (np.full((3, 9, 9), 65535, np.uint16), {"linear": True}, False),
    ],
    ids=["light", "opacity above 1", "dark", "light and opacity", "light of 16 bits"],
)
@pytest.mark.parametrize("cells", [9, 2**20])
def test_the_first_pass_is_planned_for_what_it_meets(monkeypatch, planes, options, alpha, cells):
    kernel = Kernel(np.full((3, 3), cells), "box")
    plans, prepare = [], response.prepare

    def watched(image, kernels, **more):
        plans.append((image.dtype, float(np.abs(image).max()), prepare(image, kernels, **more)))
        return plans[-1][2]

    monkeypatch.setattr(response, "prepare", watched)
    work = prepare_filter(planes, [kernel], Filter(dtype="float32", **options), alpha=alpha)
    ((kind, bound, made),) = plans
    seen = []
    compute = Convolution.compute
    monkeypatch.setattr(Convolution, "compute", lambda self, x: seen.append((self, x)) or compute(self, x))
    into = Convolution.compute_into
    monkeypatch.setattr(
        Convolution, "compute_into", lambda self, x, *more: seen.append((self, x)) or into(self, x, *more)
    )
    work.run()
    first, image = seen[0]
    assert (first.plan is made.plan, image.dtype) == (True, kind)
    largest = float(np.abs(image).max())
    assert largest <= bound * 1.001 + 1
    assert bound <= 1.1 * largest + 1 or planes.dtype.kind != "f"
