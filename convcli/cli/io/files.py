"""What is read and written: images and arrays, files and streams."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from convcli.arrays.library import Array
from convcli.arrays.npy import read_npy, write_npy
from convcli.cli.io.targets import STREAM
from convcli.cli.options import FileOptions
from convcli.errors import FileError, InputError, LimitError, UsageError
from convcli.filtering.options import BankOptions, Filter
from convcli.options import given, refuse
from convcli.system.files import atomic_write, is_stream, open_input, read_bounded, shown, stdout_stream
from convcli.system.resources import available_memory
from convcli.text import shape_text

if TYPE_CHECKING:
    from convcli.images import Image

Content = memoryview | Array
"""The bytes of a file, or an array that is to be one."""
NPY = "npy"


class Source(NamedTuple):
    """An input in memory: planes (channels, height, width) of an `image`, or any array, and None."""

    planes: Array
    image: Image | None = None

    @property
    def alpha(self) -> bool:
        """Whether the last plane is alpha."""
        return self.image is not None and self.image.alpha

    @property
    def kind(self) -> str:
        """Type and channels, for people."""
        if self.image is None:
            return str(self.planes.dtype)
        channels = {1: "gray", 2: "gray and alpha", 3: "RGB", 4: "RGB and alpha"}[len(self.planes)]
        return f"{self.planes.dtype} {channels}"

    def for_bank(self, bank: Array, layer: BankOptions) -> Source:
        """Drop alpha if the bank has no channel for it; otherwise it is a channel like the others."""
        if self.image is None or not self.alpha:
            return self
        planes = self.planes[:-1] if layer.channels(bank) == len(self.planes) - 1 else self.planes
        return Source(planes, replace(self.image, alpha=False))


class Files(FileOptions):
    """The reading and writing of files, as the options say."""

    @property
    def extension(self) -> str | None:
        """The extension that ``--format`` asks for."""
        return self.format and f".{self.format.lower().removeprefix('.')}"

    def check_use(self, targets: list[str]) -> None:
        """Refuse options about writing that no target has a use for, as far as names tell the format."""
        kinds = set()
        for target in targets:
            with contextlib.suppress(UsageError):  # a bad name is its own file's error
                kinds.add(self.kind(target, ""))
        if targets and not kinds:
            return
        for name, option in given(self):
            if option.used_by and not any(map(option.used_by, kinds)):
                where = f"as {' or '.join(sorted(kinds))}" if kinds else "at all, for want of -o"
                raise UsageError(f"--{name} has no effect on what is written {where}; leave it out")

    def kind(self, target: str, source_kind: str) -> str:
        """Name of the format for a target: asked for, by extension, or as the input's."""
        from convcli.images.formats import format_for, format_named

        if self.format:
            return format_named(self.format).name
        return source_kind if target == STREAM or is_stream(Path(target)) else format_for(target)

    def read(self, source: str, how: Filter) -> Source:
        """Read an image or an array; the content decides which."""
        name = "standard input" if source == STREAM else shown(source)
        if not source:
            raise InputError('an input has no name: ""; name a file, or - for standard input')
        content: Path | bytes = Path(source)
        if source == STREAM or is_stream(Path(source)):
            if source == STREAM and sys.__stdin__ is None:
                raise InputError("standard input is closed; name a file")
            with sys.stdin.buffer if source == STREAM else open_input(Path(source)) as stream:
                content = read_bounded(stream, name, self.room())
        from convcli.images.formats import recognise

        with io.BytesIO(content) if isinstance(content, bytes) else open_input(content) as file:
            try:
                head = file.read(16)
            except OSError as error:
                raise InputError(f"{name} cannot be read: {error.strerror or error}") from None
            found = recognise(head)
            if found.name == NPY if found else name.lower().endswith(".npy"):
                file.seek(0)
                return self._read_array(file, name, how)
        from convcli.images import MAX_PIXELS, read_image

        most = MAX_PIXELS if self.max_pixels is None else self.max_pixels
        options = {name: getattr(self, name) for name in ("page", "allow_truncated", "allow_8bit", "to_rgb")}
        image = read_image(content, name=name, max_pixels=most, **options)
        pixels = image.pixels
        return Source(pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0), image)

    def room(self) -> int | None:
        """Bytes that may be used; None if the system does not tell."""
        return self.max_memory if self.max_memory is not None else available_memory()

    def _read_array(self, file: BinaryIO, name: str, how: Filter) -> Source:
        refuse("array", f"is about images and {name} is an array; leave it out", how, self)
        array = read_npy(file, max_bytes=self.room(), name=name)
        if array.ndim == 0:
            raise InputError(f"{name} is a single number; it needs at least one axis")
        if array.size == 0:
            raise InputError(f"{name} {shape_text(array.shape)} is empty; it needs at least one sample")
        if self.max_pixels is not None and array.size > self.max_pixels:
            raise LimitError(f"{name} has {array.size:,} samples, over --max-pixels {self.max_pixels:,}")
        return Source(array)

    def _kind(self, target: str, source: Source) -> str:
        return self.kind(target, source.image.format if source.image else NPY)

    def check_bank_holds(self, target: str, source: Source, how: Filter, outputs: int) -> list[str]:
        """Refuse a format that cannot hold what a bank makes; return what the user should know."""
        kind = self._kind(target, source)
        if kind == NPY:
            return []
        if source.planes.ndim != 3:
            raise UsageError(
                f"what the bank makes of an array {shape_text(source.planes.shape)} is no image; "
                "write it to a .npy file"
            )
        from convcli.images import check_holds

        dtype = source.planes.dtype if how.dtype == "keep" else np.dtype(how.dtype)
        if not source.image and how.dtype == "keep":  # the type of the result is not known yet
            dtype = np.dtype(np.uint8)
        check_holds(kind, (*source.planes.shape[1:], outputs), dtype, planes="output")
        if outputs in (2, 4):
            return [f"{outputs} outputs become {'gray' if outputs == 2 else 'RGB'} and alpha"]
        return []

    def check_holds(self, target: str, source: Source, how: Filter) -> None:
        """Refuse a format that cannot hold the result, before the result is computed."""
        kind = self._kind(target, source)
        planes, image = source.planes, source.image
        if kind == NPY:
            return
        from convcli.images.formats import check_holds, format_named

        if image is None and not (planes.ndim == 2 or (planes.ndim == 3 and len(planes) <= 4)):
            raise UsageError(f"an array {shape_text(planes.shape)} is no image; write it to a .npy file")
        channels = len(planes) if planes.ndim == 3 else 1
        if image and how.gray:
            channels = 1 + image.alpha
        if image and image.alpha and how.alpha == "ignore" and not format_named(kind).holds("RGBA"):
            channels -= 1
        dtype = planes.dtype if how.dtype == "keep" else np.dtype(how.dtype)
        if image or how.dtype != "keep":
            check_holds(kind, (*planes.shape[-2:], channels), dtype)

    def write(self, target: str, output: Array, source: Source, how: Filter) -> list[str]:
        """Write a result; return what the user should know."""
        kind = self._kind(target, source)
        if kind == NPY:
            self.save(target, _array(output, source))
            return []
        image, notes = self._image(output, kind, source, how)
        _make_folder_of(target)
        with stdout_stream() if target == STREAM else contextlib.nullcontext(Path(target)) as sink:
            self._encode(sink, image, kind, self.threads)
        return notes

    def encode(self, target: str, output: Array, source: Source, how: Filter) -> tuple[Content, list[str]]:
        """Make what `save` writes, and what the user should know of it."""
        kind = self._kind(target, source)
        if kind == NPY:
            return _array(output, source), []
        image, notes = self._image(output, kind, source, how)
        file = io.BytesIO()
        try:
            self._encode(file, image, kind, 1)  # others are at work beside it
        except FileError as error:
            raise FileError(str(error).replace("standard output", shown(target), 1)) from error
        return file.getbuffer(), notes

    def save(self, target: str, content: Content) -> None:
        """Write the bytes of a file, or an array as .npy."""
        _make_folder_of(target)
        with stdout_stream() if target == STREAM else atomic_write(Path(target), force=self.force) as file:
            if isinstance(content, memoryview):
                file.write(content)
            else:
                write_npy(file, content)

    def _image(self, output: Array, kind: str, source: Source, how: Filter) -> tuple[Image, list[str]]:
        """Make an image that a format can hold, and say what was lost."""
        from convcli.images import Image
        from convcli.images.formats import format_named

        notes, made = [], format_named(kind)
        pixels = output if output.ndim == 2 else np.moveaxis(output, 0, -1)
        if source.alpha and how.alpha == "ignore" and not made.holds("RGBA"):
            pixels = pixels[..., :-1]
            notes.append(f"alpha was dropped: {kind} cannot hold it")
        if made.indexed and pixels.ndim == 3 and pixels.shape[2] > 2:
            notes.append(f"{kind} holds 256 colours: where there are more, the nearest were taken")
        if pixels.dtype == np.float64:
            with np.errstate(over="ignore"):
                pixels = pixels.astype(np.float32)
            notes.append(f"float64 was written as float32, the widest that {kind} holds")
        if source.image:
            return replace(source.image, pixels=pixels), notes
        return Image(pixels, alpha=pixels.ndim == 3 and pixels.shape[2] in (2, 4)), notes

    def _encode(self, sink: Path | BinaryIO, image: Image, kind: str, threads: int | None) -> None:
        from convcli.images import write_image

        options = {name: getattr(self, name) for name in ("force", "compress", "strip", "quality")}
        write_image(sink, image, format=kind, threads=threads, **options)


def _array(output: Array, source: Source) -> Array:
    """Return a result as it is kept in a .npy file."""
    return output[0] if source.image and len(output) == 1 else output


def _make_folder_of(target: str) -> None:
    folder = os.path.dirname(target)
    if target == STREAM or not folder or os.path.exists(folder):
        return
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise FileError(f"folder {shown(folder)} cannot be made: {error.strerror}; name another") from None
