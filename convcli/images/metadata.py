"""Colour profile, resolution and EXIF: read with distrust, written where they still apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convcli.images.formats import Format
from convcli.images.image import Metadata

if TYPE_CHECKING:
    from PIL import Image as PillowImage

# EXIF tags that stay true when pixels change: description, make, model, software, time, artist, copyright,
# and the blocks on camera and place, less width, height and interoperability.
KEPT, KEPT_BLOCKS = (270, 271, 272, 305, 306, 315, 33432), (34665, 34853)
STALE = (40962, 40963, 40965)

ICC_SPACE = slice(16, 20)  # of an ICC profile: the colour space it is for


def read_metadata(image: PillowImage.Image) -> tuple[Metadata, list[str]]:
    """Return what is worth keeping, and warnings about what was damaged."""
    warnings = []
    try:
        exif = _kept_exif(image)
    except Exception:  # hostile EXIF fails in any way; the pixels are good all the same
        exif = None
        warnings.append("damaged EXIF data were left out")
    icc = image.info.get("icc_profile")
    if not isinstance(icc, bytes) or len(icc) < ICC_SPACE.stop:
        icc = None
    return Metadata(icc, plausible_resolution(image.info.get("dpi")), exif), warnings


def save_options(metadata: Metadata, target: Format, *, colour: bool) -> dict[str, Any]:
    """Return options of Pillow's ``save`` that write `metadata` for an image in colour or gray.

    A profile for the other kind is left out, as viewers reject it.
    """
    options: dict[str, Any] = {}
    if target.icc and metadata.icc and metadata.icc[ICC_SPACE] == (b"RGB " if colour else b"GRAY"):
        options["icc_profile"] = metadata.icc
    if metadata.dpi:
        options["dpi"] = metadata.dpi
    if metadata.exif and len(metadata.exif) <= target.largest_exif:
        options["exif"] = metadata.exif
    return options


def _kept_exif(image: PillowImage.Image) -> bytes | None:
    from PIL import Image

    source, kept = image.getexif(), Image.Exif()
    found: dict[int, Any] = {tag: source.get(tag) for tag in KEPT}
    for block in KEPT_BLOCKS:
        found[block] = {tag: value for tag, value in source.get_ifd(block).items() if tag not in STALE}
    kept.update({tag: value for tag, value in found.items() if value})
    return kept.tobytes() if len(kept) else None


def plausible_resolution(dpi: Any) -> tuple[float, float] | None:
    """Return a resolution in pixels per inch, if it is one that every format can hold."""
    try:
        x, y = float(dpi[0]), float(dpi[1])
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return None
    return (x, y) if 1 <= x <= 65535 and 1 <= y <= 65535 else None
