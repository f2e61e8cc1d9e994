"""A JPEG file of strips is to the last pixel what Pillow makes of the whole image."""

import io
import os

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from convcli.images.formats import jpeg
from convcli.images.formats.jpeg import write_jpeg

EXIF = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"


@pytest.fixture(params=["descriptor", "memory"], autouse=True)
def where(request, monkeypatch):
    """Encode strips into files that the system keeps in memory, and where it has no such thing."""
    if request.param == "memory":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    elif not hasattr(os, "memfd_create"):
        pytest.skip("only Linux has files in memory")


@pytest.fixture
def small_strips(monkeypatch):
    monkeypatch.setattr(jpeg, "STRIP_PIXELS", 1)


def picture(*shape):
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2).reshape(shape)


def encoded(pixels, **options):
    file = io.BytesIO()
    write_jpeg(file, pixels, **options)
    return file.getvalue()


def by_pillow_at_once(pixels, quality=95, **options):
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:4:4", **options)
    return file.getvalue()


def decoders(data):
    with Pillow.open(io.BytesIO(data)) as image:
        yield np.asarray(image)
    yield cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def same(data, other):
    """Compare as two decoders read it; both complain of a damaged file, or fill it with gray."""
    for ours, theirs in zip(decoders(data), decoders(other), strict=True):
        np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.mark.parametrize("quality", [1, 50, 95, 100])
@pytest.mark.parametrize("channels", [(), (3,)], ids=["gray", "rgb"])
@pytest.mark.parametrize("size", [(8, 8), (9, 8), (16, 5), (17, 31), (100, 33), (201, 1)], ids=str)
@pytest.mark.usefixtures("small_strips")
def test_strips_hold_the_pixels_of_the_whole(size, channels, quality):
    pixels = picture(*size, *channels)
    same(encoded(pixels, quality=quality), by_pillow_at_once(pixels, quality))


def test_large_image_is_written_in_strips():
    pixels = picture(1100, 1000, 3)
    data = encoded(pixels)
    assert b"\xff\xd0" in data  # a restart marker: never a coefficient
    same(data, by_pillow_at_once(pixels))


def test_small_image_is_what_pillow_makes():
    pixels = picture(300, 400, 3)
    assert encoded(pixels) == by_pillow_at_once(pixels)


def test_widest_image_keeps_to_what_fits_between_restart_markers():
    pixels = picture(80, 65_500)
    same(encoded(pixels), by_pillow_at_once(pixels))


@pytest.mark.usefixtures("small_strips")
def test_comparison_of_these_tests_finds_a_strip_out_of_place():
    pixels = picture(40, 24)
    with pytest.raises(AssertionError):
        same(encoded(np.roll(pixels, 8, axis=0)), by_pillow_at_once(pixels))


@pytest.mark.usefixtures("small_strips")
def test_number_of_threads_does_not_change_the_file():
    pixels = picture(100, 33, 3)
    one, two, five = (encoded(pixels, threads=threads) for threads in (1, 2, 5))
    assert one == two == five


@pytest.mark.usefixtures("small_strips")
def test_arrays_need_not_be_contiguous():
    pixels = picture(40, 50, 3)
    for view in (np.asfortranarray(pixels), pixels[::-1, ::2], pixels[..., ::-1], pixels[..., 1]):
        assert encoded(view) == encoded(np.array(view, order="C"))


@pytest.mark.usefixtures("small_strips")
def test_metadata_are_in_the_file_once():
    profile = bytes(1000)
    data = encoded(picture(40, 50, 3), dpi=(300, 150), exif=EXIF, icc_profile=profile)
    with Pillow.open(io.BytesIO(data)) as image:
        assert image.info["dpi"] == (300, 150)
        assert image.info["exif"] == EXIF
        assert image.info["icc_profile"] == profile
    assert (data.count(EXIF), data.count(b"JFIF"), data.count(b"ICC_PROFILE")) == (1, 1, 1)


@pytest.mark.usefixtures("small_strips")
def test_write_is_all_that_a_stream_needs():
    class Sink:
        def __init__(self):
            self.parts = []

        def write(self, data):
            self.parts.append(bytes(data))

    sink, pixels = Sink(), picture(40, 50)
    write_jpeg(sink, pixels)
    assert b"".join(sink.parts) == encoded(pixels)
    assert len(sink.parts) == 5
