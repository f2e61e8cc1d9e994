"""Options that several commands have, in groups; those of one command are in its folder."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from convcli.errors import UsageError
from convcli.options import Argument, MaxMemory, MaxPixels, Option, Threads

STREAM = "-"
_output, _files = partial(Option, "Output"), partial(Option, "Files")
Force = Annotated[bool, _output("Overwrite existing files.", "--force", "-f", not_with=("no output",))]
Json = Annotated[bool, _output("Print one JSON document on stdout.", "--json", not_with=("fold",))]
OneJson = Annotated[bool, _output("Print one JSON document.", "--json")]


def check_json(as_json: bool, output: str | None) -> None:
    """Refuse two documents on standard output."""
    if as_json and output == STREAM:
        raise UsageError("--json and -o - would both write to standard output; give -o a file")


def one_kernel(texts: list[str]) -> str | None:
    """Return the only kernel of a command that takes one."""
    if len(texts) > 1:
        raise UsageError(f"-k was given {len(texts)} times; this command takes one kernel or bank")
    return texts[0] if texts else None


@dataclass(eq=False, repr=False)
class InOut:
    """Inputs, and where the results go."""

    inputs: Annotated[list[str], Argument("INPUT...", "Images or .npy arrays; - is stdin.")]
    output: Annotated[
        str | None, _output("A file, a folder/, a template, or - for stdout.", "--output", "-o", "FILE")
    ] = None
    as_json: Json = False
    fail_fast: Annotated[bool, _files("Stop at the first bad input.")] = False

    def __post_init__(self) -> None:
        check_json(self.as_json, self.output)


def has_level(level: str) -> Callable[[str], bool]:
    """Return a function that says whether a format has a level; one without a name is not known yet."""

    def used_by(kind: str) -> bool:
        from convcli.images.formats import format_named

        return not kind or format_named(kind).level == level

    return used_by


FORMATS_HELP = "png, jpg, tif, webp, bmp, gif, ppm, pgm or npy."


@dataclass(eq=False, repr=False)
class FileOptions:
    """How to read and write images and arrays."""

    format: Annotated[str | None, _output(FORMATS_HELP, "NAME", used_by=lambda _kind: True)] = None
    force: Force = False
    compress: Annotated[
        int | None, _output("PNG compression.  [default: 1]", "0-9", used_by=has_level("compress"))
    ] = None
    quality: Annotated[
        int | None, _output("JPEG, WEBP.  [default: 95, lossless]", "1-100", used_by=has_level("quality"))
    ] = None
    strip: Annotated[
        bool, _output("Drop colour profile, resolution and EXIF.", used_by=lambda kind: kind != "npy")
    ] = False
    page: Annotated[int | None, _files("Page of a multi-page file, from 0.", "N", not_with=("array",))] = None
    max_pixels: MaxPixels = None
    max_memory: MaxMemory = None
    allow_truncated: Annotated[bool, _files("Read damaged files.")] = False
    allow_8bit: Annotated[bool, _files("Read 16-bit colour as 8-bit.", "--allow-8bit")] = False
    to_rgb: Annotated[bool, _files("Read CMYK as RGB.")] = False
    threads: Threads = None

    def __post_init__(self) -> None:
        if self.compress is not None or self.quality is not None:
            from convcli.images.write import check_levels

            check_levels(self.compress, self.quality)
        if self.format is not None:
            from convcli.images.formats import format_named

            format_named(self.format)
