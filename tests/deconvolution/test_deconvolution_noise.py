"""The noise found in an image is the noise that was put there."""

import numpy as np
import pytest

from convcli.deconvolution.noise import estimate_noise

SHAPES = {1: (40_000,), 2: (300, 260), 3: (44, 40, 48)}


def scene(shape):
    """Smooth, bright hills: the detail that a blur leaves."""
    places = np.indices(shape) / np.array(shape).reshape(-1, *(1 for _ in shape))
    return 120 + 80 * np.sin(2 * np.pi * places[0]) * np.cos(3 * places[-1])


def noisy(shape, sigma, planes=1, seed=4):
    return scene(shape) + np.random.default_rng(seed).normal(0, sigma, (planes, *shape))


@pytest.mark.parametrize("axes", SHAPES)
@pytest.mark.parametrize("sigma", [0.01, 1.0, 30.0])
def test_white_noise_over_a_smooth_image_is_found_to_three_percent(axes, sigma):
    assert estimate_noise(noisy(SHAPES[axes], sigma), axes) == pytest.approx(sigma, rel=0.03)


def test_planes_share_an_estimate():
    assert estimate_noise(noisy((150, 140), 2.0, planes=3), 2) == pytest.approx(2, rel=0.03)


def test_noise_scales_with_the_image():
    image = noisy((80, 90), 1.0)
    expected = estimate_noise(image, 2)
    for factor in (1e-30, 0.1, 1e30):
        assert estimate_noise(image * factor, 2) == pytest.approx(expected * factor, rel=1e-9)


@pytest.mark.parametrize("axes", SHAPES)
def test_an_offset_is_no_noise(axes):
    image = noisy(SHAPES[axes], 1.0)
    assert estimate_noise(image - 1000, axes) == pytest.approx(estimate_noise(image, axes), rel=1e-9)


def test_flat_areas_do_not_count():
    image = noisy((300, 260), 5.0)
    image[:, :, :130] = 255  # clipped: more than half of it has no noise at all
    image[:, :60] = 0
    assert estimate_noise(image, 2) == pytest.approx(5, rel=0.05)


def test_unknown_samples_do_not_count():
    image = noisy((300, 260), 5.0)
    image[:, 20:24] = np.nan
    image[:, :, 100] = np.inf
    image[:, 200, 200] = -np.inf
    assert estimate_noise(image, 2) == pytest.approx(5, rel=0.03)


def test_rare_points_and_edges_do_not_count():
    image = noisy((300, 260), 5.0)
    image[:, :, 130:] += 200
    image[:, 7::40, 9::40] += 1000
    assert estimate_noise(image, 2) == pytest.approx(5, rel=0.06)


@pytest.mark.parametrize("value", [0.0, 7.0, -3e30, 1e-300])
def test_an_image_without_detail_has_no_noise(value):
    assert estimate_noise(np.full((1, 40, 30), value), 2) == 0


@pytest.mark.parametrize("shape", [(1,), (2,), (1, 1), (1, 50), (3, 2), (2, 1, 5)])
def test_short_axes_take_what_differences_they_have(shape):
    image = np.random.default_rng(1).normal(0, 1, (1, *shape))
    assert 0 <= estimate_noise(image, len(shape)) < 5


def test_short_axes_still_show_the_noise():
    assert estimate_noise(noisy((6, 20_000), 2.0) - scene((6, 20_000)), 2) == pytest.approx(2, rel=0.03)


def test_an_image_without_a_finite_sample_has_no_noise():
    assert estimate_noise(np.full((1, 20, 20), np.nan), 2) == 0


def test_noise_that_is_not_there_is_not_found():
    """The check that the checks above can fail."""
    assert estimate_noise(scene((300, 260))[None], 2) < 1e-4
