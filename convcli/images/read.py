"""Image files to arrays: the type of the samples is kept, or the file is refused."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from convcli.arrays.library import Array
from convcli.errors import InputError
from convcli.images.formats import Format, Samples, recognise, table
from convcli.images.guard import guarded_reading
from convcli.images.image import Image
from convcli.images.metadata import read_metadata
from convcli.system.files import open_input, shown

if TYPE_CHECKING:
    from PIL import Image as PillowImage

MAX_PIXELS = 89_478_485  # Pillow's own limit: 256 MiB of RGB
HEAD_BYTES = 32
STRIP_PIXELS = 2**18

GRAY = ("1", "L", "LA", "La")


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
    """Read one page of an image file, or of its content; the type of the samples is kept.

    Gray, RGB and either with alpha keep their channels; a palette is read as RGB, or RGBA if it has
    transparency, 1-bit as 0 and 255. The EXIF orientation is applied. `name` is for messages; the rest are
    the options of the same names, and `max_pixels` None is no limit.

    >>> read_image(b"P5 3 1 255 abc", name="example").pixels
    array([[97, 98, 99]], dtype=uint8)
    """
    name = name or (shown(source) if isinstance(source, os.PathLike) else "standard input")
    with io.BytesIO(source) if isinstance(source, bytes) else open_input(source) as opened:
        file, head, kind = _recognised(opened, name)
        image = kind.read(file, max_pixels) if kind.read and not page else None
        if image is None:
            if not kind.pillow:
                raise InputError(f"{name} is damaged, or not a {kind.name} file of a kind that is read")
            file.seek(0)
            with guarded_reading(name, kind.name, max_pixels, allow_truncated):
                import_module(f"PIL.{kind.pillow}ImagePlugin")  # sparing Pillow the search through all 40
                from PIL import Image as Pillow

                with Pillow.open(file, formats=[kind.pillow.upper()]) as picture:
                    warnings = _turn_to_page(picture, page, name)
                    samples = kind.samples(picture, head)
                    _check_kind(picture, samples, name, allow_8bit=allow_8bit, to_rgb=to_rgb)
                    with kind.decoding():
                        picture.load()
                    image = _decoded(picture, samples)
            image.warnings = warnings + [f"{name}: {text}" for text in image.warnings]
    image.format = kind.name
    return image


def _decoded(picture: PillowImage.Image, samples: Samples) -> Image:
    from PIL import ImageOps

    mode = picture.mode
    try:
        ImageOps.exif_transpose(picture, in_place=True)
    except (MemoryError, OSError):
        raise
    except Exception:  # damaged EXIF has no orientation; reading the metadata says so
        pass
    metadata, warnings = read_metadata(picture)
    if mode == "CMYK":
        metadata = replace(metadata, icc=None)
        warnings.append("converted from CMYK without colour management")
    pixels = _pixels(picture, samples)
    return Image(pixels, pixels.ndim == 3 and pixels.shape[2] in (2, 4), "", mode, metadata, warnings)


def _recognised(opened: BinaryIO, name: str) -> tuple[BinaryIO, bytes, Format]:
    """Return a seekable file, its first bytes and its format."""
    try:
        head = opened.read(HEAD_BYTES)
        if not head:
            raise InputError(f"{name} is empty; an image was expected")
        kind = recognise(head)
        if kind is None or not kind.modes:
            names = " ".join(made.name for made in table().values() if made.modes)
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


def _check_kind(
    picture: PillowImage.Image, samples: Samples, name: str, *, allow_8bit: bool, to_rgb: bool
) -> None:
    mode, bits = picture.mode, samples.bits
    if mode == "CMYK" and not to_rgb:
        raise InputError(f"{name} is CMYK, and filters need RGB or gray; --to-rgb converts it")
    if mode in ("LAB", "HSV"):
        raise InputError(f"{name} is in {mode} colours, which are not read; save it as RGB")
    if samples.signed or (mode == "I" and bits > 16):
        sign = "signed" if samples.signed else "unsigned"
        raise InputError(
            f"{name} has {sign} {bits}-bit samples; unsigned 8 and 16 bits "
            "and 32-bit float are read, or any of them from .npy"
        )
    narrowed = mode not in ("I", "F") and not mode.startswith("I;16")
    if bits > 8 and (narrowed or "transparency" in picture.info) and not allow_8bit:
        raise InputError(
            f"{name} has 16-bit colour or alpha, which Pillow cuts to 8 bits; --allow-8bit accepts that"
        )


def _pixels(picture: PillowImage.Image, samples: Samples) -> Array:
    mode, bits, clear = picture.mode, samples.bits, picture.info.get("transparency")
    if mode == "I" or mode.startswith("I;16"):
        wide = _gathered(picture, mode).astype(np.uint16, copy=False)
        if samples.inverted:
            wide = ~wide
        if clear is None:
            return wide
        return np.stack([wide >> 8, np.where(wide == clear, 0, 255)], axis=-1).astype(np.uint8)
    if mode == "F":
        return _gathered(picture, mode)
    if mode in ("1", "L") and isinstance(clear, int) and clear < 2**bits:
        # A PNG of 1, 2 or 4 bits: Pillow stretches the samples to 8 bits, but not the transparent one.
        picture.info["transparency"] = clear * (255 // (2**bits - 1))
    colour = "L" if mode in GRAY or samples.gray else "RGB"
    return _gathered(picture, colour + ("A" if picture.has_transparency_data else ""))


def _gathered(picture: PillowImage.Image, mode: str) -> Array:
    """Convert a picture to an array strip by strip: at once, Pillow takes the memory twice more."""
    width, height = picture.size
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = picture.crop((0, top, width, min(top + rows, height)))
        samples = np.asarray(strip if strip.mode == mode else strip.convert(mode))
        if top == 0:
            output = np.empty((height, *samples.shape[1:]), samples.dtype)
        output[top : top + rows] = samples
    return output
