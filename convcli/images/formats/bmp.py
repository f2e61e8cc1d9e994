"""BMP: gray or RGB of 8 bits, uncompressed."""

from convcli.images.formats import Format

FORMAT = Format("BMP", (".bmp",), magic=b"BM", modes="1 L P RGB", rank=5, pillow="Bmp")
