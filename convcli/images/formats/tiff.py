"""TIFF: every type of sample but 16-bit colour; BigTIFF where it has to be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from convcli.images.formats import Format, Samples

BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # tags
WHITE_IS_ZERO, SIGNED = 0, 2
CLASSIC_BYTES = 2**32 - 2**20  # offsets have 32 bits; some are left for tags


def _samples(picture: Any, _head: bytes) -> Samples:
    tags = picture.tag_v2
    return Samples(
        bits=int(max(tags.get(BITS, (1,)))),
        signed=SIGNED in tags.get(SAMPLE_FORMAT, ()),
        inverted=tags.get(PHOTOMETRIC) == WHITE_IS_ZERO,
    )


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keep what libtiff says, straight to descriptor 2, off the terminal; the exception tells as much."""
    try:
        kept = os.dup(2)
    except OSError:  # closed: there is nothing to keep clean
        yield
        return
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


FORMAT = Format(
    "TIFF",
    (".tif", ".tiff"),
    magic=rb"II\*\0|MM\0\*|II\+\0|MM\0\+",
    modes="1 L LA P RGB RGBA I;16 F",
    rank=3,
    pillow="Tiff",
    icc=True,
    options=lambda pixels, _: {"big_tiff": True} if pixels.nbytes > CLASSIC_BYTES else {},
    samples=_samples,
    decoding=_quiet_stderr,
)
