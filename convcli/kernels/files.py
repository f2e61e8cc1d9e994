"""Kernels from files: one reader per kind of content, the checks they share, and their errors."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from convcli.errors import InputError, LimitError, UsageError
from convcli.images.colour import LUMA
from convcli.images.formats import table as image_formats
from convcli.kernels.cells import SEPARATOR, number, table
from convcli.kernels.kernel import LIMITS, MAX_CELLS, Kernel, check_shape
from convcli.text import brief

MAX_FILE_BYTES = 256 * 2**20
MAX_LINE_BYTES = 4 * 2**20
MAX_LINES = 2**20  # blank ones and comments included


def has_known_extension(path: str) -> bool:
    """Whether the name ends as the name of a kernel file does."""
    return _extension(path) in READERS


def read_kernel_file(path: str) -> Kernel:
    """Read a kernel file of the type that its extension names; errors name file, line and cell."""
    try:
        _check_file(path)
        return READERS[_extension(path)](path)
    except UsageError as error:  # a rule that was broken in a file is the file's fault
        raise InputError(f"{_title(path)}: {error}") from None
    except OSError as error:
        raise InputError(f"{_title(path)}: {error.strerror or error}") from None


def _title(path: str) -> str:
    return f"kernel file {brief(path, 200)}"


def _extension(path: str) -> str:
    return Path(path).suffix.lower()


def _check_file(path: str) -> None:
    """Refuse what should not even be opened: a folder, a device, a file of unknown type or size."""
    try:
        facts = os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name no file can have
        raise UsageError("no such file") from None
    if stat.S_ISDIR(facts.st_mode):
        raise UsageError("is a folder")
    if not has_known_extension(path):
        raise UsageError(f"the type is unknown; the name must end in {', '.join(READERS)}")
    if not stat.S_ISREG(facts.st_mode):
        raise UsageError("is not a regular file")
    if facts.st_size > MAX_FILE_BYTES:
        raise UsageError(f"{facts.st_size} bytes are too many; the limit is {MAX_FILE_BYTES // 2**20} MiB")


def read_text(path: str) -> Kernel:
    """Read ``.csv``, ``.tsv`` and ``.txt``: a row per line, ``#`` begins a comment.

    Cells are separated by commas, semicolons, tabs or blanks, and may be fractions.
    """
    with open(path, "rb") as file:
        values, divisor = table(_lines(file))
    return Kernel(values, Path(path).stem, divisor, scale=divisor)


def read_vips(path: str) -> Kernel:
    """Read a libvips matrix: ``width height [scale [offset]]``, then a row per line.

    The scale is the divisor and the offset the bias. The values stay as written: vips_conv() is a
    correlation, so ``--op correlate`` gives what it gives.
    """
    with open(path, "rb") as file:
        if file.read(6) == b"MATLAB":
            raise UsageError("is a MATLAB file, .mat here is the text of libvips; save it as .csv")
        file.seek(0)
        lines = _lines(file)
        where, header = next(lines, ("line 1", ""))
        try:
            numbers = [above / below for above, below in map(number, SEPARATOR.split(header))]
            width, height = (int(n) for n in numbers[:2])
            fits = [width, height] == numbers[:2] and min(width, height) > 0 and len(numbers) <= 4
        except ValueError:  # UsageError is one: not a number, or fewer than two
            fits = False
        if not fits:
            raise UsageError(f'{where} "{brief(header)}" is not "width height [scale [offset]]"')
        check_shape((height, width))
        values, divisor = table(lines)
    if values.shape != (height, width):
        rows, cells = values.shape
        raise UsageError(f"{where} promises {height} rows of {width} cells, but there are {rows} of {cells}")
    scale, offset = numbers[2:] + [1.0, 0.0][len(numbers) - 2 :]
    return Kernel(values, Path(path).stem, divisor * scale, offset, scale=divisor)


def _lines(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Yield ("line 3", text) for the lines that hold more than blanks and comments."""
    for n, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), 1):
        if len(line) > MAX_LINE_BYTES:
            raise UsageError(f"line {n} has more than {MAX_LINE_BYTES} bytes, the limit")
        if n > MAX_LINES:
            raise UsageError(f"there are more than {MAX_LINES} lines, the limit")
        try:
            text = line.decode("utf-8-sig" if n == 1 else "utf-8").partition("#")[0].strip(" \r\n")
        except UnicodeDecodeError:
            raise UsageError(f"line {n} is not UTF-8 text") from None
        if text:
            yield f"line {n}", text


def read_array(path: str) -> Kernel:
    """Read ``.npy``, or of ``.npz`` its only array, or the one called ``kernel``; it may be a bank."""
    limits: Any = {"max_bytes": MAX_FILE_BYTES, "name": _title(path)}
    if _extension(path) == ".npy":
        from convcli.arrays.npy import read_npy

        values = read_npy(Path(path), **limits)
    else:
        from convcli.arrays.npz import read_npz

        values = read_npz(path, member="kernel", **limits)
    check_shape(values.shape)
    return Kernel(values, Path(path).stem)


def read_json_kernel(path: str) -> Kernel:
    """Read ``.json``: nested lists, or an object with the key ``kernel``."""
    from convcli.kernels.jsonfile import parse_json

    with open(path, "rb") as file:
        return parse_json(file.read(), Path(path).stem)


def read_image_kernel(path: str) -> Kernel:
    """Read a picture of a point-spread function; the divisor is the sum of its pixels.

    Colours count by their Rec. 709 luma, alpha does not count.
    """
    from convcli.images import read_image

    try:
        pixels = read_image(Path(path), name=_title(path), max_pixels=MAX_CELLS).pixels
    except LimitError:  # it names an option, which would not help here
        raise UsageError(f"the picture is too large; {LIMITS}") from None
    check_shape(pixels.shape[:2])
    if pixels.ndim == 3:
        pixels = pixels[..., :3] @ np.array(LUMA) if pixels.shape[2] >= 3 else pixels[..., 0]
    total = float(pixels.sum(dtype=np.float64))
    if not total > 0:
        raise UsageError("the pixels sum to 0; a picture of a kernel needs light")
    return Kernel(pixels, Path(path).stem, total)


READERS = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), read_text),
    ".mat": read_vips,
    ".json": read_json_kernel,
    **dict.fromkeys((".npy", ".npz"), read_array),
    **{e: read_image_kernel for made in image_formats().values() if made.modes for e in made.extensions},
}
