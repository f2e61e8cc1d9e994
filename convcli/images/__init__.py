"""Image files and the meaning of their samples; the only part of convcli that imports Pillow.

A new format is a new file in `formats`, which is the table of all. `read` and `write` go from files to an
`Image` and back, by what the table says; `guard` keeps Pillow's exceptions in, `metadata` sorts what travels
with the pixels, and `bands` encodes on all processors. `colour` knows what samples mean: light, luma, alpha,
ranges; `draw` prints text on pictures. Pillow is imported only where a file needs it.

The room may import `errors`, `text`, `spec`, `system` and `arrays`.
"""

from convcli.images.formats import check_holds, format_for
from convcli.images.image import Image, Metadata
from convcli.images.read import MAX_PIXELS, read_image
from convcli.images.write import write_image

__all__ = ["MAX_PIXELS", "Image", "Metadata", "check_holds", "format_for", "read_image", "write_image"]
