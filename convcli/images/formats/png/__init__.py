"""PNG: 8 or 16 bits, without loss; the common kinds are read and all are written without Pillow."""

from convcli.images.formats import Format, Samples
from convcli.images.formats.png.read import read_plain_png
from convcli.images.formats.png.write import write_png

DEPTH, COLOUR = 24, 25  # offsets in the file
GRAY_ALPHA = 4

FORMAT = Format(
    "PNG",
    (".png",),
    magic=rb"\x89PNG\r\n\x1a\n",
    modes="1 L LA P RGB RGBA I;16 RGB;16",
    rank=1,
    pillow="Png",
    level="compress",
    icc=True,
    palette_alpha=lambda alpha: alpha.tobytes(),
    read=read_plain_png,
    write=write_png,
    options=lambda _, compress: {"compress_level": 1 if compress is None else compress},
    samples=lambda _, head: Samples(bits=head[DEPTH], gray=head[COLOUR] == GRAY_ALPHA),
)
