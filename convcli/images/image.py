"""What is read from an image file, and written to one."""

from __future__ import annotations

from dataclasses import dataclass, field

from convcli.arrays.library import Array


@dataclass(frozen=True)
class Metadata:
    """Metadata of an image.

    Attributes
    ----------
    icc : bytes, optional
        Colour profile.
    dpi : (float, float), optional
        Horizontal and vertical resolution, pixels per inch.
    exif : bytes, optional
        EXIF block, without orientation, which has been applied, nor sizes and thumbnail, which no longer fit.
    """

    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    exif: bytes | None = None


@dataclass(eq=False, repr=False)
class Image:
    """An image in memory.

    Attributes
    ----------
    pixels : (H, W) or (H, W, C) array of uint8, uint16 or float32
    alpha : bool
        Whether the last channel is alpha, not premultiplied.
    format, mode : str
        Format of the source ("PNG") and Pillow's mode of it ("P", "1", "I;16", …); a palette
        or 1-bit source is written as such again where the result allows it.
    metadata : Metadata
    warnings : list of str
        Messages for the user.
    """

    pixels: Array
    alpha: bool = False
    format: str = "PNG"
    mode: str = ""
    metadata: Metadata = Metadata()
    warnings: list[str] = field(default_factory=list)
