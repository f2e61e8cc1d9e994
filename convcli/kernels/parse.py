"""Decide what a kernel text is: a name, numbers, or a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from convcli.errors import UsageError
from convcli.kernels.cells import SEPARATOR, is_number, table
from convcli.kernels.files import has_known_extension, read_kernel_file
from convcli.kernels.kernel import Kernel, check_shape
from convcli.kernels.registry import build_named, names
from convcli.text import brief, nearest

GEOMETRY = re.compile(r"\s*(\d{1,9})(?:x(\d{1,9}))?(?:\+(\d{1,9})\+(\d{1,9}))?\s*:(.*)", re.ASCII | re.DOTALL)
NUMBER_START = re.compile(r"[+-]?\.?\d|[+-]?(nan|inf)\b|-$", re.ASCII | re.IGNORECASE)


def parse_kernel(text: str) -> Kernel:
    """Read a kernel the way ``-k`` does.

    Parameters
    ----------
    text : str
        A name with parameters (``gaussian:1.5``); rows of numbers (``0 -1 0; -1 5 -1; 0 -1 0``, or
        ``3x3: ...`` with ImageMagick's width × height and ``+X+Y`` origin); a file. A name wins
        over numbers, and both over a file that is called the same; ``@file`` is always a file.

    Raises
    ------
    UsageError
        For a text that is none of these, or has wrong parameters or cells.
    InputError
        For a file that is missing or does not hold a kernel.

    Examples
    --------
    >>> parse_kernel("1/4 1/2 1/4").values, parse_kernel("1/4 1/2 1/4").divisor
    (array([[1, 2, 1]]), 4.0)
    >>> parse_kernel("3x1+2+0: -1 0 1").origin
    (0, 2)
    """
    text = text.strip()
    if text.startswith("@"):
        return read_kernel_file(text[1:])
    kernel = build_named(text)
    if kernel is not None:
        return kernel
    if has_known_extension(text):
        return read_kernel_file(text)
    first, *others = re.split(r"[\s,;:]", text, maxsplit=1)
    started = NUMBER_START.match(first) and others
    if started or is_number(text) or (";" in text and "/" not in text):
        return parse_inline(text)
    if "/" in text or os.sep in text or os.path.exists(text):
        return read_kernel_file(text)
    name = text.partition(":")[0]
    close = nearest(name.lower(), names())
    hint = f'; did you mean "{close}"?' if close else ";"
    raise UsageError(f'unknown kernel "{brief(name)}"{hint} `convcli kernels` lists them')


def parse_inline(text: str) -> Kernel:
    """Read a 2-D kernel that is written out, in rows or as ImageMagick's ``WIDTHxHEIGHT+X+Y:CELLS``."""
    geometry = GEOMETRY.fullmatch(text)
    try:
        if geometry is None:
            lines = re.split(r"[;\n]", text.strip().removesuffix(";"))
            values, divisor = table((f"row {n}", line) for n, line in enumerate(lines, 1))
            return Kernel(values, "inline", divisor, scale=divisor)
        width, height = int(geometry[1]), int(geometry[2] or geometry[1])
        origin = (int(geometry[4]), int(geometry[3])) if geometry[3] else None
        values, divisor = table(_rows_of(geometry[5], height, width))
        return Kernel(values, "inline", divisor, origin=origin, scale=divisor)
    except UsageError as error:
        raise UsageError(f'kernel "{brief(text)}": {error}') from None


def _rows_of(body: str, height: int, width: int) -> Iterator[tuple[str, str]]:
    check_shape((height, width))
    cells = SEPARATOR.split(re.sub(r"[\r\n]", " ", body).strip(" "))
    if len(cells) != height * width or 0 in (height, width):
        raise UsageError(f"{width}x{height} (width × height) needs {width * height} cells, not {len(cells)}")
    for n in range(height):
        yield f"row {n + 1}", ",".join(cells[n * width : (n + 1) * width])
