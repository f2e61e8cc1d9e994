"""The usual PNG files are read without Pillow, to the same samples; all others are left to it."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow
from shell import COMPILED
from test_images_read import chunk, png

from convcli.arrays import native
from convcli.images import read_image
from convcli.images.formats.png.read import read_plain_png

RANDOM = np.random.default_rng(0)
SHAPES = {0: (7, 9), 4: (7, 9, 2), 2: (7, 9, 3), 6: (7, 9, 4)}
PIXELS = {colour: RANDOM.integers(0, 256, shape, np.uint8) for colour, shape in SHAPES.items()}


def filtered(pixels, filters):
    """Return the rows as PNG stores them, cell by cell as the standard says, the filters in turn."""
    step = pixels[0, 0].size
    rows = pixels.reshape(len(pixels), -1).astype(int)
    lines = b""
    for y, row in enumerate(rows):
        number = filters[y % len(filters)]
        lines += bytes([number])
        for x, value in enumerate(row):
            left = row[x - step] if x >= step else 0
            above = rows[y - 1, x] if y else 0
            corner = rows[y - 1, x - step] if y and x >= step else 0
            nearest = min((left, above, corner), key=lambda cell: abs(left + above - corner - cell))
            expected = (0, left, above, (left + above) // 2, nearest)[number]
            lines += bytes([(value - expected) % 256])
    return lines


def encoded(colour=2, lines=None, before=(), after=(), parts=1):
    """Return a file of 9×7 pixels, its data in so many chunks."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 7, 8, colour, 0, 0, 0))
    data = zlib.compress(filtered(PIXELS[colour], [4, 2]) if lines is None else lines)
    size = -(-len(data) // parts)
    data = [chunk(b"IDAT", data[n * size : (n + 1) * size]) for n in range(parts)]
    return b"".join((b"\x89PNG\r\n\x1a\n", header, *before, *data, *after, chunk(b"IEND", b"")))


def read(data, max_pixels=None):
    return read_plain_png(io.BytesIO(data), max_pixels)


@COMPILED
@pytest.mark.parametrize("colour", PIXELS)
@pytest.mark.parametrize("filters", [[0], [1], [2], [3], [4], [4, 3, 2, 1, 0]], ids=str)
def test_every_filter_is_undone(colour, filters):
    data = encoded(colour, filtered(PIXELS[colour], filters))
    pixels = read(data).pixels
    np.testing.assert_array_equal(pixels, PIXELS[colour], strict=True)
    np.testing.assert_array_equal(pixels, np.asarray(Pillow.open(io.BytesIO(data))), strict=True)
    assert read(data).metadata.dpi is None


@COMPILED
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (300, 200)])
def test_image_is_the_one_that_pillow_reads(mode, size, monkeypatch):
    file = io.BytesIO()
    Pillow.effect_noise(size, 60).convert(mode).save(file, "PNG", dpi=(300, 150))
    plain = read_image(file.getvalue())
    monkeypatch.setattr(native, "level", lambda: None)
    assert read(file.getvalue()) is None
    other = read_image(file.getvalue())
    np.testing.assert_array_equal(plain.pixels, other.pixels, strict=True)
    for name in ("alpha", "format", "mode", "metadata", "warnings"):
        assert getattr(plain, name) == getattr(other, name)


@COMPILED
@pytest.mark.parametrize(
    "options",
    [
        {"parts": 5},
        {"before": [chunk(b"gAMA", bytes(4)), chunk(b"sRGB", b"\0"), chunk(b"tEXt", b"Software\0x")]},
        {"after": [chunk(b"tIME", bytes(7))]},
        {"before": [chunk(b"pHYs", struct.pack(">IIB", 1, 2, 0))]},
    ],
)
def test_what_changes_nothing_is_skipped(options):
    image = read(encoded(**options) + b"anything")
    np.testing.assert_array_equal(image.pixels, PIXELS[2])
    assert image.metadata.dpi is None


def broken(data, place):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


LEFT_TO_PILLOW = {
    "palette": png(1, 1, 8, 3, [b"\0"], chunk(b"PLTE", b"abc")),
    "16 bits": png(1, 1, 16, 0, [b"\0\0"]),
    "1 bit": png(1, 1, 1, 0, [b"\0"]),
    "no colour type": png(1, 1, 8, 5, [b"\0"]),
    "no columns": png(0, 1, 8, 0, [b""]),
    "interlaced": encoded().replace(b"\0\0\0\x07\x08\x02\0\0\0", b"\0\0\0\x07\x08\x02\0\0\1"),
    "transparent colour": encoded(before=[chunk(b"tRNS", bytes(6))]),
    "EXIF": encoded(after=[chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0")]),
    "profile": encoded(before=[chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(200)))]),
    "text that may be EXIF": encoded(before=[chunk(b"tEXt", b"Raw profile type exif\0x")]),
    "XMP": encoded(before=[chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0x")]),
    "animated": encoded(before=[chunk(b"acTL", bytes(8))]),
    "odd length": encoded(before=[chunk(b"sRGB", b"")]),
    "two headers": encoded(before=[chunk(b"IHDR", bytes(13))]),
    "late resolution": encoded(after=[chunk(b"pHYs", bytes(9))]),
    "data in two places": encoded(after=[chunk(b"tIME", bytes(7)), chunk(b"IDAT", b"")]),
    "bad checksum": broken(encoded(), -16),
    "no end": encoded()[:-12],
    "cut short": encoded()[:-20],
    "only a header": encoded()[:30],
    "a row too few": encoded(lines=filtered(PIXELS[2][:6], [2])),
    "a row too many": encoded(lines=filtered(PIXELS[2], [2]) + bytes(28)),
    "unknown filter": encoded(lines=filtered(PIXELS[2], [0])[:-28] + b"\5" + bytes(27)),
    "no zlib stream": encoded().replace(b"\x78\x9c", b"\x78\x9d"),
}


@pytest.mark.parametrize("data", LEFT_TO_PILLOW.values(), ids=LEFT_TO_PILLOW)
def test_what_is_not_usual_or_not_right_is_left_to_pillow(data):
    assert read(data) is None


def test_more_than_the_limit_is_left_to_pillow():
    assert read(encoded(), max_pixels=62) is None


@COMPILED
def test_limit_is_met_exactly():
    assert read(encoded(), max_pixels=63) is not None


@COMPILED
def test_bad_adler_checksum_is_left_to_pillow():
    data = zlib.compress(filtered(PIXELS[2], [2]))
    file = encoded(lines=b"")
    body = file.index(b"IDAT") - 4
    assert read(file[:body] + chunk(b"IDAT", broken(data, -1)) + chunk(b"IEND", b"")) is None
    assert read(file[:body] + chunk(b"IDAT", data) + chunk(b"IEND", b"")) is not None


def test_a_head_that_promises_more_than_the_file_could_hold_is_left_to_pillow():
    head = struct.pack(">IIBBBBB", 0x7FFFFFFF, 0x7FFFFFFF, 8, 6, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(b"IHDR" + head))
    file = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + head + crc
    assert read_plain_png(io.BytesIO(file + bytes(100)), None) is None
