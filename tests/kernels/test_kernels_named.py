"""Named kernels, against other libraries and against what their names promise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import skimage.filters

from convcli.errors import UsageError
from convcli.kernels import Kernel, named_kernels, parse_kernel

DERIVATIVES = ["sobel", "prewitt", "scharr", "roberts"]
RAMP_RIGHT = np.tile(np.arange(9), (9, 1))
MIDDLE = (4, 4)


def weights(spec):
    return parse_kernel(spec).weights


def response(spec, image, at=MIDDLE):
    """Sum k[j]·x[i + o - j] over the cells, as the definition is written."""
    kernel = parse_kernel(spec)
    origin = kernel.origin or tuple((n - 1) // 2 for n in kernel.values.shape)
    total = 0.0
    for j, weight in np.ndenumerate(kernel.weights):
        total += weight * image[tuple(i + o - n for i, o, n in zip(at, origin, j, strict=True))]
    return total


@pytest.mark.parametrize("record", named_kernels(), ids=lambda r: r.name)
def test_every_record_has_a_syntax_a_summary_and_an_example_that_works(record):
    assert record.syntax.partition(":")[0].partition("[")[0] == record.name
    assert record.summary.endswith((".", ")", ";")), record.summary
    assert len(record.summary) < 110
    kernel = parse_kernel(record.example)
    assert kernel.name == record.example
    assert kernel.values.ndim == 2
    assert kernel.values.dtype in (np.int64, np.float64)


def test_the_names_of_the_contract_are_there():
    promised = (
        "identity box gaussian binomial disk motion sharpen unsharp emboss edge outline laplacian laplacian8 "
        "log dog sobel-x sobel-y sobel prewitt-x prewitt-y scharr-x scharr-y roberts-x roberts-y kirsch "
        "gabor moffat airy"
    )
    assert {r.name for r in named_kernels()} == set(promised.split())


def test_syntax_shows_what_is_optional():
    syntax = {r.name: r.syntax for r in named_kernels()}
    assert syntax["gaussian"] == "gaussian:SIGMA[,SIZE]"
    assert syntax["sharpen"] == "sharpen[:AMOUNT]"
    assert syntax["edge"] == "edge"
    assert syntax["gabor"] == "gabor:SIGMA,ANGLE,WAVELENGTH"


# Smoothing


@pytest.mark.parametrize(
    "spec",
    [
        "identity",
        "box:4",
        "gaussian:0.7",
        "gaussian:2,4x9",
        "binomial:6",
        "binomial:40x3",
        "disk:0.2",
        "disk:7.3",
        "motion:12.5,33",
        "moffat:1.5,2.5",
        "airy:3.3",
        "unsharp:1.5,2",
        "sharpen:0.3",
        "emboss:200",
    ],
)
def test_flat_areas_keep_their_brightness(spec):
    assert weights(spec).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    "spec",
    ["edge", "outline", "laplacian", "laplacian8", "log:0.6", "log:3", "dog:1,2", "gabor:3,20,6", "sobel:17"]
    + [f"{name}-{axis}" for name in DERIVATIVES for axis in "xy"],
)
def test_flat_areas_give_nothing(spec):
    assert weights(spec).sum() == pytest.approx(0, abs=1e-12)
    assert np.abs(weights(spec)).sum() > 0.1


def test_box_is_height_by_width_and_keeps_whole_numbers():
    kernel = parse_kernel("box:5x3")
    assert kernel.values.shape == (5, 3)
    assert kernel.values.dtype == np.int64
    assert kernel.divisor == 15


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5, 4.0])
def test_gaussian_is_what_ndimage_gives_for_an_impulse(sigma):
    kernel = weights(f"gaussian:{sigma}")
    radius = int(np.ceil(3 * sigma))
    assert kernel.shape == (2 * radius + 1, 2 * radius + 1)
    impulse = np.zeros(kernel.shape)
    impulse[radius, radius] = 1
    expected = scipy.ndimage.gaussian_filter(impulse, sigma, radius=radius, mode="constant")
    np.testing.assert_allclose(kernel, expected, rtol=1e-12, atol=1e-17)


def test_gaussian_of_any_size_is_what_opencv_and_scipy_signal_give():
    column, row = cv2.getGaussianKernel(9, 1.7), cv2.getGaussianKernel(5, 1.7)
    np.testing.assert_allclose(weights("gaussian:1.7,9x5"), column @ row.T, rtol=1e-12)
    window = scipy.signal.windows.gaussian(6, 1.7)
    np.testing.assert_allclose(
        weights("gaussian:1.7,6"), np.outer(window, window) / window.sum() ** 2, rtol=1e-12
    )


def test_binomial_is_box_2_convolved_with_itself():
    row = np.array([1])
    for _ in range(6):
        row = np.convolve(row, [1, 1])
    kernel = parse_kernel("binomial:7")
    np.testing.assert_array_equal(kernel.values, np.outer(row, row))
    assert kernel.divisor == 4**6


def test_a_large_binomial_leaves_whole_numbers_before_sums_stop_being_exact():
    assert parse_kernel("binomial:17").values.dtype == np.int64
    assert parse_kernel("binomial:18").values.dtype == np.float64
    np.testing.assert_allclose(
        weights("binomial:18"),
        scipy.signal.convolve(weights("binomial:17"), weights("binomial:2")),
        rtol=1e-9,
    )
    assert weights("binomial:1x4096").sum() == pytest.approx(1, abs=1e-12)


# Optics


@pytest.mark.parametrize("radius", [0.75, 1.5, 2.0, 5.3])
def test_disk_weighs_the_covered_area(radius):
    kernel = weights(f"disk:{radius}")
    cells, fine = kernel.shape[0], 200
    position = (np.arange(cells * fine) + 0.5) / fine - cells / 2
    inside = position[:, None] ** 2 + position**2 <= radius**2
    area = inside.reshape(cells, fine, cells, fine).mean(axis=(1, 3))
    np.testing.assert_allclose(kernel, area / area.sum(), atol=2e-4)
    np.testing.assert_allclose(kernel[cells // 2, cells // 2], 1 / (np.pi * radius**2), rtol=1e-9)
    assert kernel[0].any() or radius == int(radius)


def test_motion_along_an_axis_is_a_box():
    np.testing.assert_allclose(weights("motion:9,0"), weights("box:1x9"))
    np.testing.assert_allclose(weights("motion:9,90"), weights("box:9x1"))
    np.testing.assert_allclose(weights("motion:1,37"), [[1]])


def test_motion_turns_counter_clockwise_and_spans_its_length():
    kernel = weights("motion:11,30")
    y, x = np.indices(kernel.shape)
    y, x = y - (kernel.shape[0] - 1) / 2, x - (kernel.shape[1] - 1) / 2
    covariance = (kernel * x * y).sum()
    assert covariance < 0  # up to the right: y falls as x grows
    angle = np.degrees(0.5 * np.arctan2(-2 * covariance, (kernel * (x**2 - y**2)).sum()))
    assert angle == pytest.approx(30, abs=2)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-15)
    np.testing.assert_allclose(kernel, weights("motion:11,210"), atol=1e-12)


def test_motion_agrees_with_distances_worked_out_by_hand():
    # A segment of 4 pixels at 45°: cell (1, 1) from the middle lies on it, (1, 0) is 1/√2 away.
    kernel = weights("motion:5,45")
    middle = kernel.shape[0] // 2
    assert kernel[middle - 1, middle] / kernel[middle, middle] == pytest.approx(1 - np.sqrt(0.5))
    assert kernel[middle - 2, middle + 2] / kernel[middle, middle] == pytest.approx(1 - (np.sqrt(8) - 2))


def test_moffat_falls_to_half_at_its_full_width():
    gamma, alpha = 6.0, 2.5
    kernel = weights(f"moffat:{gamma},{alpha}")
    half_width = gamma * np.sqrt(2 ** (1 / alpha) - 1)
    middle = kernel.shape[0] // 2
    profile = kernel[middle, middle:] / kernel[middle, middle]
    assert np.interp(half_width, np.arange(profile.size), profile) == pytest.approx(0.5, abs=0.005)
    assert middle == np.ceil(4 * half_width)


def test_airy_has_its_first_dark_ring_at_the_radius():
    kernel = weights("airy:10")
    middle = kernel.shape[0] // 2
    profile = kernel[middle, middle:] / kernel[middle, middle]
    assert np.argmin(profile[:13]) == 10
    assert profile[10] < 1e-15
    assert profile.max() == profile[0]
    assert profile[11:20].max() == pytest.approx(0.0175, abs=5e-4)  # the first bright ring


# Derivatives


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_grow_with_brightness_to_the_right_and_downwards(name):
    assert response(f"{name}-x", RAMP_RIGHT) > 0
    assert response(f"{name}-x", RAMP_RIGHT[:, ::-1]) < 0
    assert response(f"{name}-y", RAMP_RIGHT.T) > 0
    assert response(f"{name}-y", RAMP_RIGHT.T[::-1]) < 0
    if name != "roberts":
        assert response(f"{name}-x", RAMP_RIGHT.T) == 0


@pytest.mark.parametrize(("name", "size"), [("sobel", 3), ("scharr", cv2.FILTER_SCHARR)])
@pytest.mark.parametrize(("axis", "orders"), [("x", (1, 0)), ("y", (0, 1))])
def test_derivatives_are_opencvs_turned_round(name, size, axis, orders):
    row, column = cv2.getDerivKernels(*orders, size)
    np.testing.assert_array_equal(parse_kernel(f"{name}-{axis}").values[::-1, ::-1], column @ row.T)


def test_derivatives_filter_as_skimage_does():
    image = np.random.default_rng(3).random((12, 11))
    inside = (slice(2, 9), slice(2, 9))
    pixels = [(r, c) for r in range(2, 9) for c in range(2, 9)]
    for axis in "xy":
        for name in ("prewitt", "sobel", "scharr"):
            witness = getattr(skimage.filters, name)(image, axis="yx".index(axis))[inside].ravel()
            sum_of_weights = np.abs(weights(f"{name}-{axis}")).sum() / 2
            ours = [response(f"{name}-{axis}", image, at) / sum_of_weights for at in pixels]
            np.testing.assert_allclose(ours, witness, atol=1e-12)
    for axis, witness in [("x", skimage.filters.roberts_pos_diag), ("y", skimage.filters.roberts_neg_diag)]:
        ours = [response(f"roberts-{axis}", image, at) for at in pixels]
        np.testing.assert_allclose(ours, witness(image)[inside].ravel(), atol=1e-12)


def test_sobel_at_an_angle_is_the_directional_derivative():
    for quarter, spec in enumerate(["sobel-x", "sobel-y"]):
        turned = parse_kernel(f"sobel:{90 * quarter}")
        np.testing.assert_array_equal(turned.values, parse_kernel(spec).values)
        assert turned.values.dtype == np.int64
    np.testing.assert_allclose(weights("sobel:190"), -weights("sobel:10"), atol=1e-12)
    for angle in (0, 37, 120):
        radians = np.radians(angle)
        towards = np.cos(radians) * RAMP_RIGHT + np.sin(radians) * RAMP_RIGHT.T
        assert response(f"sobel:{angle}", towards) == pytest.approx(8)


COMPASS = {
    "N": (-1, 0),
    "NE": (-1, 1),
    "E": (0, 1),
    "SE": (1, 1),
    "S": (1, 0),
    "SW": (1, -1),
    "W": (0, -1),
    "NW": (-1, -1),
}


@pytest.mark.parametrize("point", COMPASS)
def test_kirsch_answers_most_to_the_slope_it_is_named_for(point):
    down, right = COMPASS[point]
    steps = np.sign(right * (RAMP_RIGHT - 4) + down * (RAMP_RIGHT.T - 4)).clip(0)
    answers = {name: response(f"kirsch:{name}", steps) for name in COMPASS}
    assert max(answers, key=answers.get) == point
    assert answers[point] == 15
    assert sorted(parse_kernel(f"kirsch:{point}").values.ravel()) == [-3] * 5 + [0] + [5] * 3


def test_laplacians_are_negative_in_the_middle_and_edge_and_outline_their_negatives():
    assert parse_kernel("laplacian").values[1, 1] == -4
    assert parse_kernel("laplacian8").values[1, 1] == -8
    np.testing.assert_array_equal(parse_kernel("edge").values, -parse_kernel("laplacian").values)
    np.testing.assert_array_equal(parse_kernel("outline").values, -parse_kernel("laplacian8").values)
    bowl = (RAMP_RIGHT - 4) ** 2
    assert response("laplacian", bowl) == 2


def test_log_is_the_laplacian_of_a_gaussian():
    sigma = 2.0
    kernel = weights(f"log:{sigma}")
    impulse = np.zeros(kernel.shape)
    impulse[tuple(n // 2 for n in kernel.shape)] = 1
    expected = scipy.ndimage.gaussian_laplace(impulse, sigma, mode="constant", truncate=5)
    np.testing.assert_allclose(kernel, expected, atol=1e-3 * np.abs(expected).max())
    # The second derivative of x² is 2, in each direction.
    y, x = np.indices(kernel.shape) - kernel.shape[0] // 2
    assert (kernel * (x**2 + y**2)).sum() == pytest.approx(4, rel=0.03)


def test_dog_is_the_difference_of_two_gaussians():
    np.testing.assert_allclose(
        weights("dog:1,2"), weights("gaussian:1,13") - weights("gaussian:2,13"), atol=1e-16
    )
    with pytest.raises(UsageError, match="S1 and S2 are the same"):
        parse_kernel("dog:2,2")


@pytest.mark.parametrize("angle", [0, 30, 90])
def test_gabor_is_opencvs_less_its_mean_under_the_envelope(angle):
    kernel = weights(f"gabor:3,{angle},7")
    plain = cv2.getGaborKernel(kernel.shape[::-1], 3, np.radians(angle), 7, 1, 0)
    envelope = cv2.getGaborKernel(kernel.shape[::-1], 3, 0, 1e12, 1, 0)
    expected = (plain - envelope * plain.sum() / envelope.sum()) / envelope.sum()
    np.testing.assert_allclose(kernel, expected, atol=1e-12)


# Sharpening


def test_sharpening_kernels_are_the_textbook_ones():
    np.testing.assert_array_equal(parse_kernel("sharpen").values, [[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
    np.testing.assert_array_equal(parse_kernel("sharpen:0").values, [[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    assert parse_kernel("sharpen").values.dtype == np.int64
    # As a correlation, so turned round, the relief that every paint program has.
    np.testing.assert_array_equal(
        parse_kernel("emboss").values[::-1, ::-1], [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]
    )
    assert response("emboss:0", RAMP_RIGHT) > RAMP_RIGHT[MIDDLE]


def test_unsharp_adds_what_the_blur_takes_away():
    blur = weights("gaussian:1.2")
    delta = np.zeros(blur.shape)
    delta[tuple(n // 2 for n in blur.shape)] = 1
    np.testing.assert_allclose(weights("unsharp:1.2,0.6"), 1.6 * delta - 0.6 * blur, atol=1e-15)
    np.testing.assert_array_equal(weights("unsharp:1.2"), weights("unsharp:1.2,1"))


# Parameters


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gaussian", "the number of parameters is 0; it must be 1 to 2; the syntax is gaussian:SIGMA[,SIZE]"),
        ("gaussian:1,5,5", "the number of parameters is 3; it must be 1 to 2"),
        ("sobel-x:3", "the number of parameters is 1; it must be 0; the syntax is sobel-x"),
        ("gaussian:x", 'SIGMA "x" is not a number; write 3, -0.5, 1e-3 or 1/9; the syntax is gaussian'),
        ("gaussian:", "SIGMA is empty"),
        ("gaussian:-1", 'SIGMA "-1" is not above 0'),
        ("gaussian:nan", 'SIGMA "nan" is not a finite number'),
        ("gaussian:1e400", 'SIGMA "1e400" is too large'),
        ("gaussian:1e300", "would reach 3e+300 pixels to each side; the limit is 4096 cells per axis"),
        ("gaussian:700", "would reach 2100 pixels"),
        ("gaussian:1e-200,4", "every weight vanishes at this size"),
        ("gaussian:1,2x3x4", 'SIZE "2x3x4" is not a size; write 5, or HEIGHTxWIDTH as in 5x3'),
        ("box:0", 'SIZE "0" is out of range; a size is 1 to 4096 cells per axis'),
        ("box:4097", 'SIZE "4097" is out of range'),
        ("box:2.5", 'SIZE "2.5" is not a size'),
        ("disk:5000", "would reach"),
        ("motion:99999,3", "would reach"),
        ("moffat:1,0.0001", "would reach"),
        ("airy:1e4", "would reach"),
        ("kirsch:Q", 'DIRECTION "Q" is not one of E, SE, S, SW, W, NW, N, NE'),
        ("gabor:2,0,1", 'WAVELENGTH "1" is below 2 pixels'),
        ("sharpen:1e308", "row 2, cell 2 is inf; every cell must be finite"),
        ("log:1e-300", "row 1, cell 1 is nan"),
    ],
)
def test_wrong_parameters_are_refused_with_the_syntax(spec, message):
    with pytest.raises(UsageError) as caught:
        parse_kernel(spec)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f'kernel "{spec}": ')
    assert "; the syntax is " in str(caught.value)


def test_blanks_and_fractions_in_parameters_are_fine():
    kernel = parse_kernel(" gaussian : 3/2 , 5 ")
    assert kernel.name == "gaussian:3/2,5"
    np.testing.assert_array_equal(kernel.values, weights("gaussian:1.5,5"))


@pytest.mark.parametrize(
    ("spec", "close"),
    [("gausian", "gaussian"), ("gausian:2", "gaussian"), ("Sobel", "sobel"), ("laplacien", "laplacian")],
)
def test_a_misspelt_name_is_corrected(spec, close):
    with pytest.raises(
        UsageError, match=rf'^unknown kernel "\w+"; did you mean "{close}"\? `convcli kernels` lists'
    ):
        parse_kernel(spec)


def test_a_kernel_cannot_be_changed_and_keeps_no_link_to_its_array():
    values = np.ones((2, 2))
    kernel = Kernel(values, "mine")
    values[0, 0] = 5
    assert kernel.values.tolist() == [[1, 1], [1, 1]]
    with pytest.raises(ValueError, match="read-only"):
        kernel.values[0, 0] = 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": np.ones(())}, "0 axes; it has 1, 2 or 3"),
        ({"values": np.ones((1,) * 6)}, "6 axes"),
        ({"values": np.ones((0, 3))}, "0×3 cells is empty"),
        ({"values": np.ones(3, complex)}, "complex128 is not made of real numbers"),
        ({"values": np.array(["a"])}, "not made of real numbers"),
        ({"values": np.array([[1, np.nan]])}, "row 1, cell 2 is nan"),
        ({"values": np.full((1, 1, 2), np.inf)}, "plane 1, row 1, cell 1 is inf"),
        ({"divisor": 0}, "divisor 0 cannot divide"),
        ({"divisor": 5e-324, "values": np.array([9.5])}, "cannot divide"),
        ({"divisor": "2"}, "divisor 2 is not a finite number"),
        ({"divisor": 10**400}, "is not a finite number"),
        ({"bias": np.nan}, "bias nan is not a finite number"),
        ({"origin": (3,)}, r"origin \(3,\) is outside the kernel 3"),
        ({"origin": (1, 1)}, "has 2 numbers for 1 axes"),
        ({"origin": (-1,)}, "at least 0"),
    ],
)
def test_a_kernel_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        Kernel(**{"values": np.arange(3), "name": "mine"} | arguments)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (np.array([1.0, -2.0]), np.int64),
        (np.array([1 / 3]), np.float64),
        (np.array([2**63], dtype=np.uint64), np.float64),
        (np.array([2**62], dtype=np.uint64), np.int64),
        (np.array([True]), np.int64),
        (np.array([1e300]), np.float64),
        (np.array([0.1], dtype=np.float32), np.float64),
        (np.array([3], dtype=">i2"), np.int64),
    ],
)
def test_values_are_int64_where_they_are_whole_numbers(values, kept):
    kernel = Kernel(values, "mine")
    assert kernel.values.dtype == kept
    assert kernel.values.dtype.isnative
    assert kernel.values.astype(float).tolist() == values.astype(float).tolist()
