"""Image files; the only part of convcli that imports Pillow, and only when a file is read or written."""

from convcli.images.formats import check_holds, format_for
from convcli.images.image import Image, Metadata
from convcli.images.read import MAX_PIXELS, read_image
from convcli.images.write import write_image

__all__ = ["MAX_PIXELS", "Image", "Metadata", "check_holds", "format_for", "read_image", "write_image"]
