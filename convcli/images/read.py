"""Image files to arrays: the type of the samples is kept, or the file is refused."""

from __future__ import annotations

import io
import os
from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from convcli.arrays.library import Array
from convcli.errors import InputError
from convcli.images.formats import FORMATS, MODES, Format, recognise
from convcli.images.guard import guarded_reading, quiet_stderr
from convcli.images.image import Image, Metadata
from convcli.images.metadata import plausible_resolution, read_metadata
from convcli.images.plainpng import read_plain_png
from convcli.system.files import open_input, shown

if TYPE_CHECKING:
    from PIL import Image as PillowImage

MAX_PIXELS = 89_478_485  # Pillow's own limit: 256 MiB of RGB
HEAD_BYTES = 32
STRIP_PIXELS = 2**18

GRAY = ("1", "L", "LA", "La")
PNG_DEPTH, PNG_COLOUR = 24, 25  # offsets in the file
PNG_GRAY_ALPHA = 4
TIFF_BITS, TIFF_SAMPLE_FORMAT, TIFF_PHOTOMETRIC = 258, 339, 262
TIFF_SIGNED = 2


def read_image(
    source: Path | bytes,
    *,
    name: str | None = None,
    page: int | None = None,
    max_pixels: int | None = MAX_PIXELS,
    allow_truncated: bool = False,
    allow_8bit: bool = False,
    to_rgb: bool = False,
) -> Image:
    """Read one page of an image file.

    Gray, RGB and either with alpha keep their channels; a palette is read as RGB, or RGBA if it has
    transparency, 1-bit as 0 and 255. The EXIF orientation is applied.

    Parameters
    ----------
    source : Path or bytes
        The file, or its content.
    name : str, optional
        What messages call it.
    page : int, optional
        Page or frame, from 0; by default the first, with a warning if there are more.
    max_pixels : int or None
        Refuse more, before decoding; None for no limit.
    allow_truncated : bool
        Take what is there of an incomplete file.
    allow_8bit : bool
        Take the high bytes of 16-bit colour, which Pillow cannot hold.
    to_rgb : bool
        Convert CMYK, without colour management.

    Returns
    -------
    image : Image

    Raises
    ------
    InputError
        For a file that is missing, not an image, damaged, or of a kind that would lose something.
    LimitError
        For more than `max_pixels`.

    Examples
    --------
    >>> image = read_image(b"P5 3 1 255 abc", name="example")
    >>> image.pixels
    array([[97, 98, 99]], dtype=uint8)
    """
    name = name or (shown(source) if isinstance(source, os.PathLike) else "standard input")
    with io.BytesIO(source) if isinstance(source, bytes) else open_input(source) as opened:
        file, head, kind = _recognised(opened, name)
        if kind.name == "PNG" and not page:
            plain = read_plain_png(file, max_pixels)
            if plain is not None:
                return _plain_image(*plain)
            file.seek(0)
        with guarded_reading(name, kind, max_pixels=max_pixels, allow_truncated=allow_truncated):
            import_module(f"PIL.{kind.module}")  # sparing Pillow the search through all 40
            from PIL import Image as Pillow

            with Pillow.open(file, formats=[kind.name]) as picture:
                warnings = _turn_to_page(picture, page, name)
                bits = _bits(picture, kind, head)
                _check_kind(picture, bits, name, allow_8bit=allow_8bit, to_rgb=to_rgb)
                gray_alpha = kind.name == "PNG" and head[PNG_COLOUR] == PNG_GRAY_ALPHA
                image = _decoded(picture, bits, gray_alpha=gray_alpha)
    image.format = kind.name
    image.warnings = warnings + [f"{name}: {text}" for text in image.warnings]
    return image


def _plain_image(pixels: Array, dpi: tuple[float, float] | None) -> Image:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    metadata = Metadata(dpi=plausible_resolution(dpi))
    return Image(pixels, channels in (2, 4), "PNG", MODES["uint8", channels], metadata)


def _decoded(picture: PillowImage.Image, bits: int, *, gray_alpha: bool) -> Image:
    mode = picture.mode
    with quiet_stderr() if picture.format == "TIFF" else nullcontext():
        picture.load()
    _turn_upright(picture)
    metadata, warnings = read_metadata(picture)
    if mode == "CMYK":
        metadata = replace(metadata, icc=None)
        warnings.append("converted from CMYK without colour management")
    pixels = _pixels(picture, bits, gray=gray_alpha)
    return Image(pixels, pixels.ndim == 3 and pixels.shape[2] in (2, 4), "", mode, metadata, warnings)


def _recognised(opened: BinaryIO, name: str) -> tuple[BinaryIO, bytes, Format]:
    """Return a seekable file, its first bytes and its format."""
    try:
        head = opened.read(HEAD_BYTES)
        if not head:
            raise InputError(f"{name} is empty; an image was expected")
        kind = recognise(head)
        if kind is None:
            names = " ".join(made.name for made in FORMATS.values())
            raise InputError(
                f"{name} is not an image that convcli reads: it starts with {head[:8]!r}; {names} are read"
            )
        if opened.seekable():
            opened.seek(0)
            return opened, head, kind
        return io.BytesIO(head + opened.read()), head, kind
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}") from None


def _turn_to_page(picture: PillowImage.Image, page: int | None, name: str) -> list[str]:
    pages = getattr(picture, "n_frames", 1)
    if not 0 <= (page or 0) < pages:
        plural = f"pages, 0 to {pages - 1}" if pages > 1 else "page, number 0"
        raise InputError(f"{name} has {pages} {plural}; there is no page {page}")
    if page:
        picture.seek(page)
    if page is None and pages > 1:
        return [f"{name} has {pages} pages; page 0 was read, --page N picks another"]
    return []


def _bits(picture: Any, kind: Format, head: bytes) -> int:
    """Bits of a sample in the file, which Pillow's mode no longer tells."""
    if kind.name == "PNG":
        return head[PNG_DEPTH]
    if kind.name == "TIFF":
        return int(max(picture.tag_v2.get(TIFF_BITS, (1,))))
    if kind.name == "PPM" and picture.mode != "F":
        arguments = picture.tile[0][3]  # (raw mode, largest value) unless that is 255
        return 16 if isinstance(arguments, tuple) and int(arguments[-1]) > 255 else 8
    return 8


def _check_kind(picture: Any, bits: int, name: str, *, allow_8bit: bool, to_rgb: bool) -> None:
    mode = picture.mode
    if mode == "CMYK" and not to_rgb:
        raise InputError(f"{name} is CMYK, and filters need RGB or gray; --to-rgb converts it")
    if mode in ("LAB", "HSV"):
        raise InputError(f"{name} is in {mode} colours, which are not read; save it as RGB")
    tags = getattr(picture, "tag_v2", {})
    signed = "signed" if TIFF_SIGNED in tags.get(TIFF_SAMPLE_FORMAT, ()) else "unsigned"
    if signed == "signed" or (mode == "I" and bits > 16):
        raise InputError(
            f"{name} has {signed} {bits}-bit samples; unsigned 8 and 16 bits "
            "and 32-bit float are read, or any of them from .npy"
        )
    narrowed = mode not in ("I", "F") and not mode.startswith("I;16")
    if bits > 8 and (narrowed or "transparency" in picture.info) and not allow_8bit:
        raise InputError(
            f"{name} has 16-bit colour or alpha, which Pillow cuts to 8 bits; --allow-8bit accepts that"
        )


def _turn_upright(picture: PillowImage.Image) -> None:
    from PIL import ImageOps

    try:
        ImageOps.exif_transpose(picture, in_place=True)
    except (MemoryError, OSError):
        raise
    except Exception:  # damaged EXIF has no orientation; reading the metadata says so
        return


def _pixels(picture: PillowImage.Image, bits: int, *, gray: bool) -> Array:
    mode, clear = picture.mode, picture.info.get("transparency")
    if mode == "I" or mode.startswith("I;16"):
        samples = _gathered(picture, mode).astype(np.uint16, copy=False)
        if getattr(picture, "tag_v2", {}).get(TIFF_PHOTOMETRIC) == 0:
            samples = ~samples  # white is zero
        if clear is None:
            return samples
        return np.stack([samples >> 8, np.where(samples == clear, 0, 255)], axis=-1).astype(np.uint8)
    if mode == "F":
        return _gathered(picture, mode)
    if mode in ("1", "L") and isinstance(clear, int) and clear < 2**bits:
        # A PNG of 1, 2 or 4 bits: Pillow stretches the samples to 8 bits, but not the transparent one.
        picture.info["transparency"] = clear * (255 // (2**bits - 1))
    colour = "L" if mode in GRAY or gray else "RGB"
    return _gathered(picture, colour + ("A" if picture.has_transparency_data else ""))


def _gathered(picture: PillowImage.Image, mode: str) -> Array:
    """Convert a picture to an array strip by strip: at once, Pillow takes the memory twice more."""
    width, height = picture.size
    rows = max(1, STRIP_PIXELS // width)
    output = None
    for top in range(0, height, rows):
        strip = picture.crop((0, top, width, min(top + rows, height)))
        samples = np.asarray(strip if strip.mode == mode else strip.convert(mode))
        if output is None:
            output = np.empty((height, *samples.shape[1:]), samples.dtype)
        output[top : top + rows] = samples
    assert output is not None  # Pillow opens no image without rows
    return output
