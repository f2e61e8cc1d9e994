"""PNG files of the common kinds, read without Pillow, which takes as long to load as a small one to filter.

What is uncommon, damaged or too large is left to Pillow: one place knows what to say of it.

References
----------
PNG (Third Edition), https://www.w3.org/TR/png-3/, chapters 5, 9 and 11.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from convcli.arrays import native
from convcli.images.formats import MODES
from convcli.images.formats.png.write import METRES_PER_INCH
from convcli.images.image import Image, Metadata
from convcli.images.metadata import plausible_resolution

BEFORE_CHUNKS = 8
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by colour type, of those without a palette
# Chunks of which nothing is kept, by their lengths, and texts likewise, by their keywords.
UNUSED = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"tIME": 7}
TEXTS = (b"Author", b"Comment", b"Copyright", b"Creation Time", b"Description", b"Software", b"Title")
MOST_OVERHEAD = 2**16  # bytes of a file beyond its samples
MOST_DEFLATED = 1032  # bytes that deflate can make of one


def read_plain_png(file: BinaryIO, max_pixels: int | None) -> Image | None:
    """Read gray or RGB of 8 bits, with or without alpha, neither interlaced nor animated.

    None for a file that is not of these kinds or not as it should be, and where convcli was not compiled.
    The file is at its start, and left anywhere.
    """
    if native.level() is None:
        return None
    head = file.read(BEFORE_CHUNKS + 25)
    if len(head) < BEFORE_CHUNKS + 25 or head[8:16] != b"\0\0\0\rIHDR":
        return None
    width, height, depth, colour, *methods = struct.unpack(">IIBBBBB", head[16:29])
    too_large = max_pixels is not None and width * height > max_pixels
    if depth != 8 or colour not in CHANNELS or any(methods) or 0 in (width, height) or too_large:
        return None
    step = CHANNELS[colour]
    size = height * (1 + width * step)
    try:
        present = file.seek(0, os.SEEK_END)
        if size > MOST_DEFLATED * present or present > size + size // 8 + MOST_OVERHEAD:
            return None
        file.seek(0)
        content = file.read(present)
    except OSError:
        return None
    found = _contents(memoryview(content))
    lines = found and _inflated(found[0], size)
    if not found or not lines:
        return None
    pixels = np.empty((height, width, step), np.uint8)
    if not native.unfilter(lines, pixels, step):
        return None
    if step == 1:
        pixels = pixels[..., 0]
    metadata = Metadata(dpi=plausible_resolution(found[1]))
    return Image(pixels, step in (2, 4), mode=MODES["uint8", step], metadata=metadata)


def _contents(file: memoryview) -> tuple[bytes, tuple[float, float] | None] | None:
    """Return the compressed samples and the resolution, if there is nothing else to know."""
    parts: list[memoryview] = []
    dpi = None
    last = b""
    for name, body in _chunks(file):
        if name == b"IEND":
            return b"".join(parts), dpi
        if name == b"IDAT" and (last == name or not parts):
            parts.append(body)
        elif name == b"pHYs" and len(body) == 9 and not parts:
            x, y, unit = struct.unpack(">IIB", body)
            dpi = (x * METRES_PER_INCH, y * METRES_PER_INCH) if unit == 1 else None
        elif name == b"tEXt" and bytes(body[:80]).partition(b"\0")[0] in TEXTS:
            pass
        elif UNUSED.get(name) != len(body) and (name != b"IHDR" or last):
            return None
        last = name
    return None


def _chunks(file: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield name and content of every chunk up to the first that is not whole."""
    place = BEFORE_CHUNKS
    while place + 12 <= len(file):
        (length,) = struct.unpack_from(">I", file, place)
        end = place + 8 + length
        if end + 4 > len(file) or file[end : end + 4] != struct.pack(">I", zlib.crc32(file[place + 4 : end])):
            return
        yield bytes(file[place + 4 : place + 8]), file[place + 8 : end]
        place = end + 4


def _inflated(data: bytes, size: int) -> bytes | None:
    """Decompress a stream that must have so many bytes, and never make more of it."""
    stream = zlib.decompressobj()
    try:
        lines = stream.decompress(data, size)
        more = stream.decompress(stream.unconsumed_tail, 1)  # the checksum
    except zlib.error:
        return None
    return lines if len(lines) == size and stream.eof and not more and not stream.unused_data else None
