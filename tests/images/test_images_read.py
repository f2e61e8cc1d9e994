"""Files of other programs keep their samples to the last bit, or are refused with the way out."""

import os
import struct
import subprocess
import sys
import threading
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from PIL import ImageFile

from convcli.errors import InputError, LimitError
from convcli.images import read_image

RANDOM = np.random.default_rng(0)
GRAY = RANDOM.integers(0, 256, (20, 31), np.uint8)
RGB = RANDOM.integers(0, 256, (20, 31, 3), np.uint8)
RGBA = RANDOM.integers(0, 256, (20, 31, 4), np.uint8)
GRAY16 = RANDOM.integers(0, 65536, (20, 31), np.uint16)
RGB16 = RANDOM.integers(0, 65536, (20, 31, 3), np.uint16)
RGBA16 = RANDOM.integers(0, 65536, (20, 31, 4), np.uint16)
FLOAT = RANDOM.normal(size=(20, 31)).astype(np.float32)


def save_cv2(path, image):
    assert cv2.imwrite(
        str(path), image[..., [2, 1, 0, *range(3, image.shape[2])]] if image.ndim == 3 else image
    )


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, bits, colour, rows, *chunks):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + data + chunk(b"IEND", b"")


def same(image, pixels, mode=None):
    np.testing.assert_array_equal(image.pixels, pixels, strict=True)
    assert image.alpha == (pixels.ndim == 3 and pixels.shape[2] in (2, 4))
    assert mode is None or image.mode == mode
    assert image.warnings == []


@pytest.mark.parametrize("extension", ["png", "tif", "bmp", "pgm"])
def test_8_bit_gray_keeps_every_sample(tmp_path, extension):
    save_cv2(tmp_path / f"a.{extension}", GRAY)
    image = read_image(tmp_path / f"a.{extension}")
    np.testing.assert_array_equal(image.pixels, GRAY)


@pytest.mark.parametrize("extension", ["png", "tif", "bmp", "ppm", "webp"])
def test_8_bit_rgb_keeps_every_sample(tmp_path, extension):
    save_cv2(tmp_path / f"a.{extension}", RGB)
    same(read_image(tmp_path / f"a.{extension}"), RGB, "RGB")


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_8_bit_rgba_keeps_every_sample(tmp_path, extension):
    save_cv2(tmp_path / f"a.{extension}", RGBA)
    same(read_image(tmp_path / f"a.{extension}"), RGBA, "RGBA")


@pytest.mark.parametrize("extension", ["png", "tif", "pgm"])
def test_16_bit_gray_keeps_every_sample(tmp_path, extension):
    save_cv2(tmp_path / f"a.{extension}", GRAY16)
    same(read_image(tmp_path / f"a.{extension}"), GRAY16)


@pytest.mark.parametrize("pixels", [GRAY, GRAY16, FLOAT, RGB], ids=["gray", "gray16", "float", "rgb"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"compression": "zlib"},
        {"rowsperstrip": 3},
        {"tile": (16, 16)},
    ],
    ids=["plain", "big-endian", "bigtiff", "deflate", "strips", "tiles"],
)
def test_tiff_of_every_layout_keeps_every_sample(tmp_path, pixels, options):
    photometric = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric=photometric, **options)
    same(read_image(tmp_path / "a.tif"), pixels)


@pytest.mark.parametrize("pixels", [GRAY, GRAY16], ids=["8", "16"])
def test_tiff_with_white_as_zero_is_turned_round(tmp_path, pixels):
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite")
    same(read_image(tmp_path / "a.tif"), ~pixels)


def test_tiff_in_planes_is_read_as_channels(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(RGB, 2, 0), photometric="rgb", planarconfig="separate")
    same(read_image(tmp_path / "a.tif"), RGB)


@pytest.mark.parametrize(
    ("name", "pixels"),
    [("a.png", RGB16), ("a.png", RGBA16), ("a.tif", RGB16), ("a.tif", RGBA16), ("a.ppm", RGB16)],
    ids=["png-rgb", "png-rgba", "tiff-rgb", "tiff-rgba", "ppm"],
)
def test_16_bit_colour_is_refused_unless_8_bits_are_accepted(tmp_path, name, pixels):
    save_cv2(tmp_path / name, pixels)
    with pytest.raises(InputError, match=r"a\.\w+ has 16-bit colour or alpha, .* --allow-8bit accepts that"):
        read_image(tmp_path / name)
    result = read_image(tmp_path / name, allow_8bit=True)
    assert result.pixels.dtype == np.uint8
    assert np.abs(result.pixels - pixels / 257).max() < 1


def test_16_bit_colour_tiff_is_recognised_in_every_layout(tmp_path):
    for options in ({"byteorder": ">"}, {"compression": "zlib"}, {"extrasamples": ["assocalpha"]}):
        pixels = RGBA16 if "extrasamples" in options else RGB16
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", **options)
        with pytest.raises(InputError, match="--allow-8bit"):
            read_image(tmp_path / "a.tif")


def test_16_bit_text_ppm_is_refused_too():
    with pytest.raises(InputError, match="--allow-8bit"):
        read_image(b"P3 1 1 # 255\n 1000 1 2 3")


def test_16_bit_gray_with_alpha_is_refused_unless_8_bits_are_accepted():
    data = png(1, 1, 16, 4, [b"\x01\x02\x03\x04"])
    with pytest.raises(InputError, match="--allow-8bit"):
        read_image(data)
    same(read_image(data, allow_8bit=True), np.array([[[1, 3]]], np.uint8))


def test_16_bit_gray_with_a_transparent_shade_is_refused_unless_8_bits_are_accepted():
    data = png(2, 1, 16, 0, [b"\x01\x02\x03\x04"], chunk(b"tRNS", b"\x03\x04"))
    with pytest.raises(InputError, match="--allow-8bit"):
        read_image(data)
    same(read_image(data, allow_8bit=True), np.array([[[1, 255], [3, 0]]], np.uint8))


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk_is_refused_unless_converted(tmp_path, name):
    Pillow.fromarray(RGB).convert("CMYK").save(
        tmp_path / name, **({"quality": 95} if name == "a.jpg" else {})
    )
    with pytest.raises(InputError, match=r"is CMYK, and filters need RGB or gray; --to-rgb converts it"):
        read_image(tmp_path / name)
    image = read_image(tmp_path / name, to_rgb=True)
    assert image.pixels.shape == RGB.shape
    assert image.mode == "CMYK"
    assert image.metadata.icc is None
    assert "without colour management" in image.warnings[0]
    if name == "a.tif":
        np.testing.assert_array_equal(image.pixels, RGB)


def test_lab_is_refused(tmp_path):
    Pillow.fromarray(RGB).convert("LAB").save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="is in LAB colours, which are not read; save it as RGB"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("dtype", "text"),
    [
        ("int8", "signed 8-bit"),
        ("int16", "signed 16-bit"),
        ("int32", "signed 32-bit"),
        ("uint32", "unsigned 32-bit"),
    ],
)
def test_integers_that_no_image_type_holds_are_refused(tmp_path, dtype, text):
    tifffile.imwrite(tmp_path / "a.tif", GRAY.astype(dtype))
    with pytest.raises(
        InputError, match=rf"has {text} samples; unsigned 8 and 16 bits and 32-bit float are read"
    ):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "pixels", [FLOAT.astype(float), np.dstack([FLOAT] * 3)], ids=["float64", "float RGB"]
)
def test_tiff_that_pillow_does_not_know_is_refused(tmp_path, pixels):
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
    with pytest.raises(
        InputError, match=r"starts like a TIFF file but .* of a kind that Pillow does not know"
    ):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.gif"])
def test_palette_is_read_as_its_colours(tmp_path, name):
    palette = Pillow.fromarray(RGB).quantize(16)
    palette.save(tmp_path / name)
    same(read_image(tmp_path / name), np.asarray(palette.convert("RGB")), "P")


@pytest.mark.parametrize("alphas", [b"\x00\xff\xff", b"\x80\x00\xff"], ids=["hard", "soft"])
def test_palette_with_transparency_is_read_as_rgba(alphas):
    colours = bytes([1, 2, 3, 4, 5, 6, 7, 8, 9])
    data = png(3, 1, 8, 3, [b"\x00\x01\x02"], chunk(b"PLTE", colours), chunk(b"tRNS", alphas))
    expected = [[[1, 2, 3, alphas[0]], [4, 5, 6, alphas[1]], [7, 8, 9, alphas[2]]]]
    same(read_image(data), np.array(expected, np.uint8), "P")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.pbm"])
def test_1_bit_is_read_as_black_and_white(tmp_path, name):
    Pillow.fromarray(GRAY > 127).save(tmp_path / name)
    same(read_image(tmp_path / name), np.where(GRAY > 127, 255, 0).astype(np.uint8))


@pytest.mark.parametrize(
    ("bits", "row", "clear", "expected"),
    [
        (1, b"\xb0", 1, [255, 0, 255, 255]),
        (2, b"\x1b", 1, [0, 85, 170, 255]),
        (4, b"\x12\x34", 3, [17, 34, 51, 68]),
        (8, b"\x01\x02\x03\x04", 3, [1, 2, 3, 4]),
    ],
)
def test_transparent_shade_of_a_gray_png_becomes_alpha(bits, row, clear, expected):
    shade = clear * 255 // (2**bits - 1)
    alpha = [0 if value == shade else 255 for value in expected]
    assert 0 in alpha
    data = png(4, 1, bits, 0, [row], chunk(b"tRNS", struct.pack(">H", clear)))
    same(read_image(data), np.array([np.transpose([expected, alpha])], np.uint8))


def test_transparent_colour_of_an_rgb_png_becomes_alpha():
    data = png(2, 1, 8, 2, [bytes([1, 2, 3, 4, 5, 6])], chunk(b"tRNS", struct.pack(">3H", 4, 5, 6)))
    same(read_image(data), np.array([[[1, 2, 3, 255], [4, 5, 6, 0]]], np.uint8))


def test_content_decides_not_the_name(tmp_path):
    save_cv2(tmp_path / "a.png", RGB)
    path = (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert read_image(path).format == "PNG"


def test_bytes_and_pipe_read_like_the_file(tmp_path):
    save_cv2(tmp_path / "a.png", RGB)
    data = (tmp_path / "a.png").read_bytes()
    same(read_image(data), RGB)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    thread = threading.Thread(target=pipe.write_bytes, args=[data])
    thread.start()
    same(read_image(pipe), RGB)
    thread.join()


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.webp", "a.png"])
def test_page_of_several_is_chosen_or_the_first_with_a_warning(tmp_path, name):
    flat = [np.full((20, 31, 3), value, np.uint8) for value in (10, 120, 240)]
    first, *rest = map(Pillow.fromarray, flat)
    options = {"lossless": True} if name == "a.webp" else {}
    first.save(tmp_path / name, save_all=True, append_images=rest, **options)
    for page in range(3):
        image = read_image(tmp_path / name, page=page)
        np.testing.assert_array_equal(image.pixels[..., :3], flat[page])
        assert image.warnings == []
    image = read_image(tmp_path / name, name="many")
    np.testing.assert_array_equal(image.pixels[..., :3], flat[0])
    assert image.warnings == ["many has 3 pages; page 0 was read, --page N picks another"]
    for page in (3, -1):
        with pytest.raises(InputError, match=f"has 3 pages, 0 to 2; there is no page {page}"):
            read_image(tmp_path / name, page=page)


def test_page_of_a_single_one_must_be_0(tmp_path):
    save_cv2(tmp_path / "a.png", RGB)
    same(read_image(tmp_path / "a.png", page=0), RGB)
    with pytest.raises(InputError, match="has 1 page, number 0; there is no page 1"):
        read_image(tmp_path / "a.png", page=1)


def test_phone_photo_with_a_second_picture_is_a_jpeg(tmp_path):
    Pillow.fromarray(RGB).save(
        tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[Pillow.fromarray(RGB)]
    )
    image = read_image(tmp_path / "a.jpg")
    assert image.format == "JPEG"
    assert "has 2 pages" in image.warnings[0]


def test_limit_of_pixels_is_met_exactly(tmp_path):
    save_cv2(tmp_path / "a.png", RGB)
    same(read_image(tmp_path / "a.png", max_pixels=20 * 31), RGB)
    with pytest.raises(LimitError, match=r"a\.png has 620 pixels, over the limit of 619; raise --max-pixels"):
        read_image(tmp_path / "a.png", max_pixels=20 * 31 - 1)


def test_limit_holds_for_later_pages(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GRAY)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((50, 50), np.uint8), append=True)
    assert read_image(tmp_path / "a.tif", max_pixels=700).warnings
    with pytest.raises(LimitError, match="has 2,500 pixels, over the limit of 700"):
        read_image(tmp_path / "a.tif", page=1, max_pixels=700)


def test_pillow_is_left_as_it_was(tmp_path):
    before = Pillow.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    save_cv2(tmp_path / "a.png", RGB)
    read_image(tmp_path / "a.png", max_pixels=None, allow_truncated=True)
    with pytest.raises(LimitError):
        read_image(tmp_path / "a.png", max_pixels=1, allow_truncated=True)
    assert before == (Pillow.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def test_threads_do_not_see_each_others_options(tmp_path):
    save_cv2(tmp_path / "a.png", RGB)
    whole = (tmp_path / "a.png").read_bytes()
    cut = whole[: len(whole) // 2]
    wrong = []

    def tolerant():
        for _ in range(50):
            read_image(cut, allow_truncated=True)

    def strict():
        for _ in range(50):
            try:
                read_image(cut)
                wrong.append("a cut file was read")
            except InputError:
                pass

    threads = [threading.Thread(target=work) for work in (tolerant, strict, tolerant, strict)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_import_does_not_load_pillow_and_reading_loads_one_format():
    code = """
import sys
from convcli import images
assert "PIL" not in sys.modules
images.read_image(b"P5 1 1 255 a")
assert "PIL.TiffImagePlugin" not in sys.modules
assert "PIL.PdfImagePlugin" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
