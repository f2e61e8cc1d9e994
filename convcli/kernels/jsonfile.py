"""Kernels in JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from convcli.arrays.library import Array
from convcli.errors import UsageError
from convcli.kernels.kernel import MAX_CELLS, Kernel, check_shape, finite, place
from convcli.text import brief

MAX_LISTS = 2**20
KEYS = ("kernel", "divisor", "bias", "origin")
FACTS = ("name", "sum", "rank", "separable")  # which `convcli kernels SPEC --json` adds, ignored here
KINDS = {bool: "true or false", str: "text", list: "a list", dict: "an object", type(None): "null"}


def parse_json(content: bytes, name: str) -> Kernel:
    """Read nested lists, or an object that has them under ``kernel``, and may have the other `KEYS`.

    The origin is in image order, ``[x, y]``, as ``--origin`` is.

    >>> parse_json(b'{"kernel": [[1, 2, 1]], "divisor": 4, "origin": [2, 0]}', "row").origin
    (0, 2)
    """
    document = _load(content)
    if not isinstance(document, dict):
        document = {"kernel": document}
    unknown = [key for key in document if key not in (*KEYS, *FACTS)]
    if unknown:
        raise UsageError(f'unknown key "{brief(unknown[0])}"; the keys are {", ".join(KEYS)}')
    if "kernel" not in document:
        raise UsageError('the key "kernel" is missing; it holds the rows')
    return Kernel(
        _array(document["kernel"]),
        name,
        _number(document.get("divisor", 1.0), "divisor"),
        _number(document.get("bias", 0.0), "bias"),
        _origin(document.get("origin")),
    )


def _load(content: bytes) -> Any:
    # Counted before parsing, since an empty list takes twenty times its two bytes.
    if content.count(b",") > MAX_CELLS or content.count(b"[") + content.count(b"{") > MAX_LISTS:
        raise UsageError(f"it has more than {MAX_CELLS} values or {MAX_LISTS} lists, the limits")
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_not_finite)
    except UsageError:
        raise
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"line {line} is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise UsageError(f"line {error.lineno}, column {error.colno} is not JSON: {error.msg}") from None
    except RecursionError:
        raise UsageError("the lists are nested too deeply; a kernel has at most 3 axes") from None
    except ValueError:  # the interpreter's limit on the digits of an integer
        raise UsageError("a number in it has too many digits") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise UsageError(f"a key is written twice; each of {', '.join(KEYS)} stands once")
    return result


def _not_finite(text: str) -> None:
    raise UsageError(f'"{text}" is not a finite number; write 0 where the kernel has no cell')


def _number(value: Any, what: str) -> float:
    if type(value) not in (int, float):
        raise UsageError(f"{what} is {KINDS[type(value)]}, not a number")
    return finite(value, what)


def _origin(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    whole = isinstance(value, list) and all(type(n) is int and abs(n) < 2**31 for n in value)
    if not whole or len(value) > 3:
        raise UsageError("origin is not a list of whole numbers; write it as [x, y]")
    return tuple(reversed(value))


def _array(nested: Any) -> Array:
    """Turn nested lists into an array, level by level, so that depth cannot exhaust the stack."""
    shape: list[int] = []
    first = nested
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    if not 1 <= len(shape) <= 5:
        raise UsageError(
            f"the lists are nested {len(shape)} deep; a kernel has 1, 2 or 3 axes, a bank 2 more"
        )
    check_shape(shape)
    cells = [nested]
    for level, length in enumerate(shape):
        for index, cell in enumerate(cells):
            if not isinstance(cell, list) or len(cell) != length:
                where = f"{place(index, shape[:level], len(shape))} is not a list of {length} like the first"
                raise UsageError(f"{where}; all must be equally long")
        cells = [item for cell in cells for item in cell]
    for index, cell in enumerate(cells):
        if type(cell) not in (int, float):  # asked first, since naming a million places takes seconds
            _number(cell, place(index, shape))
    whole = all(isinstance(cell, int) and -(2**63) <= cell < 2**63 for cell in cells)
    try:
        return np.array(cells, dtype=np.int64 if whole else np.float64).reshape(shape)
    except OverflowError:
        raise UsageError("a number in it is too large") from None
