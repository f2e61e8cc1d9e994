"""What is read from an image file, and written to one."""

from __future__ import annotations

from dataclasses import dataclass, field

from convcli.arrays.library import Array


@dataclass(frozen=True)
class Metadata:
    """Metadata of an image, as far as they still hold."""

    icc: bytes | None = None  # colour profile
    dpi: tuple[float, float] | None = None  # horizontal and vertical
    exif: bytes | None = None  # less orientation, which was applied, sizes and thumbnail, which do not fit


@dataclass(eq=False, repr=False)
class Image:
    """An image in memory, and the file that it came from."""

    pixels: Array  # (height, width) or (height, width, channels) of uint8, uint16 or float32
    alpha: bool = False  # whether the last channel is alpha, not premultiplied
    format: str = "PNG"
    mode: str = ""  # Pillow's mode of the source ("P", "1", "I;16", …), which is kept where it can be
    metadata: Metadata = Metadata()
    warnings: list[str] = field(default_factory=list)  # for the user
