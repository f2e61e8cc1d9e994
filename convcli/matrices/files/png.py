"""A picture of a matrix's structure."""

from __future__ import annotations

import io
from typing import BinaryIO

from convcli.matrices.matrix import Advance, Matrix

SUMMARY = "a picture of the structure"
EXTENSIONS = (".png",)
HOLDS_NAMES = True
IS_SPARSE = False
MEMORY_BYTES = 150 * 2**20


def write(file: BinaryIO, matrix: Matrix, advance: Advance) -> None:
    """Write the picture."""
    from convcli.images import Image, write_image
    from convcli.matrices.show.picture import picture

    buffer = io.BytesIO()  # an error of `file` is not for the encoder to report
    write_image(buffer, Image(picture(matrix, advance)), format="PNG", compress=6)
    file.write(buffer.getbuffer())


def size(matrix: Matrix) -> tuple[int, bool]:
    """Return about the bytes of the picture."""
    from convcli.matrices.show.picture import layout

    height, width = layout(matrix.shape).size
    return height * width // 10, False
