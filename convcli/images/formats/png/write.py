"""PNG files: rows filtered and deflated in bands, on all processors.

A picture is one zlib stream, but a stream may be flushed to a whole byte anywhere, and what follows
need not look back. So bands of rows are deflated apart and put one after the other.

References
----------
PNG (Third Edition), https://www.w3.org/TR/png-3/; RFC 1950 (zlib); RFC 1951 (deflate).
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from convcli.arrays.library import Array
from convcli.images.bands import encode_bands, packed
from convcli.system.resources import cpu_count

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by number of channels: gray, gray and alpha, RGB, RGBA
NONE, SUB, UP, AVERAGE, PAETH = range(5)
METRES_PER_INCH = 0.0254

BAND_BYTES = 2**20  # of rows and their filters
BLOCK_BYTES = 2**16  # memory of this size is used again; for more the system is asked each time
ZLIB_HEADER, LAST_BLOCK = b"\x78\x01", b"\x03\x00"
ADLER = 65521
RAW, MOST_MEMORY = -zlib.MAX_WBITS, 9
LAZY = 4  # the first level at which zlib weighs matches, and heeds a strategy


def write_png(
    file: BinaryIO,
    pixels: Array,
    *,
    compress_level: int = 1,
    icc_profile: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    exif: bytes | None = None,
    threads: int | None = None,
) -> None:
    """Write a gray or RGB image of 8 or 16 bits, with or without alpha, not empty.

    Level 1 takes the difference to the row above, and ``isal`` to deflate where that is installed. From
    level 2 on every row has the filter that leaves least, and zlib deflates. Only ``write`` of the file is
    used. The file is the same for any number of threads.
    """
    height, width = pixels.shape[:2]
    depth, colour = 8 * pixels.itemsize, COLOUR_TYPES[pixels[0, 0].size]
    file.write(SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)))
    if icc_profile:
        file.write(_chunk(b"iCCP", b"ICC Profile\0\0", zlib.compress(icc_profile)))
    if dpi:
        x, y = (round(number / METRES_PER_INCH) for number in dpi)
        file.write(_chunk(b"pHYs", struct.pack(">IIB", x, y, 1)))
    if exif:
        file.write(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    for chunk in _data(pixels, compress_level, threads or cpu_count()):
        file.write(chunk)
    file.write(_chunk(b"IEND"))


def _data(pixels: Array, level: int, threads: int) -> list[bytes]:
    """Return the chunks that hold the zlib stream."""

    def encode(top: int, bottom: int) -> tuple[bytes, int, int]:
        lines = _filtered(_raw(pixels, top, bottom), pixels[0, 0].nbytes, level)
        chunk = _chunk(b"IDAT", b"" if top else ZLIB_HEADER, *_deflated(lines, level))
        return chunk, zlib.adler32(lines.data), lines.nbytes

    rows = max(1, BAND_BYTES // (1 + pixels[0].nbytes))
    chunks, total = [], zlib.adler32(b"")
    for chunk, checksum, length in encode_bands(encode, len(pixels), rows, threads):
        chunks.append(chunk)
        total = _joined_adler(total, checksum, length)
    return [*chunks, _chunk(b"IDAT", LAST_BLOCK, struct.pack(">I", total))]


def _chunk(name: bytes, *data: bytes) -> bytes:
    checksum = zlib.crc32(name)
    for part in data:
        checksum = zlib.crc32(part, checksum)
    return b"".join([struct.pack(">I", _size(data)), name, *data, struct.pack(">I", checksum)])


def _joined_adler(first: int, second: int, length: int) -> int:
    """Return the Adler-32 of two parts by those of each, and the length of the second."""
    low = (first & 0xFFFF) - 1
    high = (first >> 16) + (second >> 16) + length * low
    return (high % ADLER) << 16 | (low + (second & 0xFFFF)) % ADLER


def _raw(pixels: Array, top: int, bottom: int) -> Array:
    """Return rows as bytes, behind the row above them, which is black above the first."""
    band = packed(pixels[max(top - 1, 0) : bottom])
    raw = band.astype(">u2" if band.itemsize == 2 else "u1", copy=False).view(np.uint8)
    raw = raw.reshape(len(band), -1)
    return raw if top else np.concatenate([np.zeros_like(raw[:1]), raw])


def _filtered(raw: Array, step: int, level: int) -> Array:
    """Return rows as the file has them, the number of a filter first; `raw` has the row above them, too."""
    rows, row_bytes = len(raw) - 1, raw.shape[1]
    lines = np.empty((rows, 1 + row_bytes), np.uint8)
    if level == 0:
        lines[:, 0], lines[:, 1:] = NONE, raw[1:]
    elif level == 1:
        lines[:, 0] = UP
        np.subtract(raw[1:], raw[:-1], out=lines[:, 1:])
    else:
        block = max(1, BLOCK_BYTES // row_bytes)
        for top in range(0, rows, block):
            _filter_best(raw[top : top + block + 1], step, lines[top : top + block])
    return lines


def _filter_best(raw: Array, step: int, lines: Array) -> None:
    """Filter each row by what leaves the least sum of absolute differences."""
    least = np.full(len(lines), np.inf)
    for number, guess in _guesses(raw, step):
        rest = raw[1:] - guess
        size = np.minimum(rest, -rest).sum(axis=1)
        better = size < least
        least[better] = size[better]
        lines[better, 0], lines[better, 1:] = number, rest[better]


def _guesses(raw: Array, step: int) -> Iterator[tuple[int, Array]]:
    """Yield what each filter expects of the rows but for the first."""
    left = np.zeros_like(raw)
    left[:, step:] = raw[:, :-step]
    above, corner, left = raw[:-1], left[:-1], left[1:]
    yield NONE, np.zeros_like(above)
    yield SUB, left
    yield UP, above
    yield AVERAGE, (left & above) + ((left ^ above) >> 1)
    yield PAETH, _paeth(left, above, corner)


def _paeth(left: Array, above: Array, corner: Array) -> Array:
    """Return of three neighbours the one nearest to left + above − corner, the first of equals.

    That is the corner only if it lies between the others, and they are not far from each other's distance.
    All in bytes: 16 times as fast as with numbers that hold the sum.
    """
    to_left, to_above = _distance(above, corner), _distance(left, corner)
    near, far = np.minimum(to_left, to_above), np.maximum(to_left, to_above)
    between = (np.minimum(left, above) < corner) & (corner < np.maximum(left, above))
    other = _either(to_left <= to_above, left, above)
    return _either(between & (far - near < near), corner, other)


def _distance(first: Array, second: Array) -> Array:
    return np.maximum(first, second) - np.minimum(first, second)


def _either(choice: Array, first: Array, second: Array) -> Array:
    mask: Array = np.negative(choice.view(np.uint8))  # all ones, or none
    return np.bitwise_xor(second, (first ^ second) & mask)


def _deflated(lines: Array, level: int) -> tuple[bytes, bytes]:
    """Return a piece of a deflate stream, up to a whole byte, in two parts."""

    def flushed(coder: Any) -> tuple[bytes, bytes]:
        return coder.compress(lines.data), coder.flush(zlib.Z_SYNC_FLUSH)

    if level == 1:
        with contextlib.suppress(ImportError):
            from isal import isal_zlib

            return flushed(isal_zlib.compressobj(2, isal_zlib.DEFLATED, RAW))
    settings = level, zlib.DEFLATED, RAW, MOST_MEMORY
    found = flushed(zlib.compressobj(*settings, zlib.Z_FILTERED))
    if level >= LAZY and _size(found) < lines.nbytes // 4:  # a drawing, which the usual way may do better
        found = min(found, flushed(zlib.compressobj(*settings, zlib.Z_DEFAULT_STRATEGY)), key=_size)
    return found


def _size(parts: tuple[bytes, ...]) -> int:
    return sum(map(len, parts))
