"""The image formats convcli takes: how each is recognised, and what it can hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convcli.errors import UsageError
from convcli.system.files import shown

# Pillow's mode of an array, by its sample type and number of channels; RGB;16 is our own.
MODES = {
    ("uint8", 1): "L",
    ("uint8", 2): "LA",
    ("uint8", 3): "RGB",
    ("uint8", 4): "RGBA",
    ("uint16", 1): "I;16",
    ("uint16", 3): "RGB;16",
    ("float32", 1): "F",
}


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes
    ----------
    name : str
        Pillow's, except for PGM, which Pillow counts as PPM.
    extensions : tuple of str
        The first is the one that messages recommend.
    module : str
        Of Pillow, that reads and writes it.
    magic : bytes
        Regular expression that the first bytes of a file match; empty if another format reads it.
    modes : frozenset of str
        Modes, as in `MODES`, that a file keeps without loss, "1" and "P" included.
    largest : int
        Most pixels per side.
    """

    name: str
    extensions: tuple[str, ...]
    module: str
    magic: bytes
    modes: frozenset[str]
    largest: int = 2**31 - 1

    @property
    def plugin(self) -> str:
        """Pillow's name of the format, for reading and writing."""
        return "PPM" if self.name == "PGM" else self.name


def _format(name: str, extensions: str, module: str, magic: bytes, modes: str, *largest: int) -> Format:
    return Format(
        name, tuple(extensions.split()), f"{module}ImagePlugin", magic, frozenset(modes.split()), *largest
    )


FORMATS = {
    made.name: made
    for made in (
        _format("PNG", ".png", "Png", rb"\x89PNG\r\n\x1a\n", "1 L LA P RGB RGBA I;16 RGB;16"),
        _format("JPEG", ".jpg .jpeg .jpe .jfif", "Jpeg", rb"\xff\xd8\xff", "L RGB", 65500),
        _format("TIFF", ".tif .tiff", "Tiff", rb"II\*\0|MM\0\*|II\+\0|MM\0\+", "1 L LA P RGB RGBA I;16 F"),
        _format("WEBP", ".webp", "WebP", rb"RIFF....WEBP", "L LA RGB RGBA", 16383),
        _format("BMP", ".bmp", "Bmp", rb"BM", "1 L P RGB"),
        _format("GIF", ".gif", "Gif", rb"GIF8[79]a", "L LA P RGB RGBA", 65535),
        _format("PPM", ".ppm .pnm", "Ppm", rb"P[1-6f]\s", "L RGB I;16"),
        _format("PGM", ".pgm", "Ppm", b"", "L I;16"),
    )
}


def format_for(path: Path | str) -> str:
    """Return the format that a file's extension stands for.

    Raises
    ------
    UsageError
        For an extension that stands for none.

    Examples
    --------
    >>> format_for("photo.JPG")
    'JPEG'
    """
    extension = Path(path).suffix.lower()
    for made in FORMATS.values():
        if extension in made.extensions:
            return made.name
    known = " ".join(e for made in FORMATS.values() for e in made.extensions)
    raise UsageError(
        f'"{shown(path)}" has no extension of an image format; use one of {known} .npy, or --format'
    )


def format_named(name: str) -> Format:
    """Return a format by its name or by one of its extensions, in any case, with or without the dot.

    >>> format_named("tif").name
    'TIFF'
    """
    if name.upper() in FORMATS:
        return FORMATS[name.upper()]
    return FORMATS[format_for(f"x.{name.removeprefix('.')}")]


def recognise(head: bytes) -> Format | None:
    """Return the format of a file that starts with `head`, if it is one of ours.

    >>> recognise(b"GIF89a...").name
    'GIF'
    """
    for made in FORMATS.values():
        if made.magic and re.match(made.magic, head, re.DOTALL):
            return made
    return None


def check_holds(name: str, shape: tuple[int, ...], dtype: Any) -> str:
    """Return the mode in which a format holds an image; call it before the work that makes the image.

    Parameters
    ----------
    name : str
        Format, as `format_named` takes it.
    shape : tuple of int
        (height, width), or (height, width, channels).
    dtype : dtype
        Of the samples.

    Raises
    ------
    UsageError
        If the format cannot hold it; the message has the ways out.
    """
    target = format_named(name)
    channels = shape[2] if len(shape) == 3 else 1
    mode = MODES.get((np.dtype(dtype).name, channels), "")
    if mode not in target.modes:
        raise UsageError(_cannot_hold(target, mode, np.dtype(dtype).name, channels))
    if 0 in shape:
        raise UsageError(f"image {shape[0]}×{shape[1]} is empty; {target.name} takes pixels, .npy any array")
    if max(shape[:2]) > target.largest:
        raise UsageError(
            f"{shape[0]}×{shape[1]} is too large for {target.name}, which ends at {target.largest} "
            "pixels a side; use .png or .tif"
        )
    return mode


def _cannot_hold(target: Format, mode: str, dtype: str, channels: int) -> str:
    holders = [made.extensions[0] for made in FORMATS.values() if mode in made.modes]
    if dtype != "uint8":
        what = dtype if channels == 1 else f"{dtype} with {channels} channels"
        ways = " or ".join([*holders, ".npy"])
        return f"{target.name} cannot hold {what}; use {ways}, or --dtype uint8 --range minmax"
    if channels in (2, 4):
        return f"{target.name} cannot hold alpha; use {' or '.join(holders)}, or --alpha ignore"
    if channels == 3:
        return f"{target.name} cannot hold colour; use {' or '.join(holders)}, or --gray"
    return f"{target.name} cannot hold {channels} channels; images have 1 to 4"
