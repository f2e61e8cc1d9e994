"""Options that commands share, and how their values are read: each in one place."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

import typer

from convcli.cli import settings
from convcli.errors import UsageError
from convcli.spec import BORDER_ALIASES

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
BINARY = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def _set(name: str) -> Callable[[bool], bool]:
    def callback(value: bool) -> bool:
        if value:
            setattr(settings, name, True)
        return value

    return callback


Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", callback=_set("quiet"), help="Print errors only.", show_default=False)
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        callback=_set("verbose"),
        help="Print more about what was done.",
        show_default=False,
    ),
]
Debug = Annotated[
    bool, typer.Option("--debug", callback=_set("debug"), help="Show tracebacks.", show_default=False)
]


def among(*words: str) -> Callable[[str], list[str]]:
    """Complete an option's value in the shell: the words that begin with what is typed.

    >>> among("same", "full", "valid")("v")
    ['valid']
    """
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def kernel_names(incomplete: str) -> list[str]:
    """Complete the name of a kernel."""
    from convcli.kernels import named_kernels

    return among(*(kernel.name for kernel in named_kernels()))(incomplete)


def backend_names(incomplete: str) -> list[str]:
    """Complete the name of a backend."""
    from convcli import backends

    return among("auto", *backends.names())(incomplete)


Origin = Annotated[
    str | None, typer.Option("--origin", metavar="X,Y", help="Kernel cell on the output pixel.")
]
Stride = Annotated[
    str, typer.Option("--stride", metavar="N|NxM", help="Keep every n-th output: rows x columns.")
]
Dilation = Annotated[
    str, typer.Option("--dilation", metavar="N|NxM", help="Distance of kernel cells: rows x columns.")
]
BorderValue = Annotated[
    str | None,
    typer.Option("--border-value", metavar="V", help="Sample value for --border constant.  [default: 0]"),
]
Padding = Annotated[
    str | None,
    typer.Option("--padding", metavar="P", help="In place of --mode: N, NxM, or begins,ends as 1,1,2,2."),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        "--max-memory", metavar="SIZE", help="Refuse to use more, e.g. 2GiB.  [default: what is free]"
    ),
]
MaxOutput = Annotated[
    str | None,
    typer.Option(
        "--max-output",
        metavar="SIZE",
        help="Refuse to write more, e.g. 20GB.  [default: 4GB; a stream: none]",
    ),
]
MaxPixels = Annotated[
    str | None,
    typer.Option("--max-pixels", metavar="N", help="Refuse larger images, e.g. 200M.  [default: 89M]"),
]
Threads = Annotated[int | None, typer.Option("--threads", metavar="N", help="[default: all available]")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite existing files.")]
Precision = Annotated[str, typer.Option("--precision", metavar="TYPE", help="auto, float32 or float64.")]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first bad input.")]
Format = Annotated[
    str | None,
    typer.Option("--format", metavar="NAME", help="png, jpg, tif, webp, bmp, gif, ppm, pgm or npy."),
]
Compress = Annotated[
    int | None, typer.Option("--compress", metavar="0-9", help="PNG compression.  [default: 1]")
]
Quality = Annotated[
    int | None, typer.Option("--quality", metavar="1-100", help="JPEG, WEBP.  [default: 95, lossless]")
]
Strip = Annotated[bool, typer.Option("--strip", help="Drop colour profile, resolution and EXIF.")]
Page = Annotated[int | None, typer.Option("--page", metavar="N", help="Page of a multi-page file, from 0.")]
AllowTruncated = Annotated[bool, typer.Option("--allow-truncated", help="Read damaged files.")]
Allow8bit = Annotated[bool, typer.Option("--allow-8bit", help="Read 16-bit colour as 8-bit.")]
ToRgb = Annotated[bool, typer.Option("--to-rgb", help="Read CMYK as RGB.")]
Inputs = Annotated[list[str], typer.Argument(metavar="INPUT...", help="Images or .npy arrays; - is stdin.")]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE", help="A file, a folder/, a template, or - for stdout."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def axes(text: str, what: str) -> int | tuple[int, ...]:
    """Read one number, or one per axis in the order of the shape.

    >>> axes("2", "stride"), axes("2x3", "stride"), axes("2,3", "stride")
    (2, (2, 3), (2, 3))
    """
    words = re.split("[x,×]", text)
    if not all(re.fullmatch("[+-]?[0-9]{1,40}", word.strip()) for word in words):
        raise UsageError(f'{what} "{text}" is not a whole number, or one per axis such as 2x3')
    numbers = tuple(int(word) for word in words)
    return numbers[0] if len(numbers) == 1 else numbers


def origin(text: str | None) -> int | tuple[int, ...] | None:
    """Read X,Y (image order) as an index (row, column).

    >>> origin("0,2")
    (2, 0)
    """
    if text is None:
        return None
    if not re.fullmatch(r"-?\d+([,x]-?\d+){0,2}", text):
        raise UsageError(f'origin "{text}" is not X,Y: the column and the row of a kernel cell, from 0')
    numbers = axes(text, "origin")
    return numbers[::-1] if isinstance(numbers, tuple) else numbers


def amount(text: str | None, what: str) -> int | None:
    """Read a number with a unit, such as 512MB, 4GiB or 200M.

    >>> amount("4GiB", "memory"), amount("1.5k", "pixels")
    (4294967296, 1500)
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d{1,30}(?:\.\d{1,30})?)\s*([kmgt]?)(i?)(b|p|px)?\s*", text.lower())
    scale = match and (BINARY.get(match[2] + "i") if match[3] else UNITS[match[2]])
    if not match or not scale:
        raise UsageError(f'{what} "{text}" is not an amount; write for example 512MB, 4GiB or 200M')
    return int(float(match[1]) * scale)


def real(text: str, what: str) -> float:
    """Read a finite number, or a fraction such as 1/9.

    >>> real("1/4", "divisor")
    0.25
    """
    from convcli.kernels.cells import number

    if not text.strip():
        raise UsageError(f"{what} is empty; write a number")
    try:
        above, below = number(text)
    except UsageError as error:
        raise UsageError(f"{what} {error}") from None
    return above / below


def bias(text: str | None) -> tuple[float | None, bool]:
    """Read a number, or a percentage of full brightness.

    >>> bias("50%"), bias("128"), bias(None)
    ((50.0, True), (128.0, False), (None, False))
    """
    if text is None:
        return None, False
    return real(text.removesuffix("%"), "bias"), text.endswith("%")


def one_kernel(texts: list[str] | None) -> str | None:
    """Return the only kernel of a command that takes one."""
    if texts and len(texts) > 1:
        raise UsageError(f"-k was given {len(texts)} times; this command takes one kernel or bank")
    return texts[0] if texts else None


def check_padding(padding: str | None, mode: str | None, origin: str | None) -> None:
    """Refuse options that say the same as padding does, and words for it."""
    if padding is not None and padding.isalpha():
        raise UsageError(f"--padding {padding} is no number; use --mode same, full or valid for a word")
    for name, given in (("mode", mode), ("origin", origin)):
        if padding is not None and given is not None:
            raise UsageError(f"--padding and --{name} both say where the result begins; leave one out")


def outside(value: str | None, border: str | None) -> float:
    """Read the value of a constant border, and refuse it for another border."""
    if value is None:
        return 0.0
    if BORDER_ALIASES.get(border or "", border) != "constant":
        raise UsageError(f"--border-value {value} is for --border constant; add that, or leave the value out")
    return real(value, "border value")
