"""Numbers, sizes and shapes put into words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


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


def bytes_text(count: float) -> str:
    """Write a number of bytes to three digits, in units of 1000.

    >>> bytes_text(285_212_672), bytes_text(900)
    ('285 MB', '900 bytes')
    """
    for unit, scale in (("EB", 1e18), ("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f} bytes"


def milliseconds(seconds: float) -> str:
    """Write a time to three digits or so.

    >>> milliseconds(0.01234), milliseconds(2.5)
    ('12.3 ms', '2500 ms')
    """
    value = seconds * 1e3
    return f"{value:.0f} ms" if value >= 100 else f"{value:.3g} ms"
