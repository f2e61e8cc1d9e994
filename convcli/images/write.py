"""Arrays to image files, in the kind of file they came from where it can still hold them."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from convcli.arrays.library import Array
from convcli.errors import FileError, UsageError
from convcli.images.bands import packed
from convcli.images.formats import Format, check_holds, format_for, format_named
from convcli.images.image import Image
from convcli.images.metadata import save_options
from convcli.system.files import atomic_write, shown, write_errors

if TYPE_CHECKING:
    from PIL import Image as PillowImage

PALETTE_COLOURS = 256


def write_image(
    target: Path | BinaryIO,
    image: Image,
    *,
    format: str | None = None,  # noqa: A002 - as the option is called
    force: bool = False,
    compress: int | None = None,
    strip: bool = False,
    quality: int | None = None,
    threads: int | None = None,
) -> None:
    """Write an image, whole or not at all; the file is the same for any number of threads.

    A palette source becomes a palette again if at most 256 colours came out, a 1-bit source 1-bit if only
    black and white did; both without loss. GIF takes the nearest 256 colours otherwise. The format is by
    default that of the extension, or the source's for a stream.
    """
    where = format_named(format or (format_for(target) if isinstance(target, Path) else image.format))
    pixels = image.pixels
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    mode = check_holds(where.name, pixels.shape, pixels.dtype)
    check_levels(compress, quality)
    options = where.options(pixels, {"compress": compress, "quality": quality}.get(where.level))
    pixels = where.adapted(pixels)
    if not strip:
        options |= save_options(image.metadata, where, colour=mode.startswith("RGB"))
    indexed = _indexed(pixels, mode, where, image.mode)
    encode: Callable[[BinaryIO], None]
    if where.write and indexed is None:
        encode = functools.partial(where.write, pixels=pixels, threads=threads, **options)
    else:
        picture, extra = indexed or (_from_array(pixels, mode), {})
        encode = functools.partial(_save_by_pillow, picture, where.pillow.upper(), options | extra)
    if isinstance(target, Path):
        with atomic_write(target, force=force) as file:
            _save(encode, file, where, shown(target))
    else:
        with write_errors(None):
            _save(encode, target, where, "standard output")
            target.flush()


def check_levels(compress: int | None, quality: int | None) -> None:
    """Refuse a level of compression or quality that no encoder knows."""
    if compress is not None and not 0 <= compress <= 9:
        raise UsageError(f"--compress {compress} is not between 0 (none) and 9 (smallest)")
    if quality is not None and not 1 <= quality <= 100:
        raise UsageError(f"--quality {quality} is not between 1 (smallest) and 100 (best)")


def _indexed(
    pixels: Array, mode: str, where: Format, source_mode: str
) -> tuple[PillowImage.Image, dict[str, Any]] | None:
    """Return a picture of 1 bit or with a palette, and options that belong to it, where that is kept."""
    if source_mode == "1" and mode == "L" and where.holds("1") and ((pixels == 0) | (pixels == 255)).all():
        from PIL import Image as Pillow

        return _from_array(pixels, mode).convert("1", dither=Pillow.Dither.NONE), {}
    palette = where.indexed or (source_mode in ("P", "PA") and where.holds("P"))
    if palette and mode in ("LA", "RGB", "RGBA"):
        return _with_palette(_from_array(pixels, mode), where)
    return None


def _from_array(pixels: Array, mode: str) -> PillowImage.Image:
    from PIL import Image as Pillow

    size = pixels.shape[1], pixels.shape[0]
    raw = {"I;16": "<u2", "F": "=f4"}.get(mode, "u1")
    data = packed(pixels).astype(raw, copy=False)
    return Pillow.frombuffer(mode, size, data, "raw", "F;32NF" if mode == "F" else mode, 0, 1)


def _with_palette(
    picture: PillowImage.Image, where: Format
) -> tuple[PillowImage.Image, dict[str, Any]] | None:
    """Index the colours of a picture, if they are few enough."""
    from PIL import Image as Pillow

    rgba = picture.convert("RGBA")
    colours = rgba.getcolors(PALETTE_COLOURS)
    if colours is None:
        return None
    table = np.sort(np.array([colour for _, colour in colours], np.uint8).view("<u4")[:, 0])
    channels = table.view(np.uint8).reshape(-1, 4)
    alpha = channels[:, 3]
    if alpha.min() < 255 and not where.palette_alpha:
        return None
    codes = np.searchsorted(table, np.asarray(rgba).view("<u4")[..., 0]).astype(np.uint8)
    indexed = Pillow.frombuffer("P", picture.size, codes, "raw", "P", 0, 1)
    indexed.putpalette(channels[:, :3].tobytes())
    if alpha.min() == 255 or not where.palette_alpha:
        return indexed, {}
    return indexed, {"transparency": where.palette_alpha(alpha)}


def _save_by_pillow(picture: PillowImage.Image, plugin: str, options: dict[str, Any], file: BinaryIO) -> None:
    buffer = None if file.seekable() else io.BytesIO()  # TIFF goes back to fill in offsets
    sink = buffer or file
    # Pillow given a descriptor writes past Python and forgets why the system refused: hide it.
    stream = SimpleNamespace(write=sink.write, flush=sink.flush, seek=sink.seek, tell=sink.tell)
    picture.save(stream, format=plugin, **options)
    if buffer is not None:
        file.write(buffer.getbuffer())


def _save(encode: Callable[[BinaryIO], None], file: BinaryIO, where: Format, name: str) -> None:
    try:
        encode(file)
    except OSError:
        raise
    except Exception as error:
        raise FileError(
            f"cannot write {name} as {where.name}: {str(error) or type(error).__name__}"
        ) from error
