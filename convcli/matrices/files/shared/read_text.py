"""Matrices in text: a row per line, or an entry per line."""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from convcli.arrays.library import Array
from convcli.matrices.files.shared.request import Request
from convcli.matrices.matrix import Rows
from convcli.text import brief

TRIPLES = b"row,col,value"  # first line of a file that lists entries
PART_BYTES = 1 << 16  # split into cells at one time: as Python's objects they take many times more
SEPARATORS = {b",": "commas", b"\t": "tabs", b" ": "blanks"}
Line = tuple[int, bytes]


def read_rows(request: Request, separator: bytes) -> Rows:
    """Read one row per line, or after the line ``row,col,value`` one entry per line."""
    lines = lines_of(request)
    first = next(lines, None)
    if first is None:
        raise request.refusal("is empty; a matrix has at least one row")
    if first[1].replace(separator, b",") != TRIPLES:
        return table(request, itertools.chain([first], lines), separator)
    entries = table(request, lines, separator, width=3)
    if request.shape is None and not len(entries):
        raise request.refusal("has no entries, so its shape is unknown; write it as .npz or .mtx")
    return from_entries(request, entries, request.shape, first=0)


def from_entries(request: Request, entries: Array, shape: tuple[int, int] | None, first: int) -> Rows:
    """Put entries (row, column, value), counted from `first`, in a matrix; those at the same place add up."""
    from scipy.sparse import coo_array

    with np.errstate(invalid="ignore"):  # what is no int64 differs from what it is cast to
        places = entries[:, :2].astype(np.int64)
    wrong = (places != entries[:, :2]) | (places < first)
    places -= first
    if shape is None and not wrong.any():
        shape = int(places[:, 0].max()) + 1, int(places[:, 1].max()) + 1
    if shape is not None:
        request.limit_sparse(*shape)
        wrong |= places >= shape
    if wrong.any():
        number = int(np.argmax(wrong.any(axis=1)))
        row, column = entries[number, :2].tolist()
        size = f" in a matrix of {shape[0]}×{shape[1]}" if shape else ""
        raise request.refusal(
            f"has entry {number + 1} at row {row}, column {column}{size}; both are whole numbers from {first}"
        )
    matrix: Rows = coo_array((entries[:, 2], (places[:, 0], places[:, 1])), shape=shape).tocsr()
    return matrix


def lines_of(request: Request, comment: bytes = b"#", start: int = 1) -> Iterator[Line]:
    """Yield number and text of the lines that hold more than blanks and comments."""
    left = request.max_bytes
    for number in itertools.count(start):
        line = request.file.readline(left + 1)
        if not line:
            return
        left -= len(line)
        if left < 0:
            request.limit(request.max_bytes - left, "the text")
        text = line.removeprefix(b"\xef\xbb\xbf").partition(comment)[0].strip(b" \r\n")
        if text:
            yield number, text


def table(request: Request, lines: Iterable[Line], separator: bytes, width: int = 0) -> Array:
    """Read rows of numbers, of `width` cells where that is known: int64 if all are such, else float64."""
    values: array[Any] = array("q")
    for batch in _batches(request, lines, separator, width):
        width = width or batch[0][1].count(separator) + 1
        before = len(values)
        for part in _parts(separator.join(line for _, line in batch), separator):
            cells = part.split(separator)
            try:
                if b"_" in part:  # int() and float() would take it
                    raise ValueError
                values = _extended(values, cells)
            except ValueError:
                place, what = _fault(cells)
                row, column = divmod(len(values) - before + place, width)
                raise request.refusal(
                    f"has {what} in line {batch[row][0]}, cell {column + 1}; "
                    f"cells are numbers, separated by {SEPARATORS[separator]}"
                ) from None
        request.limit(8 * len(values), f"the matrix up to line {batch[-1][0]}")
    result: Array = np.frombuffer(values, np.int64 if values.typecode == "q" else np.float64)
    return result.reshape(-1, width)


def _batches(request: Request, lines: Iterable[Line], separator: bytes, width: int) -> Iterator[list[Line]]:
    """Yield lines of equally many cells, many at a time where they are short."""
    batch: list[Line] = []
    size = 0
    for number, line in lines:
        count = line.count(separator) + 1
        width = width or count
        if count != width:
            raise request.refusal(f"is ragged: line {number} has {count} cells, {width} are expected")
        batch.append((number, line))
        size += len(line)
        if size >= PART_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _parts(text: bytes, separator: bytes) -> Iterator[bytes]:
    """Cut a text between cells."""
    start, stop = 0, 0
    while stop >= 0:
        stop = text.find(separator, start + PART_BYTES)
        yield text[start:] if stop < 0 else text[start:stop]
        start = stop + 1


def _extended(values: array[Any], cells: list[bytes]) -> array[Any]:
    """Append cells; all become floats with the first that is not an int64. ValueError if one is no number."""
    if values.typecode == "q":
        try:
            values.fromlist([int(cell) for cell in cells])
            return values
        except (ValueError, OverflowError):
            values = array("d", values)
    floats = [float(cell) for cell in cells]
    if (math.inf in floats or -math.inf in floats) and not all(map(_is_number, cells)):
        raise ValueError
    values.fromlist(floats)
    return values


def _is_number(cell: bytes) -> bool:
    """Whether float() takes it, is not too generous, and does not overflow."""
    try:
        value = float(cell)
    except ValueError:
        return False
    return b"_" not in cell and (math.isfinite(value) or b"n" in cell.lower())  # as in inf and nan


def _fault(cells: list[bytes]) -> tuple[int, str]:
    """Find the first cell that is not a number, and say what it is."""
    place = next(n for n, cell in enumerate(cells) if not _is_number(cell))
    text = brief(cells[place].decode("utf-8", "backslashreplace"))
    return place, f'"{text}", which is not a number,' if text else "nothing"
