"""Row, column and value of every entry other than 0, separated by commas."""

from __future__ import annotations

from typing import BinaryIO

from convcli.matrices.files.shared.census import lines_size
from convcli.matrices.files.shared.coo_text import write_lines
from convcli.matrices.matrix import Advance, Matrix

SUMMARY = "row,col,value of entries other than 0, counted from 0"
EXTENSIONS = ()
HOLDS_NAMES = True
IS_SPARSE = True
HEADER = b"row,col,value\n"


def write(file: BinaryIO, matrix: Matrix, advance: Advance) -> None:
    """Write a line of names, then a line per entry."""
    file.write(HEADER)
    write_lines(file, matrix, advance, separator=b",", base=0)


def size(matrix: Matrix) -> tuple[int, bool]:
    """Return about the bytes of the file."""
    return len(HEADER) + lines_size(matrix, base=0)[0], False
