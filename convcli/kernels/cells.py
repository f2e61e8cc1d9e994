"""Rows of numbers in text, shared by inline kernels and text files."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from convcli.arrays.library import Array
from convcli.errors import UsageError
from convcli.kernels.kernel import EXACT_FLOAT, MAX_AXIS, check_shape
from convcli.text import brief

MAX_DENOMINATOR = 2**24
MAX_NUMBER_LENGTH = 1000

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
SEPARATOR = re.compile(r" *[,;\t] *| +")  # between two tabs or commas is an empty cell, not nothing


def number(text: str) -> tuple[int | float, int]:
    """Read a number such as ``3``, ``-0.5``, ``1e-3`` or ``1/9`` as numerator and denominator.

    The denominator is 1 unless the text is a fraction of whole numbers, and is at most 2**24.

    >>> number("-1/9"), number("2.50")
    ((-1, 9), (2.5, 1))
    """
    above, slash, below = text.partition("/")
    numerator, denominator = _plain(above, text), _plain(below, text) if slash else 1
    if denominator == 0:
        raise UsageError(f'"{brief(text)}" divides by zero')
    if isinstance(numerator, int) and isinstance(denominator, int) and abs(denominator) <= MAX_DENOMINATOR:
        return (numerator, denominator) if denominator > 0 else (-numerator, -denominator)
    return _finite(float(numerator) / float(denominator), text), 1


def is_number(text: str) -> bool:
    """Whether `text` is written as a number or a fraction, be it a valid one or not."""
    parts = text.split("/")
    return len(parts) <= 2 and all(NUMBER.fullmatch(part) for part in parts)


def _plain(part: str, text: str) -> int | float:
    if not NUMBER.fullmatch(part) or len(part) > MAX_NUMBER_LENGTH:
        if part.lstrip("+-").lower() in ("", "nan", "inf", "infinity") and part:
            raise UsageError(f'"{brief(text)}" is not a finite number; write 0 where the kernel has no cell')
        if not text:
            raise UsageError("is empty; write 0, or remove the separator")
        raise UsageError(f'"{brief(text)}" is not a number; write 3, -0.5, 1e-3 or 1/9')
    value = _finite(float(part), text)
    if part.lstrip("+-").isdigit() and -(2**63) <= int(part) < 2**63:
        return int(part)
    return int(value) if value.is_integer() and abs(value) <= EXACT_FLOAT else value


def _finite(value: float, text: str) -> float:
    if not math.isfinite(value):
        raise UsageError(f'"{brief(text)}" is too large')
    return value


def row(text: str, where: str) -> tuple[Array, NDArray[np.int64] | None]:
    """Read numerators and denominators (None: all 1) of a row; `where` is for messages."""
    tokens = SEPARATOR.split(text.strip(" \r\n"), maxsplit=MAX_AXIS)
    if len(tokens) > MAX_AXIS:
        raise UsageError(f"{where} has more than {MAX_AXIS} cells, the limit")
    if text.isascii() and "_" not in text:  # int() and float() take more than a kernel may hold
        quick = _quick(tokens)
        if quick is not None:
            return quick, None
    pairs = []
    for position, token in enumerate(tokens, 1):
        try:
            pairs.append(number(token))
        except UsageError as error:
            raise UsageError(f"{where}, cell {position} {error}") from None
    numerators, denominators = zip(*pairs, strict=True)
    whole = all(isinstance(n, int) and n < 2**63 for n in numerators)
    values = np.array(numerators, dtype=np.int64 if whole else np.float64)
    return values, np.array(denominators, dtype=np.int64)


def _quick(tokens: list[str]) -> Array | None:
    """Read plain numbers a hundred times faster than `number`; None where that could differ."""
    try:
        return np.array([int(t) for t in tokens], dtype=np.int64)
    except (ValueError, OverflowError):
        pass
    try:
        values = np.array([float(t) for t in tokens])
    except ValueError:
        return None
    return values if bool((np.abs(values) < EXACT_FLOAT).all()) else None  # NaN fails the comparison too


def table(rows: Iterable[tuple[str, str]]) -> tuple[Array, float]:
    """Read values (height, width) and their divisor from (place, text) pairs, one per row.

    Fractions of whole numbers become whole numbers over their common denominator, if that is at most 2**24.

    >>> table([("row 1", "1/9 1/9"), ("row 2", "2/9, 1/3")])
    (array([[1, 1],
           [2, 3]]), 9.0)
    """
    above: list[Array] = []
    below: list[NDArray[np.int64] | None] = []
    for where, text in rows:
        numerators, denominators = row(text, where)
        above.append(numerators)
        below.append(denominators)
        width, first = len(numerators), len(above[0])
        if width != first:
            cells = f"{width} cells where the first row has {first}"
            raise UsageError(f"{where} has {cells}; rows must be equally long")
        check_shape((len(above), width))
    if not above:
        raise UsageError("there is no number in it; a kernel needs at least one cell")
    if all(denominators is None for denominators in below):
        return np.stack(above), 1.0
    ones = np.ones(len(above[0]), dtype=np.int64)
    return _over_common_denominator(np.stack(above), np.stack([ones if d is None else d for d in below]))


def _over_common_denominator(numerators: Array, denominators: NDArray[np.int64]) -> tuple[Array, float]:
    common = 1
    for denominator in np.unique(denominators).tolist():
        common = math.lcm(common, denominator)
        if common > MAX_DENOMINATOR:
            break
    if common == 1:
        return numerators, 1.0
    largest = float(np.abs(numerators.astype(np.float64)).max())
    if common > MAX_DENOMINATOR or numerators.dtype != np.int64 or largest * common >= 2**63:
        return numerators / denominators, 1.0
    values = numerators * (common // denominators)
    shared = math.gcd(common, int(np.gcd.reduce(values, axis=None)))
    return values // shared, float(common // shared)
