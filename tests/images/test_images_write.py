"""Written files hold the very samples, say other decoders; what a format cannot hold is refused first."""

import io
import os
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from test_images_read import FLOAT, GRAY, GRAY16, RGB, RGB16, RGBA, RGBA16

from convcli.errors import FileError, UsageError
from convcli.images import Image, Metadata, check_holds, format_for, read_image, write_image

LA = RGBA[..., :2].copy()
BILEVEL = np.where(GRAY > 127, 255, 0).astype(np.uint8)
FEW = np.array([[1, 2, 3], [200, 100, 0], [255, 255, 255]], np.uint8)[GRAY % 3]
KINDS = {"gray": GRAY, "gray+alpha": LA, "rgb": RGB, "rgba": RGBA, "gray16": GRAY16, "float": FLOAT}
LOSSLESS = {
    ".png": ["gray", "gray+alpha", "rgb", "rgba", "gray16"],
    ".tif": ["gray", "gray+alpha", "rgb", "rgba", "gray16", "float"],
    ".webp": ["rgb", "rgba"],
    ".bmp": ["gray", "rgb"],
    ".gif": ["gray"],
    ".ppm": ["gray", "rgb", "gray16"],
    ".pgm": ["gray", "gray16"],
}
PAIRS = [(extension, kind) for extension, kinds in LOSSLESS.items() for kind in kinds]


def by_cv2(path):
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return image[..., [2, 1, 0, *range(3, image.shape[2])]] if image.ndim == 3 else image


def decode(path):
    """Read with a decoder that is not Pillow."""
    if path.suffix == ".tif":
        return tifffile.imread(path)
    if path.suffix == ".gif":
        return by_cv2(path)[..., 0]
    return by_cv2(path)


@pytest.mark.parametrize(("extension", "kind"), PAIRS)
def test_other_decoders_find_every_sample(tmp_path, extension, kind):
    path = tmp_path / f"a{extension}"
    write_image(path, Image(KINDS[kind]))
    expected = KINDS[kind]
    if (extension, kind) == (".png", "gray+alpha"):
        expected = expected[..., [0, 0, 0, 1]]  # as OpenCV returns it
    np.testing.assert_array_equal(decode(path), expected, strict=True)


@pytest.mark.parametrize(("extension", "kind"), PAIRS)
def test_what_is_written_is_read_unchanged(tmp_path, extension, kind):
    path = tmp_path / f"a{extension}"
    write_image(path, Image(KINDS[kind]))
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, KINDS[kind], strict=True)
    assert image.alpha == (kind in ("gray+alpha", "rgba"))


@pytest.mark.parametrize(("extension", "kind"), PAIRS)
def test_stream_and_pipe_get_the_same_bytes_as_a_file(tmp_path, extension, kind):
    path = tmp_path / f"a{extension}"
    write_image(path, Image(KINDS[kind]))
    stream = io.BytesIO()
    write_image(stream, Image(KINDS[kind]), format=extension[1:])
    assert stream.getvalue() == path.read_bytes()
    reading, writing = os.pipe()
    with open(writing, "wb") as pipe:
        write_image(pipe, Image(KINDS[kind]), format=extension)
    with open(reading, "rb") as pipe:
        assert pipe.read() == path.read_bytes()


@pytest.mark.parametrize("view", [np.s_[::-1], np.s_[:, ::2], np.s_[3:, 1:]], ids=str)
def test_views_are_written_as_they_read(tmp_path, view):
    for kind, pixels in KINDS.items():
        write_image(tmp_path / f"{kind}.tif", Image(pixels[view]))
        np.testing.assert_array_equal(tifffile.imread(tmp_path / f"{kind}.tif"), pixels[view])


def test_16_bit_colour_is_written_as_png(tmp_path):
    write_image(tmp_path / "a.png", Image(RGB16, metadata=Metadata(icc=bytes(16) + b"RGB ")))
    np.testing.assert_array_equal(by_cv2(tmp_path / "a.png"), RGB16, strict=True)
    with Pillow.open(tmp_path / "a.png") as picture:
        assert picture.info["icc_profile"] == bytes(16) + b"RGB "


def test_single_channel_axis_is_gray(tmp_path):
    write_image(tmp_path / "a.png", Image(GRAY[..., None]))
    np.testing.assert_array_equal(by_cv2(tmp_path / "a.png"), GRAY)


@pytest.mark.parametrize("pixels", [GRAY, RGB], ids=["gray", "rgb"])
def test_jpeg_is_close_and_keeps_colour_resolution(tmp_path, pixels):
    smooth = cv2.GaussianBlur(pixels, (0, 0), 3)
    write_image(tmp_path / "a.jpg", Image(smooth))
    assert np.abs(by_cv2(tmp_path / "a.jpg").astype(int) - smooth).max() <= 6
    with Pillow.open(tmp_path / "a.jpg") as picture:
        assert {layer[1:3] for layer in picture.layer} == {(1, 1)}


def test_quality_makes_jpeg_and_webp_smaller(tmp_path):
    for name in ("a.jpg", "a.webp"):
        sizes = []
        for quality in (None, 90, 20):
            write_image(tmp_path / name, Image(RGB), quality=quality, force=True)
            sizes.append((tmp_path / name).stat().st_size)
        assert sizes == sorted(sizes, reverse=True)


def test_compression_changes_the_size_not_the_pixels(tmp_path):
    smooth = np.add.outer(np.arange(300), np.arange(300)).astype(np.uint8)
    sizes = {}
    for level in (None, 0, 1, 9):
        write_image(tmp_path / "a.png", Image(smooth), compress=level, force=True)
        sizes[level] = (tmp_path / "a.png").stat().st_size
        np.testing.assert_array_equal(by_cv2(tmp_path / "a.png"), smooth)
    assert sizes[0] > sizes[1] >= sizes[9]
    assert sizes[None] == sizes[1]


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        (
            "a.jpg",
            "rgba",
            r"JPEG cannot hold alpha; use \.png or \.tif or \.webp or \.gif, or --alpha ignore",
        ),
        ("a.bmp", "rgba", "BMP cannot hold alpha; .* or --alpha ignore"),
        ("a.ppm", "gray+alpha", "PPM cannot hold alpha; .* or --alpha ignore"),
        (
            "a.jpg",
            "gray16",
            r"JPEG cannot hold uint16; use \.png or \.tif or \.ppm or \.pgm or \.npy, or --dtype uint8",
        ),
        ("a.webp", "gray16", "WEBP cannot hold uint16; .* or --dtype uint8"),
        ("a.bmp", "gray16", "BMP cannot hold uint16; .* or --dtype uint8"),
        ("a.gif", "gray16", "GIF cannot hold uint16; .* or --dtype uint8"),
        ("a.png", "float", r"PNG cannot hold float32; use \.tif or \.npy, or --dtype uint8"),
        ("a.jpg", "float", "JPEG cannot hold float32"),
        ("a.ppm", "float", "PPM cannot hold float32"),
        ("a.pgm", "rgb", "PGM cannot hold colour; .* or --gray"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_with_the_way_out(tmp_path, name, kind, text):
    pixels = KINDS[kind]
    with pytest.raises(UsageError, match=text):
        write_image(tmp_path / name, Image(pixels))
    with pytest.raises(UsageError, match=text):
        check_holds(format_for(name), pixels.shape, pixels.dtype)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("pixels", "text"),
    [
        (RGB16, r"TIFF cannot hold uint16 with 3 channels; use \.png or \.npy, or --dtype uint8"),
        (RGBA16, r"TIFF cannot hold uint16 with 4 channels; use \.npy, or --dtype uint8"),
        (np.dstack([FLOAT] * 3), r"TIFF cannot hold float32 with 3 channels; use \.npy, or --dtype uint8"),
        (FLOAT.astype(float), r"TIFF cannot hold float64; use \.npy, or --dtype uint8"),
        (np.zeros((3, 3, 5), np.uint8), "TIFF cannot hold 5 channels; images have 1 to 4"),
        (np.zeros((0, 3), np.uint8), "image 0×3 is empty; TIFF takes pixels"),
    ],
    ids=["rgb16", "rgba16", "float rgb", "float64", "5 channels", "empty"],
)
def test_what_tiff_does_not_hold_is_refused(tmp_path, pixels, text):
    with pytest.raises(UsageError, match=text):
        write_image(tmp_path / "a.tif", Image(pixels))


@pytest.mark.parametrize(("name", "side"), [("a.jpg", 65_501), ("a.webp", 16_384), ("a.gif", 65_536)])
def test_side_too_long_for_a_format_is_refused(tmp_path, name, side):
    with pytest.raises(
        UsageError, match=rf"1×{side} is too large for .*, which ends at {side - 1} pixels a side"
    ):
        write_image(tmp_path / name, Image(np.zeros((1, side), np.uint8)))
    write_image(tmp_path / name, Image(np.zeros((1, side - 1), np.uint8)))


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.eps", "png"])
def test_unknown_extension_is_refused_with_the_known_ones(tmp_path, name):
    with pytest.raises(
        UsageError, match=r"no extension of an image format; use one of \.png \.jpg .*, or --format"
    ):
        write_image(tmp_path / name, Image(GRAY))


@pytest.mark.parametrize("name", ["a.xyz", "a.PNG"])
def test_format_by_name_overrules_the_extension(tmp_path, name):
    for given, magic in (("png", b"\x89PNG"), ("TIFF", b"II*\0"), ("jpg", b"\xff\xd8")):
        write_image(tmp_path / name, Image(GRAY), format=given, force=True)
        assert (tmp_path / name).read_bytes().startswith(magic)


@pytest.mark.parametrize(
    ("option", "value"), [("compress", 10), ("compress", -1), ("quality", 0), ("quality", 101)]
)
def test_levels_out_of_range_are_refused(tmp_path, option, value):
    with pytest.raises(UsageError, match=f"--{option} {value} is not between"):
        write_image(tmp_path / "a.png", Image(GRAY), **{option: value})


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.gif"])
def test_palette_source_becomes_a_palette_again_without_loss(tmp_path, name):
    write_image(tmp_path / name, Image(FEW, mode="P"))
    with Pillow.open(tmp_path / name) as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), FEW)


def test_palette_of_256_close_colours_is_exact(tmp_path):
    colours = np.stack(np.unravel_index(np.arange(256), (4, 8, 8)), axis=-1).astype(np.uint8) + 100
    pixels = colours[np.arange(256 * 4) % 256].reshape(32, 32, 3)
    write_image(tmp_path / "a.png", Image(pixels, mode="P"))
    np.testing.assert_array_equal(by_cv2(tmp_path / "a.png"), pixels)
    with Pillow.open(tmp_path / "a.png") as picture:
        assert picture.mode == "P"


@pytest.mark.parametrize(("name", "mode"), [("a.png", "RGB"), ("a.tif", "RGB"), ("a.bmp", "RGB")])
def test_palette_source_with_too_many_colours_becomes_rgb(tmp_path, name, mode):
    write_image(tmp_path / name, Image(RGB, mode="P"))
    image = read_image(tmp_path / name)
    assert image.mode == mode
    np.testing.assert_array_equal(image.pixels, RGB)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.ppm"])
def test_palette_source_goes_to_formats_without_palettes(tmp_path, name):
    write_image(tmp_path / name, Image(FEW, mode="P"))
    assert read_image(tmp_path / name).mode == "RGB"


def test_palette_with_soft_transparency_is_exact_in_png_and_rgba_in_tiff(tmp_path):
    pixels = np.dstack([FEW, np.array([0, 128, 255], np.uint8)[GRAY % 3]])
    for name, mode in (("a.png", "P"), ("a.tif", "RGBA")):
        write_image(tmp_path / name, Image(pixels, alpha=True, mode="P"))
        image = read_image(tmp_path / name)
        assert image.mode == mode
        np.testing.assert_array_equal(image.pixels, pixels)


def test_gif_takes_alpha_from_half_up_as_opaque(tmp_path):
    pixels = np.dstack([FEW, np.array([0, 127, 255], np.uint8)[GRAY % 3]])
    write_image(tmp_path / "a.gif", Image(pixels, alpha=True))
    result = read_image(tmp_path / "a.gif").pixels
    opaque = pixels[..., 3] >= 128
    np.testing.assert_array_equal(result[..., 3], np.where(opaque, 255, 0))
    np.testing.assert_array_equal(result[opaque][:, :3], pixels[opaque][:, :3])


def test_gif_of_many_colours_is_near(tmp_path):
    y, x = np.mgrid[:64, :64].astype(np.uint8) * 4
    pixels = np.dstack([x, y, 255 - x])
    for image in (Image(pixels), Image(np.dstack([pixels, np.full_like(x, 255)]), alpha=True)):
        write_image(tmp_path / "a.gif", image, force=True)
        assert np.abs(read_image(tmp_path / "a.gif").pixels[..., :3].astype(int) - pixels).mean() < 16


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
def test_1_bit_source_stays_1_bit_while_black_and_white(tmp_path, name):
    write_image(tmp_path / name, Image(BILEVEL, mode="1"))
    image = read_image(tmp_path / name)
    np.testing.assert_array_equal(image.pixels, BILEVEL)
    with Pillow.open(tmp_path / name) as picture:
        assert picture.mode == "1"


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.pgm", "a.gif", "a.jpg"])
def test_1_bit_source_with_grays_becomes_8_bit(tmp_path, name):
    pixels = np.full((8, 8), 128, np.uint8)
    write_image(tmp_path / name, Image(pixels, mode="1"))
    np.testing.assert_array_equal(read_image(tmp_path / name).pixels, pixels)


def test_existing_file_is_overwritten_only_with_force(tmp_path):
    path = tmp_path / "a.png"
    write_image(path, Image(GRAY))
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"a\.png exists; use -f"):
        write_image(path, Image(RGB))
    assert path.read_bytes() == before
    write_image(path, Image(RGB), force=True)
    np.testing.assert_array_equal(by_cv2(path), RGB)


def test_output_may_replace_the_input_it_came_from(tmp_path):
    path = tmp_path / "a.tif"
    write_image(path, Image(RGB))
    image = read_image(path)
    write_image(path, replace(image, pixels=image.pixels[::-1]), force=True)
    np.testing.assert_array_equal(tifffile.imread(path), RGB[::-1])


@pytest.mark.parametrize("extension", LOSSLESS)
def test_disk_full_keeps_the_old_file_and_says_why(tmp_path, extension):
    path = tmp_path / f"a{extension}"
    path.write_bytes(b"old")
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from convcli.errors import ConvcliError
from convcli.images import Image, write_image
noise = np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
try:
    write_image(Path(sys.argv[1]), Image(noise), force=True)
except ConvcliError as error:
    print(error.exit_status, error)
"""
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().strip() == f"1 cannot write {path}: File too large; the old file is unchanged"
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [(path.name, b"old")]


def test_full_disk_behind_standard_output_is_named():
    with (
        open("/dev/full", "wb", buffering=0) as file,
        pytest.raises(FileError, match="cannot write standard output: No space left"),
    ):
        write_image(file, Image(GRAY), format="png")


ENCODERS = {"a.tif": "PIL.Image.Image.save", "a.png": "convcli.images.formats.png.write._data"}


@pytest.mark.parametrize("error", [ValueError("MemoryError"), MemoryError()])
@pytest.mark.parametrize("name", ENCODERS)
def test_failure_of_an_encoder_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, name, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(ENCODERS[name], fail)
    with pytest.raises(FileError, match=r"cannot write .*a\.(tif|png) as (TIFF|PNG): MemoryError"):
        write_image(tmp_path / name, Image(GRAY))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ENCODERS)
def test_interrupted_writing_leaves_the_old_file(tmp_path, monkeypatch, name):
    def fail(*arguments, **__):
        for file in arguments:  # of Pillow; ours has written the head by now
            if hasattr(file, "write"):
                file.write(b"half")
        raise KeyboardInterrupt

    (tmp_path / name).write_bytes(b"old")
    monkeypatch.setattr(ENCODERS[name], fail)
    with pytest.raises(KeyboardInterrupt):
        write_image(tmp_path / name, Image(GRAY), force=True)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [(name, b"old")]


def test_name_that_is_not_utf_8_is_written_and_read(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    write_image(path, Image(GRAY))
    np.testing.assert_array_equal(read_image(path).pixels, GRAY)
