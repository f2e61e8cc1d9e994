"""PPM and its kin: gray or RGB of 8 bits, gray of 16, uncompressed."""

from __future__ import annotations

from typing import Any

from convcli.images.formats import Format, Samples


def _samples(picture: Any, _head: bytes) -> Samples:
    if picture.mode == "F":
        return Samples()
    arguments = picture.tile[0][3]  # (raw mode, largest value) unless that is 255
    return Samples(16 if isinstance(arguments, tuple) and int(arguments[-1]) > 255 else 8)


FORMAT = Format(
    "PPM", (".ppm", ".pnm"), magic=rb"P[1-6f]\s", modes="L RGB I;16", rank=7, pillow="Ppm", samples=_samples
)
