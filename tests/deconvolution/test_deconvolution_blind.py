"""Blind deconvolution of a photograph whose blur is known, started with guesses wrong and right."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.deconvolution.borders import BORDERS
from convcli.deconvolution.restoration import deconvolve
from convcli.errors import UsageError

CAMERA = Path(__file__).parents[2] / "sample_images" / "camera.png"
WRONG = [
    ("gaussian:1.6", "gaussian:2.4"),
    ("gaussian:1.6", "gaussian:1"),
    ("motion:9,20", "disk:4"),
    ("motion:9,20", "box:9"),
]
SEEN_AS = {"unknown": "nearest", "wrap": "wrap", "taper": "wrap", "mirror": "mirror"}


def within(name, size=13):
    """Kernel of the size, cut or filled with zeros around its centre."""
    weights = convcli.parse_kernel(name).weights
    room = [(max(size - n, 0) // 2,) * 2 for n in weights.shape]
    weights = np.pad(weights, room)
    cut = [(n - size) // 2 for n in weights.shape]
    weights = weights[tuple(slice(c, c + size) for c in cut)]
    return weights / weights.sum()


@pytest.fixture(scope="module")
def photo():
    with Image.open(CAMERA) as picture:
        samples = np.asarray(picture.convert("L"), dtype=np.float32)
    return samples.reshape(256, 2, 256, 2).mean(axis=(1, 3))


def blurred(photo, psf, decibels=40, border="nearest"):
    image = convcli.convolve(photo, psf, border=border)
    sigma = image.std() / 10 ** (decibels / 20)
    return (image + np.random.default_rng(1).normal(0, sigma, image.shape)).astype(np.float32)


def distance(psf, truth):
    return np.linalg.norm(psf - truth) / np.linalg.norm(truth)


@pytest.mark.parametrize(("true", "guess"), WRONG)
def test_a_wrong_guess_is_improved_and_so_is_the_photo(photo, true, guess):
    truth, start = within(true), within(guess)
    result = deconvolve(blurred(photo, truth), start, method="blind", reference=photo)
    assert result.isnr > 3
    assert distance(result.psf, truth) < 0.7 * distance(start, truth)
    delta = np.zeros_like(truth)
    delta[6, 6] = 1
    assert distance(result.psf, delta) > 0.5
    assert result.psf.shape == start.shape
    assert result.psf.min() >= 0
    assert result.psf.sum() == pytest.approx(1, abs=1e-5)
    assert "approximate" in result.notes[0]


def test_noise_is_borne(photo):
    photo = photo[:160, :160]
    truth, start = within("gaussian:1.6"), within("gaussian:1")
    result = deconvolve(blurred(photo, truth, 30), start, method="blind", reference=photo)
    assert result.isnr > 1.5
    assert distance(result.psf, truth) < 0.6 * distance(start, truth)


def test_the_right_guess_costs_little(photo):
    truth = within("gaussian:1.6")
    image = blurred(photo, truth)
    blind = deconvolve(image, truth, method="blind", reference=photo)
    known = deconvolve(image, truth, method="tv", reference=photo)
    assert blind.isnr > known.isnr - 1.5


@pytest.mark.parametrize("border", BORDERS)
def test_every_border_improves_a_photo_that_was_blurred_so(photo, border):
    photo = photo[70:180, 70:180]
    image = blurred(photo, within("gaussian:1.6"), border=SEEN_AS[border])
    result = deconvolve(image, within("gaussian:1"), method="blind", border=border, reference=photo)
    assert result.isnr > 2


def test_the_image_shown_is_restored_with_the_psf_returned(photo):
    image = blurred(photo, within("gaussian:1.6"))[:90, :90]
    result = deconvolve(image, within("gaussian:1"), method="blind", border="wrap", iterations=3)
    rest = image - convcli.convolve(result.image, result.psf, border="wrap")
    assert math.sqrt((rest**2).mean()) == pytest.approx(result.history[-1].residual, rel=0.05)


def test_support_sum_and_origin_are_the_guess_s(photo):
    image = blurred(photo, within("gaussian:1"))[:90, :90]
    guess = np.pad(within("gaussian:1.3", 7), ((0, 3), (1, 0))) * 2.5
    result = deconvolve(
        2.5 * image, guess, method="blind", origin=(3, 4), normalize=False, iterations=12, reference=image
    )
    assert result.psf.shape == (10, 8)
    assert result.psf.sum() == pytest.approx(2.5, rel=1e-5)
    assert np.unravel_index(result.psf.argmax(), result.psf.shape) == (3, 4)
    assert result.image.mean() == pytest.approx(image.mean(), rel=0.02)


def test_planes_share_a_psf(photo):
    image = blurred(photo, within("gaussian:1.6"))
    planes = np.stack([image[:128, 64:192], image[64:192, 64:192]])
    result = deconvolve(planes, within("gaussian:2.4"), method="blind", iterations=20)
    assert result.image.shape == planes.shape
    assert distance(result.psf, within("gaussian:1.6")) < distance(
        within("gaussian:2.4"), within("gaussian:1.6")
    )


@pytest.mark.parametrize("level", [0.0, 8.0])
def test_a_flat_image_teaches_nothing(level):
    guess = within("gaussian:1.3", 7)
    result = deconvolve(np.full((30, 31), level), guess, method="blind", iterations=3)
    np.testing.assert_allclose(result.image, level, atol=1e-6)
    np.testing.assert_allclose(result.psf, guess, atol=1e-12)


def test_unknown_samples_and_signals_are_taken():
    signal = np.repeat(np.random.default_rng(5).uniform(0, 100, 40), 10)
    truth = np.array([1.0, 2, 3, 2, 1]) / 9
    seen = convcli.convolve(signal, truth, border="nearest")
    seen[70:73] = math.nan
    result = deconvolve(seen, np.full(5, 0.2), method="blind")
    assert np.isfinite(result.image).all()
    assert distance(result.psf, truth) < 0.5 * distance(np.full(5, 0.2), truth)


def test_a_guess_with_negative_cells_is_refused():
    with pytest.raises(
        UsageError, match=r"negative cells, down to -\S+, and method blind .*; use --method tv"
    ):
        deconvolve(np.eye(30), np.array([[-1.0, 3.0, -1.0]]), method="blind")
