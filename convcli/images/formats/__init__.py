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
MODES = {("uint8", n): mode for n, mode in enumerate(("L", "LA", "RGB", "RGBA"), 1)}
MODES |= {("uint16", 1): "I;16", ("uint16", 3): "RGB;16", ("float32", 1): "F"}


class Samples(NamedTuple):
    """How a file stores its samples, where Pillow's mode no longer tells."""

    bits: int = 8
    gray: bool = False
    signed: bool = False
    inverted: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Format:
    """A file format."""

    name: str
    extensions: tuple[str, ...]  # the one that messages recommend first
    magic: bytes = b""  # regular expression for the first bytes; empty if another format reads the file
    modes: str = ""  # kept without loss, as in `MODES`, or "1" or "P"; none for arrays of any shape and type
    rank: int = 100  # place in lists and messages
    pillow: str = ""  # prefix of Pillow's module, in capitals its format; empty if Pillow is not used
    largest: int = 2**31 - 1  # pixels per side
    largest_exif: int = 2**31 - 1  # bytes
    level: str = ""  # option that the content of a file depends on: "compress" or "quality"
    icc: bool = False  # whether colour profiles are kept
    indexed: bool = False  # whether a palette is used wherever 256 colours are enough
    # From the alpha of a palette to Pillow's option ``transparency``; without it no palette has alpha.
    palette_alpha: Callable[[Array], bytes | int] | None = None
    # Of a seekable file and the limit of pixels; raises `ConvcliError` only, None leaves it to Pillow.
    read: Callable[[BinaryIO, int | None], Image | None] | None = None
    # Of a file, pixels, ``threads``, `options` and metadata; a palette is left to Pillow.
    write: Callable[..., None] | None = None
    # From pixels and the level, or None, to options of Pillow or of `write`.
    options: Callable[[Array, int | None], dict[str, Any]] = lambda *_: {}
    adapted: Callable[[Array], Array] = lambda pixels: pixels  # to pixels that the format can hold
    samples: Callable[[PillowImage.Image, bytes], Samples] = lambda *_: Samples()  # of a file's first bytes
    decoding: Callable[[], AbstractContextManager[None]] = nullcontext  # in which Pillow decodes

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
    raise unknown(text, [known.lower() for known in table()], "format", extensions)


def recognise(head: bytes) -> Format | None:
    """Return the format of a file that starts with `head`, if it is one of ours."""
    made = table().values()
    return next((m for m in made if m.magic and re.match(m.magic, head, re.DOTALL)), None)


def check_holds(name: str, shape: tuple[int, ...], dtype: Any, *, planes: str = "") -> str:
    """Return the mode in which a format holds an image (height, width), or (height, width, channels).

    `planes` is a name for channels that are not colours. Call it before the work that makes the image.
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
