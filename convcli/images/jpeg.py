"""JPEG files: strips encoded by Pillow on all processors, and joined.

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
from collections.abc import Iterator
from typing import Any, BinaryIO

from convcli.arrays.library import Array
from convcli.images.bands import encode_bands, packed
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
    r"""Write a gray or RGB image, with colour in full resolution.

    Parameters
    ----------
    file : BinaryIO
        Only its ``write`` is used.
    pixels : (H, W) or (H, W, 3) array of uint8
        Need not be contiguous.
    quality : int
        1 to 100.
    threads : int, optional
        By default one for each processor. The file is the same for any number.
    **metadata
        Pillow's options.

    Examples
    --------
    >>> import numpy as np
    >>> file = io.BytesIO()
    >>> write_jpeg(file, np.zeros((3, 5), np.uint8))
    >>> file.getvalue()[:2]
    b'\xff\xd8'
    """
    height, width = pixels.shape[:2]
    blocks = -(-width // BLOCK)
    rows = BLOCK * max(1, min(STRIP_PIXELS // (BLOCK * width), MOST_BLOCKS // blocks))
    options = {"quality": quality, "subsampling": "4:4:4"}
    first = options | metadata
    if rows < height:
        first["restart_marker_blocks"] = blocks * rows // BLOCK

    def encode(top: int, bottom: int) -> bytes:
        return _encoded(pixels[top:bottom], options if top else first)

    strips = encode_bands(encode, height, rows, threads or cpu_count())
    for number, strip in enumerate(strips):
        start = _with_height(strip, height) if number == 0 else strip[_scan(strip) :]
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


def _with_height(strip: bytes, height: int) -> bytes:
    start = next(start for marker, start, _ in _segments(strip) if marker == SOF0)
    at = start + HEIGHT
    return strip[:at] + struct.pack(">H", height) + strip[at + 2 :]


def _scan(strip: bytes) -> int:
    """Return where the coefficients begin."""
    return next(end for marker, _, end in _segments(strip) if marker == SOS)


def _segments(strip: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of the segments of a file's head."""
    start = SOI_BYTES
    while True:
        marker, length = struct.unpack_from(">xBH", strip, start)
        yield marker, start, start + 2 + length
        start += 2 + length
