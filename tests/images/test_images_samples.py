"""The sample images are what their script makes, small, and free."""

from pathlib import Path

import make_samples
import numpy as np
import pytest

from convcli.images import read_image

FOLDER = Path(make_samples.__file__).parents[1] / "sample_images"


@pytest.mark.parametrize("name", make_samples.drawn())
def test_drawn_sample_is_what_its_script_draws(name):
    expected, found = make_samples.drawn()[name], read_image(FOLDER / name)
    np.testing.assert_array_equal(found.pixels, expected.pixels, strict=True)
    assert found.alpha == expected.alpha


@pytest.mark.parametrize("name", ["coffee", "camera"])
def test_photo_is_the_one_of_scikit_image(name):
    data = pytest.importorskip("skimage.data")
    np.testing.assert_array_equal(
        read_image(FOLDER / f"{name}.png").pixels, getattr(data, name)(), strict=True
    )


def test_script_writes_every_sample(tmp_path):
    pytest.importorskip("skimage.data")
    make_samples.main(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in FOLDER.glob("*.png")}


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("coffee", "RGB"),
        ("camera", "L"),
        ("moon16", "I;16"),
        ("logo", "RGBA"),
        ("palette", "P"),
        ("chart", "L"),
    ],
)
def test_each_kind_of_image_has_a_sample(name, mode):
    assert read_image(FOLDER / f"{name}.png").mode == mode


def test_16_bit_sample_has_more_than_8_bits():
    assert len(np.unique(read_image(FOLDER / "moon16.png").pixels)) > 5_000


def test_logo_has_soft_edges_and_a_loud_colour_under_the_transparent_part():
    pixels = read_image(FOLDER / "logo.png").pixels
    assert len(np.unique(pixels[..., 3])) > 200
    assert (pixels[pixels[..., 3] == 0] == (0, 255, 0, 0)).all()


def test_samples_are_under_2_megabytes_and_each_has_its_licence_stated():
    files = list(FOLDER.iterdir())
    assert sum(file.stat().st_size for file in files) < 2_000_000
    licences = (FOLDER / "LICENCES.md").read_text()
    for file in FOLDER.glob("*.png"):
        (line,) = (line for line in licences.splitlines() if f"`{file.name}`" in line)
        assert line.endswith("| CC0 1.0 |")
