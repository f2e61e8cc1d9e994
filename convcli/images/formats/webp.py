"""WEBP: 8 bits, with or without loss."""

from convcli.images.formats import Format

# Without loss, quality means effort; exact keeps colours under transparency.
LOSSLESS = {"lossless": True, "quality": 75, "method": 0, "exact": True}

FORMAT = Format(
    "WEBP",
    (".webp",),
    magic=b"RIFF....WEBP",
    modes="L LA RGB RGBA",
    rank=4,
    pillow="WebP",
    largest=16383,
    level="quality",
    icc=True,
    options=lambda _, quality: {"quality": quality} if quality else dict(LOSSLESS),
)
