"""Profile, resolution, EXIF and orientation travel with the pixels, or stay behind on purpose."""

import struct
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from convcli.images import Image, Metadata, read_image, write_image
from convcli.images.metadata import read_metadata

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GRAY_PROFILE = SRGB[:16] + b"GRAY" + SRGB[20:]
COLOURS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
# Which way a picture "abc/def" lies in the file, for every orientation that EXIF knows.
STORED = {
    1: ["abc", "def"],
    2: ["cba", "fed"],
    3: ["fed", "cba"],
    4: ["def", "abc"],
    5: ["ad", "be", "cf"],
    6: ["cf", "be", "ad"],
    7: ["fc", "eb", "da"],
    8: ["da", "eb", "fc"],
}


def letters(rows, size=16):
    """Draw letters as flat squares: exact in every format, JPEG's blocks included."""
    codes = np.array([[ord(letter) - ord("a") for letter in row] for row in rows], np.uint8)
    return np.kron(30 + 40 * codes, np.ones((size, size), np.uint8))


def exif(**tags):
    made = Pillow.Exif()
    for tag, value in tags.items():
        made[int(tag[1:])] = value
    return made


def read_exif(path):
    with Pillow.open(path) as picture:
        return picture.getexif()


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_orientation_is_applied_and_reset(tmp_path, name, orientation):
    options = {"lossless": True} if name == "a.webp" else {"quality": 100} if name == "a.jpg" else {}
    stored = Pillow.fromarray(letters(STORED[orientation]))
    if name == "a.webp":
        stored = stored.convert("RGB")
    stored.save(tmp_path / name, exif=exif(t274=orientation, t271="Maker"), **options)
    image = read_image(tmp_path / name)
    pixels = image.pixels if image.pixels.ndim == 2 else image.pixels[..., 0]
    np.testing.assert_allclose(pixels, letters(["abc", "def"]), atol=1)
    write_image(tmp_path / f"out-{name}", image)
    assert read_exif(tmp_path / f"out-{name}").get(274, 1) == 1
    assert read_exif(tmp_path / f"out-{name}")[271] == "Maker"
    again = read_image(tmp_path / f"out-{name}").pixels
    np.testing.assert_allclose(again if again.ndim == 2 else again[..., 0], letters(["abc", "def"]), atol=1)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, bool])
def test_orientation_is_applied_to_every_type(tmp_path, dtype):
    turned = letters(STORED[6], size=3)
    samples = turned > 100 if dtype is bool else turned.astype(dtype)
    Pillow.fromarray(samples).save(tmp_path / "a.tif", exif=exif(t274=6))
    expected = letters(["abc", "def"], size=3)
    expected = np.where(expected > 100, 255, 0) if dtype is bool else expected
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, expected)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientation_that_does_not_exist_is_ignored(tmp_path, orientation):
    Pillow.fromarray(COLOURS).save(tmp_path / "a.png", exif=exif(t274=orientation))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, COLOURS)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
def test_colour_profile_is_kept_byte_for_byte(tmp_path, name):
    Pillow.fromarray(COLOURS).save(tmp_path / name, icc_profile=SRGB)
    image = read_image(tmp_path / name)
    for target in ("out.png", "out.jpg", "out.tif", "out.webp"):
        write_image(tmp_path / target, image, force=True)
        with Pillow.open(tmp_path / target) as picture:
            assert picture.info["icc_profile"] == SRGB


@pytest.mark.parametrize("name", ["out.png", "out.jpg", "out.tif", "out.webp"])
@pytest.mark.parametrize(
    ("pixels", "profile"), [(COLOURS[..., 0], SRGB), (COLOURS, GRAY_PROFILE)], ids=["gray", "colour"]
)
def test_profile_of_the_other_colour_space_is_left_out(tmp_path, name, pixels, profile):
    write_image(tmp_path / name, Image(pixels, metadata=Metadata(icc=profile)))
    assert read_image(tmp_path / name).metadata.icc is None


def test_gray_profile_stays_with_a_gray_image(tmp_path):
    write_image(tmp_path / "a.png", Image(COLOURS[..., 0], metadata=Metadata(icc=GRAY_PROFILE)))
    assert read_image(tmp_path / "a.png").metadata.icc == GRAY_PROFILE


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp"])
def test_resolution_is_kept(tmp_path, name):
    Pillow.fromarray(COLOURS).save(tmp_path / name, dpi=(300, 150))
    image = read_image(tmp_path / name)
    for target in ("out.png", "out.jpg", "out.tif", "out.bmp"):
        write_image(tmp_path / target, image, force=True)
        with Pillow.open(tmp_path / target) as picture:
            assert picture.info["dpi"] == pytest.approx((300, 150), abs=0.1)


@pytest.mark.parametrize("dpi", [(0, 0), (float("nan"), 1), (1e9, 1), ("x", 1), (1,), None, 300])
def test_resolution_that_makes_no_sense_is_left_out(tmp_path, dpi):
    Pillow.fromarray(COLOURS).save(tmp_path / "a.png")
    with Pillow.open(tmp_path / "a.png") as picture:
        picture.info["dpi"] = dpi
        assert read_metadata(picture)[0].dpi is None


@pytest.mark.parametrize("target", ["out.png", "out.jpg", "out.tif", "out.webp"])
def test_exif_keeps_camera_and_place_and_drops_what_is_no_longer_true(tmp_path, target):
    made = exif(t271="Maker", t33432="© somebody", t274=6, t256=999, t513=123)
    made[34665] = {33434: 0.02, 40962: 999, 40963: 999}
    made[34853] = {1: "N"}
    Pillow.fromarray(COLOURS).save(tmp_path / "a.jpg", exif=made)
    write_image(tmp_path / target, read_image(tmp_path / "a.jpg"))
    with Pillow.open(tmp_path / target) as picture:
        kept = picture.getexif()
        camera, place = kept.get_ifd(34665), kept.get_ifd(34853)
    assert kept[271] == "Maker"
    assert camera[33434] == pytest.approx(0.02)
    assert place[1] == "N"
    assert not {274, 513} & set(kept)
    assert kept.get(256, 24) == 24  # TIFF: its own width
    assert not {40962, 40963} & set(camera)


def test_tiff_tags_that_describe_the_old_file_stay_behind(tmp_path):
    Pillow.fromarray(COLOURS).save(tmp_path / "a.tif", compression="tiff_lzw", description="a photo")
    image = read_image(tmp_path / "a.tif")
    write_image(tmp_path / "out.tif", replace(image, pixels=image.pixels[:5, :7, 0]))
    with Pillow.open(tmp_path / "out.tif") as picture:
        assert picture.size == (7, 5)
        assert picture.tag_v2[270] == "a photo"
    np.testing.assert_array_equal(
        cv2.imread(str(tmp_path / "out.tif"), cv2.IMREAD_UNCHANGED), COLOURS[:5, :7, 0]
    )


def test_exif_too_long_for_jpeg_is_left_out(tmp_path):
    write_image(tmp_path / "a.jpg", Image(COLOURS, metadata=Metadata(exif=exif(t270="x" * 70_000).tobytes())))
    assert read_image(tmp_path / "a.jpg").metadata.exif is None


@pytest.mark.parametrize(
    "target", ["out.png", "out.jpg", "out.tif", "out.webp", "out.bmp", "out.gif", "out.ppm"]
)
def test_strip_drops_everything(tmp_path, target):
    full = Image(COLOURS, metadata=Metadata(SRGB, (300, 300), exif(t271="Maker").tobytes()))
    write_image(tmp_path / target, full, strip=True)
    metadata = read_image(tmp_path / target).metadata
    assert (metadata.icc, metadata.exif) == (None, None)
    data = (tmp_path / target).read_bytes()
    assert b"Maker" not in data
    assert struct.pack(">I", 11811) not in data  # 300 dpi in a PNG
    write_image(tmp_path / target, full, force=True)
    assert target.endswith(("gif", "ppm")) or read_image(tmp_path / target).metadata != metadata


def test_damaged_profile_and_exif_do_not_cost_the_picture(tmp_path):
    Pillow.fromarray(COLOURS).save(
        tmp_path / "a.png", icc_profile=b"short", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"
    )
    image = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(image.pixels, COLOURS)
    assert image.metadata.icc is None
