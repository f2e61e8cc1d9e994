"""GIF: at most 256 colours, each opaque or clear."""

from __future__ import annotations

import numpy as np

from convcli.arrays.library import Array
from convcli.images.formats import Format


def _one_bit_alpha(pixels: Array) -> Array:
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    opaque = pixels[..., -1:] >= 128
    return np.concatenate([pixels[..., :-1] * opaque, np.uint8(255) * opaque], axis=-1)


FORMAT = Format(
    "GIF",
    (".gif",),
    magic=rb"GIF8[79]a",
    modes="L LA P RGB RGBA",
    rank=6,
    pillow="Gif",
    largest=65535,
    indexed=True,
    palette_alpha=lambda alpha: int(alpha.argmin()),
    options=lambda *_: {"optimize": False},  # a full gray palette is read as gray again
    adapted=_one_bit_alpha,
)
