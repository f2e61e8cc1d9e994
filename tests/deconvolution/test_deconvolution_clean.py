"""CLEAN on scenes of which every point is known."""

import itertools
import math

import numpy as np
import pytest

import convcli
from convcli.deconvolution.borders import BORDERS
from convcli.deconvolution.methods import clean
from convcli.deconvolution.restoration import deconvolve

BACKGROUND = 50.0
STARS = {(9, 11): 900.0, (10, 30): 400.0, (30, 20): 2000.0, (26, 41): 700.0, (2, 24): 1200.0}
PSF = convcli.parse_kernel("gaussian:1.2").weights
SEEN_AS = {"unknown": "zero", "wrap": "wrap", "taper": "wrap", "mirror": "mirror"}


def sky(stars=STARS, shape=(40, 52)):
    scene = np.zeros(shape)
    for place, flux in stars.items():
        scene[place] = flux
    return scene


def observe(scene, psf, border="zero", sigma=0.0, **options):
    noise = np.random.default_rng(3).normal(0, sigma, scene.shape)
    return BACKGROUND + convcli.convolve(scene, psf, border=border, **options) + noise


def flux_near(image, place, reach=2):
    box = tuple(slice(max(p - reach, 0), p + reach + 1) for p in place)
    return float((image[box] - BACKGROUND).sum())


def is_brightest_at(image, place, reach=2):
    box = tuple(slice(max(p - reach, 0), p + reach + 1) for p in place)
    inside = np.zeros(image.shape, bool)
    inside[box] = True
    return np.unravel_index(np.where(inside, image, -math.inf).argmax(), image.shape) == place


@pytest.mark.parametrize("border", BORDERS)
def test_points_are_found_with_their_flux_under_every_border(border):
    observed = observe(sky(), PSF, SEEN_AS[border], sigma=0.2)
    result = deconvolve(observed, PSF, method="clean", border=border)
    for place, flux in STARS.items():
        assert is_brightest_at(result.image, place)
        assert flux_near(result.image, place, 4) == pytest.approx(flux, rel=0.05)


def test_a_point_whose_blur_is_half_outside_gets_its_whole_flux():
    observed = observe(sky({(0, 20): 1000.0}), PSF, sigma=0.2)
    seen = flux_near(observed, (0, 20), 5)
    inside = deconvolve(observed, PSF, method="clean")
    around = deconvolve(observe(sky({(0, 20): 1000.0}), PSF, "wrap"), PSF, method="clean", border="wrap")
    assert seen < 700
    assert is_brightest_at(inside.image, (0, 20))
    assert flux_near(inside.image, (0, 20), 5) == pytest.approx(flux_near(around.image, (0, 20), 5), rel=0.05)


def test_points_are_narrower_than_their_blur():
    observed = observe(sky(), PSF)
    result = deconvolve(observed, PSF, method="clean", border="wrap", reference=sky() + BACKGROUND)
    assert result.image[30, 20] - BACKGROUND > 2.5 * (observed[30, 20] - BACKGROUND)
    assert result.isnr > 1


@pytest.mark.parametrize("border", BORDERS)
def test_the_mean_is_kept(border):
    observed = observe(sky(), PSF, "wrap", sigma=1.0)
    if border != "wrap":  # a point at the rim has more flux than is seen of it
        observed = observe(sky({k: v for k, v in STARS.items() if k[0] > 5}), PSF, sigma=1.0)
    result = deconvolve(observed, PSF, method="clean", border=border)
    assert result.image.mean() == pytest.approx(observed.mean(), rel=1e-3)


def test_a_psf_of_another_sum_scales_the_image():
    observed = 3 * observe(sky(), PSF, "wrap", sigma=0.5)
    one = deconvolve(observed / 3, PSF, method="clean", border="wrap")
    three = deconvolve(observed, 3 * PSF, method="clean", border="wrap", normalize=False)
    np.testing.assert_allclose(three.image, one.image, rtol=1e-6)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5)])
def test_a_delta_returns_the_image(border, shape):
    delta = np.zeros(shape)
    delta[tuple((n - 1) // 2 for n in shape)] = 1
    observed = observe(sky(), PSF, sigma=2.0)
    result = deconvolve(observed, delta, method="clean", border=border)
    np.testing.assert_allclose(result.image, observed, rtol=1e-9)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("level", [0.0, 7.25, -3.0])
def test_a_constant_image_stays_constant(border, level):
    result = deconvolve(np.full((20, 24), level), PSF, method="clean", border=border)
    np.testing.assert_allclose(result.image, level, rtol=1e-12)
    assert result.iterations == 1


@pytest.mark.parametrize(("shape", "origin"), [((4, 6), None), ((4, 6), (2, 3)), ((7, 7), (0, 6))])
def test_an_even_psf_and_any_origin_keep_the_image_in_place(shape, origin):
    rows, columns = np.indices(shape)
    psf = np.exp(-((rows - 1.6) ** 2) / 2 - (columns - 2.7) ** 2 / 3)
    psf /= psf.sum()
    place = origin or tuple((n - 1) // 2 for n in shape)
    scene = sky({k: v for k, v in STARS.items() if k[0] > 5})
    observed = observe(scene, psf, "wrap", origin=place)
    result = deconvolve(observed, psf, method="clean", border="wrap", origin=origin)
    for place, flux in STARS.items():
        if place[0] > 5:
            assert is_brightest_at(result.image, place)
            assert flux_near(result.image, place, 4) == pytest.approx(flux, rel=0.02)


def test_it_stops_where_the_residual_is_noise():
    observed = observe(sky(), PSF, "wrap", sigma=4.0)
    result = deconvolve(observed, PSF, method="clean", border="wrap", noise=4.0)
    assert result.iterations < clean.ITERATIONS
    assert result.history[-1].residual == pytest.approx(4.0, rel=0.1)
    model = result.image - BACKGROUND
    assert np.abs(model[15:25, 25:36]).max() < 5 * 4.0  # where nothing is, it is the noise


def test_asked_for_more_iterations_it_goes_below_the_noise():
    observed = observe(sky(), PSF, "wrap", sigma=4.0)
    few = deconvolve(observed, PSF, method="clean", border="wrap", noise=4.0)
    many = deconvolve(observed, PSF, method="clean", border="wrap", noise=4.0, iterations=few.iterations + 2)
    assert many.iterations == few.iterations + 2
    assert many.history[-1].residual < few.history[-1].residual


def test_planes_are_independent_and_negative_points_are_points():
    first, second = observe(sky(), PSF, "wrap"), observe(-sky({(20, 30): 800.0}), PSF, "wrap")
    both = deconvolve(np.stack([first, second]), PSF, method="clean", border="wrap", noise=0.01)
    for plane, alone in zip(both.image, (first, second), strict=True):
        single = deconvolve(alone, PSF, method="clean", border="wrap", noise=0.01)
        np.testing.assert_allclose(plane, single.image, atol=0.1)
    assert both.image[1].argmin() == 20 * 52 + 30


def test_unknown_samples_within_the_photo_are_no_peaks():
    observed = observe(sky(), PSF, sigma=0.1)
    observed[28:32, 38:40] = math.nan
    observed[30, 20] = math.inf
    result = deconvolve(observed, PSF, method="clean", noise=0.1)
    assert np.isfinite(result.image).all()
    assert flux_near(result.image, (30, 20), 4) == pytest.approx(2000, rel=0.1)


@pytest.mark.parametrize("axes", [1, 3])
def test_signals_and_volumes(axes):
    shape, place = (20,) * axes, (11,) * axes
    psf = convcli.parse_kernel("gaussian:1").weights[3]
    for _ in range(axes - 1):
        psf = np.multiply.outer(psf, convcli.parse_kernel("gaussian:1").weights[3])
    psf /= psf.sum()
    result = deconvolve(observe(sky({place: 1000.0}, shape), psf, "wrap"), psf, method="clean", border="wrap")
    assert np.unravel_index(result.image.argmax(), shape) == place
    assert flux_near(result.image, place, 5) == pytest.approx(1000, rel=0.01)


@pytest.mark.parametrize("psf", ["box:9", "disk:4", "laplacian8"])
def test_a_psf_without_a_peak_ends_early_and_finite(psf):
    weights = convcli.parse_kernel(psf).weights
    noise = np.random.default_rng(1).normal(size=(40, 52))
    result = deconvolve(100 * noise, weights, method="clean", iterations=8, normalize=False)
    assert np.isfinite(result.image).all()
    residuals = [record.residual for record in result.history]
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(residuals))


def test_a_plateau_is_told():
    observed = observe(sky(), convcli.parse_kernel("box:9").weights, "wrap", sigma=1.0)
    result = deconvolve(observed, convcli.parse_kernel("box:9").weights, method="clean", border="wrap")
    assert result.notes == ["the residual grew and it stopped early; --method tv needs no peak in the PSF"]
