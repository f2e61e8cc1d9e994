"""Numbers, sizes, times and shapes put into words: every formatter that more than one place could need."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

BYTE_UNITS = (("EB", 10**18), ("PB", 10**15), ("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))
TIME_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))


def printable(text: str) -> str:
    """Escape control characters and their like, which could move the cursor or forge a line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def brief(text: str, limit: int = 60) -> str:
    r"""Make any text fit to stand in a one-line message.

    >>> brief("1 2\n\x1b[31m3")
    '1 2 \\x1b[31m3'
    """
    text = printable(" ".join(text[: limit * 4].split()))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def shape_text(shape: Iterable[int]) -> str:
    """Write a shape as people do.

    >>> shape_text((480, 640))
    '480×640'
    """
    return "×".join(str(n) for n in shape)


def nearest(word: str, choices: Sequence[str]) -> str | None:
    """Return the choice that a mistyped word is nearest to, if one is near.

    >>> nearest("gausian", ["box", "gaussian"])
    'gaussian'
    """
    import difflib

    return next(iter(difflib.get_close_matches(word[:60], choices, n=1)), None)


def counted(number: int, noun: str) -> str:
    """Write a number of things.

    >>> counted(1, "thread"), counted(2, "thread")
    ('1 thread', '2 threads')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def count_text(number: int) -> str:
    """Write a count in full up to nine digits.

    >>> count_text(118_013_952), count_text(12_331_253_760)
    ('118,013,952', '1.233e+10')
    """
    from decimal import Decimal

    return f"{number:,}" if number < 10**9 else f"{Decimal(number):.3e}"


def figures(value: float) -> str:
    """Write a number to three digits, without an exponent while it is short enough.

    >>> figures(0.01234), figures(12.34), figures(12345.6), figures(0)
    ('0.0123', '12.3', '12346', '0')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}" if decimals < 5 else f"{value:.1e}"


def json_text(value: Any) -> str:
    """Write a JSON document; JSON has no word for what is not finite but null.

    >>> json_text({"sum": 1.5, "rows": [[float("nan"), 2]]})
    '{"sum": 1.5, "rows": [[null, 2]]}'
    """
    import json

    return json.dumps(finite(value), allow_nan=False)


def finite(value: Any) -> Any:
    """Put None in the place of numbers that are not finite, at any depth."""
    if isinstance(value, dict):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def bytes_text(count: float) -> str:
    """Write a number of bytes to three digits, in units of 1000.

    >>> bytes_text(285_212_672), bytes_text(900)
    ('285 MB', '900 bytes')
    """
    for unit, scale in BYTE_UNITS:
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f} bytes"


def bytes_option(size: float) -> str:
    """Write an amount that is not less than so many bytes, as options take it.

    >>> bytes_option(37_234), bytes_option(2e15), bytes_option(5)
    ('37.3kB', '2000TB', '5B')
    """
    for unit, scale in BYTE_UNITS[2:]:
        if size >= scale:
            return f"{math.ceil(size * 10 / scale) / 10:.1f}".removesuffix(".0") + unit
    return f"{math.ceil(size)}B"


def time_unit(seconds: float) -> tuple[str, float, int]:
    """Return the unit that suits a time, its length in seconds, and the decimals that are worth writing.

    >>> time_unit(0.00123), time_unit(12.0)
    (('ms', 0.001, 3), ('s', 1.0, 2))
    """
    unit, scale = next((u for u in TIME_UNITS if seconds >= u[1]), TIME_UNITS[-1])
    return unit, scale, 3 if seconds < 10 * scale else 2 if seconds < 100 * scale else 1


def milliseconds(seconds: float) -> str:
    """Write a time to three digits or so.

    >>> milliseconds(0.01234), milliseconds(2.5)
    ('12.3 ms', '2500 ms')
    """
    value = seconds * 1e3
    return f"{value:.0f} ms" if value >= 100 else f"{value:.3g} ms"
