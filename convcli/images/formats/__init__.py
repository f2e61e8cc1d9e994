"""The table of image formats: each file or folder here declares one, as ``FORMAT``.

A new format is a new file here and nothing else. A `Format` says how its files are recognised, which
samples they hold, and what Pillow is told of them; or it brings a reader or a writer of its own.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from convcli.arrays.library import Array
from convcli.errors import UsageError
from convcli.images.image import Image
from convcli.spec import unknown
from convcli.system.files import shown
from convcli.text import counted

if TYPE_CHECKING:
    from PIL import Image as PillowImage

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


class Samples(NamedTuple):
    """How a file stores its samples, where Pillow's mode no longer tells."""

    bits: int = 8
    gray: bool = False
    signed: bool = False
    inverted: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Format:
    """A file format.

    Attributes
    ----------
    name : str
    extensions : tuple of str
        Extensions, the one that messages recommend first.
    magic : bytes
        Regular expression that the first bytes of a file match; empty if another format reads it.
    modes : str
        Modes, as in `MODES`, that a file keeps without loss, "1" and "P" included; none for a format of
        arrays of any shape and type.
    rank : int
        Place in lists and messages.
    pillow : str
        Prefix of Pillow's module; in capitals, Pillow's name of the format. Empty: Pillow is not used.
    largest, largest_exif : int
        Most pixels per side, and most bytes of an EXIF block.
    level : {"", "compress", "quality"}
        Option that the content of a file depends on.
    icc, indexed : bool
        Whether colour profiles are kept, and whether a palette is used wherever 256 colours are enough,
        not only if the source has one.
    palette_alpha : callable, optional
        Function from the alpha of a palette to Pillow's option ``transparency``; without it no palette
        has alpha.
    read : callable, optional
        Reader instead of Pillow's: takes a seekable file and the limit of pixels, raises `ConvcliError`
        only, and returns None for a file that Pillow is to read.
    write : callable, optional
        Writer instead of Pillow's, except with a palette: takes a file, pixels, ``threads``, `options`
        and metadata.
    options : callable
        Function from pixels and the level, or None, to options of Pillow or of `write`.
    adapted : callable
        Function from pixels to those that the format can hold.
    samples : callable
        Function from Pillow's image and the first bytes of the file to `Samples`.
    decoding : callable
        Context manager in which Pillow decodes.
    """

    name: str
    extensions: tuple[str, ...]
    magic: bytes = b""
    modes: str = ""
    rank: int = 100
    pillow: str = ""
    largest: int = 2**31 - 1
    largest_exif: int = 2**31 - 1
    level: str = ""
    icc: bool = False
    indexed: bool = False
    palette_alpha: Callable[[Array], bytes | int] | None = None
    read: Callable[[BinaryIO, int | None], Image | None] | None = None
    write: Callable[..., None] | None = None
    options: Callable[[Array, int | None], dict[str, Any]] = lambda *_: {}
    adapted: Callable[[Array], Array] = lambda pixels: pixels
    samples: Callable[[PillowImage.Image, bytes], Samples] = lambda *_: Samples()
    decoding: Callable[[], AbstractContextManager[None]] = nullcontext

    def holds(self, mode: str) -> bool:
        """Whether a file keeps images of a mode without loss."""
        return mode in self.modes.split()


@functools.cache
def table() -> dict[str, Format]:
    """Every format by its name, those that messages recommend first."""
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    return {made.name: made for made in sorted((m.FORMAT for m in modules), key=lambda made: made.rank)}


def format_for(path: Path | str) -> str:
    """Return the format that a file's extension stands for.

    >>> format_for("photo.JPG")
    'JPEG'
    """
    extension = Path(path).suffix.lower()
    for made in table().values():
        if extension in made.extensions:
            return made.name
    known = " ".join(e for made in table().values() for e in made.extensions)
    raise UsageError(f'"{shown(path)}" has no extension of an image format; use one of {known}, or --format')


def format_named(text: str) -> Format:
    """Return a format by its name or by one of its extensions, in any case, with or without the dot.

    >>> format_named("tif").name
    'TIFF'
    """
    name = text.lower().removeprefix(".")
    for made in table().values():
        if name == made.name.lower() or f".{name}" in made.extensions:
            return made
    extensions = (extension[1:] for made in table().values() for extension in made.extensions)
    raise unknown(text, [made.name.lower() for made in table().values()], "format", extensions)


def recognise(head: bytes) -> Format | None:
    """Return the format of a file that starts with `head`, if it is one of ours.

    >>> recognise(b"GIF89a...").name
    'GIF'
    """
    made = table().values()
    return next((m for m in made if m.magic and re.match(m.magic, head, re.DOTALL)), None)


def check_holds(name: str, shape: tuple[int, ...], dtype: Any, *, planes: str = "") -> str:
    """Return the mode in which a format holds an image; call it before the work that makes the image.

    `shape` is (height, width), or (height, width, channels); `planes` is a name for channels that are not
    colours. The message of a refusal has the ways out.
    """
    target, sample_type = format_named(name), np.dtype(dtype).name
    if not target.modes:
        return ""
    channels = shape[2] if len(shape) == 3 else 1
    mode = MODES.get((sample_type, channels), "")
    if not target.holds(mode):
        raise UsageError(f"{target.name} cannot hold {_refusal(target, sample_type, channels, planes)}")
    if 0 in shape:
        raise UsageError(f"image {shape[0]}×{shape[1]} is empty; {target.name} takes pixels, .npy any array")
    if max(shape[:2]) > target.largest:
        raise UsageError(
            f"{shape[0]}×{shape[1]} is too large for {target.name}, which ends at {target.largest} "
            "pixels a side; use .png or .tif"
        )
    return mode


def _refusal(target: Format, dtype: str, channels: int, planes: str) -> str:
    """Say what a format cannot hold, which formats can, and which option else."""
    mode = MODES.get((dtype, channels), "")
    holders = [made.extensions[0] for made in table().values() if made.holds(mode)]
    anyway = " or ".join([*holders, ".npy"])
    if planes:
        narrow = ", or --dtype uint8" if target.holds(MODES.get(("uint8", channels), "")) else ""
        return f"{counted(channels, planes)} of {dtype}; use {anyway}{narrow}"
    if dtype != "uint8":
        several = f" with {channels} channels" if channels > 1 else ""
        return f"{dtype}{several}; use {anyway}, or --dtype uint8 --range minmax"
    if channels in (2, 4):
        return f"alpha; use {' or '.join(holders)}, or --alpha ignore"
    if channels == 3:
        return f"colour; use {' or '.join(holders)}, or --gray"
    return f"{channels} channels; images have 1 to 4"
