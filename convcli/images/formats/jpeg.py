"""JPEG: gray or RGB of 8 bits, with loss; strips are encoded by Pillow on all processors, and joined.

A decoder starts anew at a restart marker, as an encoder does with a new file. So the strips of an image,
encoded as files of their own, are one file with such markers between them, to the last coefficient the
same as if encoded at once.

References
----------
ITU-T T.81, B.2.1 and B.2.4.4.
"""

from __future__ import annotations

import io
import os
import struct
from typing import Any, BinaryIO

from convcli.arrays.library import Array
from convcli.images.bands import encode_bands, packed
from convcli.images.formats import Format
from convcli.spec import ceil_div
from convcli.system.resources import cpu_count

BLOCK = 8  # pixels a side, without subsampling
STRIP_PIXELS = 2**20
MOST_BLOCKS = 2**16 - 1  # between two restart markers
SOI_BYTES, SOF0, SOS = 2, 0xC0, 0xDA
HEIGHT = 5  # where SOF0 has it, after marker, length and precision
RESTART, RESTARTS = 0xD0, 8
END_OF_IMAGE = b"\xff\xd9"


def write_jpeg(
    file: BinaryIO, pixels: Array, *, quality: int = 95, threads: int | None = None, **metadata: Any
) -> None:
    """Write a gray or RGB image, with colour in full resolution; `metadata` are Pillow's options.

    Only ``write`` of the file is used. The file is the same for any number of threads.
    """
    height, width = pixels.shape[:2]
    blocks = ceil_div(width, BLOCK)
    rows = BLOCK * max(1, min(STRIP_PIXELS // (BLOCK * width), MOST_BLOCKS // blocks))
    options = {"quality": quality, "subsampling": "4:4:4"}
    first = options | metadata
    if rows < height:
        first["restart_marker_blocks"] = blocks * rows // BLOCK

    def encode(top: int, bottom: int) -> bytes:
        return _encoded(pixels[top:bottom], options if top else first)

    strips = encode_bands(encode, height, rows, threads or cpu_count())
    at = _segment(strips[0], SOF0)[0] + HEIGHT
    strips[0] = strips[0][:at] + struct.pack(">H", height) + strips[0][at + 2 :]
    for number, strip in enumerate(strips):
        start = strip[_segment(strip, SOS)[1] :] if number else strip
        last = number == len(strips) - 1
        end = END_OF_IMAGE if last else bytes([0xFF, RESTART + number % RESTARTS])
        file.write(start.removesuffix(END_OF_IMAGE) + end)


def _encoded(strip: Array, options: dict[str, Any]) -> bytes:
    from PIL import Image as Pillow

    with _memory_file() as file:
        Pillow.fromarray(packed(strip)).save(file, format="JPEG", **options)
        file.seek(0)
        return file.read()


def _memory_file() -> BinaryIO:
    """Return a file with a descriptor if there is such a thing: only then Pillow lets other threads run."""
    try:
        return open(os.memfd_create("convcli"), "w+b")
    except (AttributeError, OSError):  # not Linux, or forbidden
        return io.BytesIO()


def _segment(strip: bytes, wanted: int) -> tuple[int, int]:
    """Return start and end of the first segment with a marker, in a file's head."""
    start = SOI_BYTES
    while True:
        marker, length = struct.unpack_from(">xBH", strip, start)
        if marker == wanted:
            return start, start + 2 + length
        start += 2 + length


FORMAT = Format(
    "JPEG",
    (".jpg", ".jpeg", ".jpe", ".jfif"),
    magic=rb"\xff\xd8\xff",
    modes="L RGB",
    rank=2,
    pillow="Jpeg",
    largest=65500,
    largest_exif=65533,
    level="quality",
    icc=True,
    write=write_jpeg,
    options=lambda _, quality: {"quality": quality or 95},
)
