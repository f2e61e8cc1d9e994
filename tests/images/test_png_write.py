"""PNG files hold every sample and every chunk, say decoders that share no code with their writer."""

import io
import os
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageCms
from shell import within

from convcli.errors import FileError
from convcli.images import Image, write_image
from convcli.images.formats.png import write as png
from convcli.images.formats.png.write import write_png

SIZES = [(1, 1), (1, 9), (9, 1), (7, 5), (16, 8), (23, 31)]
KINDS = [(dtype, channels) for dtype in (np.uint8, np.uint16) for channels in (1, 2, 3, 4)]
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
SAMPLES = Path(__file__).parents[2] / "sample_images"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(params=["isal", "zlib"])
def packer(request, monkeypatch):
    """Write with each of the libraries that deflate; without isal as if it were not installed."""
    if request.param == "isal":
        pytest.importorskip("isal")
    else:
        monkeypatch.setitem(sys.modules, "isal", None)


@pytest.fixture
def small_bands(monkeypatch):
    """Make bands of a few rows, and blocks of fewer, of pictures that are quick to check."""
    monkeypatch.setattr(png, "BAND_BYTES", 300)
    monkeypatch.setattr(png, "BLOCK_BYTES", 130)


def encoded(pixels, **options):
    file = io.BytesIO()
    write_png(file, pixels, **options)
    return file.getvalue()


def chunks(data):
    """Take a file apart, and check what can be checked of any."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        assert zlib.crc32(name + body) == checksum
        found.append((name, body))
        at += 12 + length
    return found


def lines(data):
    """Return the filter of each row with its bytes; zlib checks the sum of them all."""
    found = chunks(data)
    head = dict(found)[b"IHDR"]
    width, height, depth, colour = struct.unpack_from(">IIBB", head)
    step = CHANNELS[colour] * depth // 8
    packed = zlib.decompress(b"".join(body for name, body in found if name == b"IDAT"))
    rows = np.frombuffer(packed, np.uint8).reshape(height, 1 + width * step)
    return rows[:, 0].tolist(), rows[:, 1:].tolist(), (height, width, CHANNELS[colour]), depth, step


def decode(data):
    """Undo the filters as the standard says it, byte for byte."""
    filters, rows, shape, depth, step = lines(data)
    above = [0] * len(rows[0])
    for number, row in zip(filters, rows, strict=True):
        for i, rest in enumerate(row):
            a, c = (row[i - step], above[i - step]) if i >= step else (0, 0)
            b = above[i]
            distances = abs(b - c), abs(a - c), abs(a + b - 2 * c)
            paeth = (a, b, c)[distances.index(min(distances))]
            row[i] = (rest + (0, a, b, (a + b) // 2, paeth)[number]) % 256
        above = row
    samples = np.array(rows, np.uint8).view(">u2" if depth == 16 else "u1").reshape(shape)
    return samples.astype(np.uint16 if depth == 16 else np.uint8)


def picture(shape, dtype=np.uint8, seed=0):
    """Draw something smooth here, rough there and flat elsewhere, so that every filter has its rows."""
    random = np.random.default_rng(seed)
    smooth = np.add.outer(np.arange(shape[0]) * 5, np.arange(shape[1]) * 3)[..., None]
    result = (smooth * np.arange(1, 1 + shape[2])).astype(np.uint16)
    result[::3] += random.integers(0, 1000, result[::3].shape, np.uint16)
    result[shape[0] // 2 : shape[0] // 2 + 4] = 300
    return result.astype(dtype)


@pytest.mark.parametrize("level", [0, 1, 2, 6, 9])
@pytest.mark.parametrize(("dtype", "channels"), KINDS)
@pytest.mark.usefixtures("packer", "small_bands")
def test_every_sample_is_in_the_file(dtype, channels, level):
    for size in SIZES:
        pixels = picture((*size, channels), dtype)
        data = encoded(pixels, compress_level=level)
        np.testing.assert_array_equal(decode(data), pixels, strict=True)


def by_pillow(data):
    with Pillow.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def by_opencv(data):
    """Decode with OpenCV, which returns gray and alpha as BGR and alpha."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("level", [0, 1, 6])
@pytest.mark.parametrize(("dtype", "channels"), KINDS)
@pytest.mark.usefixtures("packer")
def test_other_decoders_agree(dtype, channels, level):
    pixels = np.random.default_rng(0).integers(0, 2000, (700, 801, channels), np.uint16).astype(dtype)
    data = encoded(pixels, compress_level=level)
    assert len([name for name, _ in chunks(data) if name == b"IDAT"]) > channels * pixels.itemsize // 2
    order = {1: [0], 2: [0, 0, 0, 1], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    np.testing.assert_array_equal(by_opencv(data), pixels[..., order].squeeze())
    if dtype == np.uint8 or channels == 1:  # Pillow has no other modes of 16 bits
        np.testing.assert_array_equal(by_pillow(data), pixels.squeeze())


def test_decoder_of_these_tests_finds_damage():
    data = encoded(picture((23, 31, 3)))
    where = data.index(b"IDAT") + 20
    damaged = data[:where] + bytes([data[where] ^ 1]) + data[where + 1 :]
    with pytest.raises(AssertionError):
        decode(damaged)


@given(st.data())
def test_any_array_survives(data):
    shape = (data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12)), data.draw(st.integers(1, 4)))
    top = data.draw(st.sampled_from([2, 4, 256, 65536]))
    dtype = np.uint16 if top > 256 or data.draw(st.booleans()) else np.uint8
    pixels = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, top, shape, np.uint16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(png, "BAND_BYTES", data.draw(st.integers(1, 200)))
        patch.setattr(png, "BLOCK_BYTES", data.draw(st.integers(1, 200)))
        found = encoded(pixels.astype(dtype), compress_level=data.draw(st.integers(0, 9)))
    np.testing.assert_array_equal(decode(found), pixels)


@pytest.mark.parametrize("level", [0, 1, 6])
@pytest.mark.usefixtures("packer", "small_bands")
def test_number_of_threads_does_not_change_the_file(level):
    pixels = picture((60, 31, 3))
    one, two, five = (encoded(pixels, compress_level=level, threads=threads) for threads in (1, 2, 5))
    assert one == two == five


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "turn",
    [
        np.asfortranarray,
        lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, -1, 0)), 0, -1),
        lambda a: a[::-1],
        lambda a: a[:, ::2],
        lambda a: a[..., ::-1],
        lambda a: a[3:, 1:, 0],
        lambda a: a.transpose(1, 0, 2),
        lambda a: a.astype(a.dtype.newbyteorder(">")),
    ],
    ids=["Fortran", "planes", "upside down", "every other", "BGR", "one channel", "turned", "big-endian"],
)
@pytest.mark.usefixtures("small_bands")
def test_arrays_need_not_be_contiguous(turn, dtype):
    pixels = turn(picture((23, 31, 3), dtype))
    same = np.array(pixels, dtype, order="C")
    data = encoded(pixels)
    assert data == encoded(same)
    np.testing.assert_array_equal(decode(data).squeeze(), same)


def test_contiguous_pixels_are_not_copied():
    pixels = np.zeros((4, 5, 3), np.uint8)
    assert np.shares_memory(png.packed(pixels[1:3]), pixels)


def test_each_row_has_the_filter_that_leaves_least():
    rows = np.random.default_rng(0).integers(0, 256, (12, 300), np.uint8)
    rows[1] = 5
    rows[3] = np.cumsum(rows[3] % 3)
    rows[5] = rows[4] + rows[5] % 3
    for i in range(1, 300):
        rows[7, i] = (int(rows[7, i - 1]) + int(rows[6, i])) // 2
        a, b, c = (int(v) for v in (rows[9, i - 1], rows[8, i], rows[8, i - 1]))
        rows[9, i] = min((a, b, c), key=lambda v, p=a + b - c: abs(p - v))
    filters, *_ = lines(encoded(rows, compress_level=6))
    assert [filters[i] for i in (3, 5, 7, 9)] == [png.SUB, png.UP, png.AVERAGE, png.PAETH]
    assert set(lines(encoded(rows, compress_level=0))[0]) == {png.NONE}
    assert set(lines(encoded(rows, compress_level=1))[0]) == {png.UP}


@pytest.mark.usefixtures("packer")
def test_files_are_about_as_small_as_those_of_pillow():
    for name in ("coffee.png", "camera.png", "chart.png", "logo.png"):
        with Pillow.open(SAMPLES / name) as image:
            for level, most in ((1, 1.9 if name == "chart.png" else 1.05), (6, 1.05), (9, 1.05)):
                file = io.BytesIO()
                image.save(file, "PNG", compress_level=level)
                assert len(encoded(np.asarray(image), compress_level=level)) < most * file.tell()


def test_higher_levels_are_smaller():
    with Pillow.open(SAMPLES / "coffee.png") as image:
        pixels = np.asarray(image)
    sizes = [len(encoded(pixels, compress_level=level)) for level in (0, 1, 3, 6, 9)]
    assert sizes == sorted(sizes, reverse=True)
    assert pixels.nbytes < sizes[0] < 1.01 * pixels.nbytes


@pytest.mark.parametrize("exif", [b"II*\0\x08\0\0\0\0\0\0\0\0\0", b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"])
def test_metadata_are_what_pillow_would_write(exif):
    options = {"icc_profile": SRGB, "dpi": (300.0, 71.9836), "exif": exif}
    file = io.BytesIO()
    pixels = picture((7, 5, 3))
    Pillow.fromarray(pixels).save(file, "PNG", **options)
    data = encoded(pixels, **options)
    ours, theirs = ([c for c in chunks(d) if c[0] != b"IDAT"] for d in (data, file.getvalue()))
    assert ours == theirs
    assert [name for name, _ in ours] == [b"IHDR", b"iCCP", b"pHYs", b"eXIf", b"IEND"]
    np.testing.assert_array_equal(decode(data), pixels)


def test_without_metadata_there_are_no_such_chunks():
    assert {name for name, _ in chunks(encoded(GRAY))} == {b"IHDR", b"IDAT", b"IEND"}


GRAY = picture((40, 50, 1))[..., 0]


class Sink:
    """A stream that can do nothing but `write`."""

    def __init__(self, limit=None):
        self.parts, self.limit = [], limit

    def write(self, data):
        if self.limit is not None and len(self.parts) >= self.limit:
            raise OSError(28, os.strerror(28))
        self.parts.append(bytes(data))


def test_write_is_all_that_a_stream_needs_and_it_is_called_once_a_chunk():
    sink = Sink()
    write_png(sink, GRAY, dpi=(300, 300))
    assert b"".join(sink.parts) == encoded(GRAY, dpi=(300, 300))
    assert len(sink.parts) == 5


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_full_disk_is_an_error_of_the_system(limit):
    with pytest.raises(OSError, match="No space left"):
        write_png(Sink(limit), GRAY)


@pytest.mark.parametrize(
    ("error", "raised", "text"),
    [
        (MemoryError(), FileError, "cannot write .*a.png as PNG: MemoryError"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
)
@pytest.mark.usefixtures("small_bands")
def test_failure_in_a_band_leaves_the_old_file(tmp_path, monkeypatch, error, raised, text):
    def fail(lines, level):
        if calls:
            raise error
        calls.append(level)
        return deflated(lines, level)

    calls, deflated = [], png._deflated
    monkeypatch.setattr(png, "_deflated", fail)
    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(raised, match=text):
        write_image(tmp_path / "a.png", Image(GRAY), force=True, threads=2)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.png", b"old")]


@pytest.mark.parametrize("command", ["convolve coffee.png -k box:3", "deconvolve camera.png -k box:3 -n 1"])
def test_as_many_threads_encode_as_are_asked_for(command, monkeypatch, tmp_path):
    asked, encode_bands = [], png.encode_bands

    def watched(encode, height, rows, threads):
        asked.append(threads)
        return encode_bands(encode, height, rows, threads)

    monkeypatch.setattr(png, "encode_bands", watched)
    name, photo, *options = command.split()
    samples = Path(__file__).parents[2] / "sample_images"
    done = within(name, samples / photo, *options, "--threads", "3", "-o", "out.png", cwd=tmp_path)
    assert (done.status, asked) == (0, [3])
