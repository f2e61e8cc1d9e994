"""PSNR and SSIM against scikit-image, ISNR against its definition."""

import itertools
import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from convcli.deconvolution.quality import isnr, psnr, ssim
from convcli.errors import UsageError

RNG = np.random.default_rng(12)
SHAPES = [(40,), (7,), (23, 31), (7, 9), (9, 10, 12)]
TOPS = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0, "float64": 1.0}


def pair(planes, shape, dtype):
    """An image with smooth and busy parts, and a noisy copy that is in range."""
    top = TOPS[dtype]
    smooth = sum(np.indices(shape)) / sum(shape)
    reference = np.clip(smooth + RNG.normal(0, 0.2, (planes, *shape)) * (smooth > 0.4), 0, 1)
    image = np.clip(reference + RNG.normal(0, 0.1, reference.shape), 0, 1)
    return (reference * top).astype(dtype), (image * top).astype(dtype), top


def ssim_by_definition(x, y, top, sizes):
    """Every window by itself, with NumPy's covariance."""
    values = []
    for corner in itertools.product(*(range(n - size + 1) for n, size in zip(x.shape, sizes, strict=True))):
        part = tuple(slice(i, i + size) for i, size in zip(corner, sizes, strict=True))
        a, b = x[part].ravel().astype(float), y[part].ravel().astype(float)
        (var_a, cov), (_, var_b) = np.cov(a, b) if a.size > 1 else np.zeros((2, 2))
        c1, c2 = (0.01 * top) ** 2, (0.03 * top) ** 2
        mean_a, mean_b = a.mean(), b.mean()
        above = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
        values.append(above / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)))
    return np.mean(values)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("dtype", TOPS)
def test_psnr_is_that_of_scikit_image(planes, shape, dtype):
    reference, image, top = pair(planes, shape, dtype)
    expected = peak_signal_noise_ratio(reference.astype(float), image.astype(float), data_range=top)
    assert psnr(reference, image, top) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("dtype", TOPS)
def test_ssim_is_that_of_scikit_image(planes, shape, dtype):
    reference, image, top = pair(planes, shape, dtype)
    x, y = reference.astype(float), image.astype(float)
    expected = structural_similarity(x, y, data_range=top, channel_axis=0)
    assert 0.1 < expected < 0.99
    assert ssim(reference, image, top) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("size", "window"), [(6, 5), (5, 5), (4, 3), (3, 3)])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_short_axes_have_the_largest_odd_window_that_fits(size, window, axes):
    reference, image, top = pair(3, (size,) * axes, "float64")
    expected = structural_similarity(reference, image, data_range=top, channel_axis=0, win_size=window)
    assert ssim(reference, image, top) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((4, 20), (3, 7)),
        ((9, 2), (7, 1)),
        ((1, 12), (1, 7)),
        ((6, 8, 1), (5, 7, 1)),
        ((1,), (1,)),
        ((2, 2), (1, 1)),
    ],
)
def test_every_axis_has_its_own_window(shape, sizes):
    reference, image, top = pair(2, shape, "uint8")
    expected = np.mean([ssim_by_definition(x, y, top, sizes) for x, y in zip(reference, image, strict=True)])
    assert ssim(reference, image, top) == pytest.approx(expected, rel=1e-10)


def test_the_definition_that_is_compared_with_tells_windows_apart():
    x, y, top = pair(1, (12, 12), "float64")
    by_seven = ssim_by_definition(x[0], y[0], top, (7, 7))
    assert by_seven == pytest.approx(structural_similarity(x[0], y[0], data_range=top))
    assert by_seven != pytest.approx(ssim_by_definition(x[0], y[0], top, (5, 5)), rel=1e-3)


@pytest.mark.parametrize("dtype", TOPS)
@pytest.mark.parametrize("shape", [(1, 5), (1, 16, 16), (3, 8, 9, 10), (1, 80, 90)], ids=str)
def test_equal_images_are_perfect(shape, dtype):
    image, _, top = pair(shape[0], shape[1:], dtype)
    assert psnr(image, image.copy(), top) == math.inf
    assert ssim(image, image.copy(), top) == pytest.approx(1, abs=1e-12)


def test_ssim_does_not_depend_on_the_scale_of_samples():
    reference, image, _ = pair(1, (12, 12), "float64")
    assert ssim(reference * 1e200, image * 1e200, 1e200) == pytest.approx(
        ssim(reference, image, 1.0), rel=1e-12
    )


def test_samples_of_unsigned_types_do_not_wrap_around():
    dark, bright = np.zeros((1, 8), np.uint8), np.full((1, 8), 255, np.uint8)
    assert psnr(dark, bright, 255) == psnr(bright, dark, 255) == 0
    assert isnr(dark, bright, dark + np.uint8(51)) == pytest.approx(20 * math.log10(5))


def test_isnr_is_the_difference_of_two_psnrs():
    reference, blurred, top = pair(3, (9, 11), "float32")
    restored = (0.7 * reference + 0.3 * blurred).astype(np.float32)
    expected = psnr(reference, restored, top) - psnr(reference, blurred, top)
    assert isnr(reference, blurred, restored) == pytest.approx(expected, rel=1e-12)
    assert isnr(reference, restored, blurred) == pytest.approx(-expected, rel=1e-12)
    assert expected == pytest.approx(-20 * math.log10(0.3), rel=1e-5)


@pytest.mark.parametrize(
    ("blurred", "restored", "expected"),
    [
        (1.0, 0.0, math.inf),
        (0.0, 1.0, -math.inf),
        (0.0, 0.0, 0.0),
        (1.0, 1.0, 0.0),
        (1.0, math.nan, -math.inf),
        (1.0, math.inf, -math.inf),
        (math.nan, 1.0, math.inf),
        (math.nan, math.nan, 0.0),
        (1e-300, 1.0, -math.inf),  # whose square is 0
        (1.0, 1e300, -math.inf),  # whose square is infinite
    ],
)
def test_isnr_has_limits_and_is_never_nan(blurred, restored, expected):
    reference = np.zeros((1, 3))
    assert isnr(reference, np.full((1, 3), blurred), np.full((1, 3), restored)) == expected


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_infinitely_wrong(wrong):
    reference, image, top = pair(1, (8, 8), "float64")
    image[0, 3, 3] = wrong
    assert psnr(reference, image, top) == -math.inf
    assert psnr(image, image, top) == -math.inf
    assert math.isnan(ssim(reference, image, top))


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_images_of_two_shapes_are_refused(measure):
    rule = r"^images 1×3×4 and 1×4×3 differ in shape; compare images of one shape$"
    with pytest.raises(UsageError, match=rule):
        measure(np.zeros((1, 3, 4)), np.zeros((1, 4, 3)), 1.0)
    with pytest.raises(UsageError, match="differ in shape"):
        isnr(np.zeros((1, 3, 4)), np.zeros((1, 3, 4)), np.zeros((1, 3, 1)))


@pytest.mark.parametrize("measure", [psnr, ssim, isnr])
def test_images_without_samples_are_refused(measure):
    empty = np.zeros((1, 0, 4))
    with pytest.raises(UsageError, match=r"^images 1×0×4 have no samples to compare; use larger ones$"):
        measure(empty, empty, empty if measure is isnr else 1.0)


@pytest.mark.parametrize("measure", [psnr, ssim])
@pytest.mark.parametrize("top", [0.0, -1.0, math.nan, math.inf])
def test_full_brightness_is_positive(measure, top):
    with pytest.raises(UsageError, match=r"^top \S+ is not a positive number; use the sample value of full"):
        measure(np.zeros((1, 8)), np.zeros((1, 8)), top)
