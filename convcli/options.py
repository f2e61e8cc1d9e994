"""Options of the command line, each declared once: beside the field of a dataclass that it sets.

``repeat: Annotated[int, Option("Kernel", "Apply the filter N times.", "N")] = 1`` gives every command
that takes the dataclass an option ``--repeat``. An option that several dataclasses have is an alias of such
an `Annotated` type. Annotations of these dataclasses are not strings (no ``from __future__ import
annotations``): each would have to be compiled at every start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, fields
from functools import partial
from typing import Annotated, Any

from convcli.errors import UsageError
from convcli.spec import BORDER_ALIASES, PerAxis

PANELS = (
    *("Kernel", "Input", "Method", "Borders and size", "Samples", "Banks of kernels", "Matrix"),
    *("Contestants", "Timing", "Speed", "Files", "Output", "General"),
)
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
BINARY = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


class Option:
    """An option of the command line, as the metadata of the annotation of the field that it sets.

    `panel` is a heading of the help, one of `PANELS`. `names` are flags, by default ``--`` and the name of
    the field, and the word for the value (metavar). `parse` makes the field's value of (text, name of the
    option in messages); without it the field is a bool, an int, a str or a list of str. The shell completes
    `words`. `refuse` looks for the circumstances `not_with` in which the option has no meaning; `used_by`
    says whether it has an effect on a file of a format, given its name. The help shows `default` where the
    field's own default does not read well.
    """

    is_argument = False

    def __init__(
        self,
        panel: str,
        text: str,
        *names: str,
        parse: Callable[[str, str], Any] | None = None,
        words: Iterable[str] | Callable[[], Iterable[str]] = (),
        not_with: tuple[str, ...] = (),
        used_by: Callable[[str], bool] | None = None,
        default: str | None = None,
    ) -> None:
        self.panel, self.help = panel, text
        self.names = tuple(name for name in names if name.startswith("-"))
        self.metavar = next((name for name in names if not name.startswith("-")), None)
        self.parse, self.words, self.default = parse, words, default
        self.not_with, self.used_by = not_with, used_by

    def flags(self, field: str) -> tuple[str, ...]:
        """Return the flags of the option that sets a field."""
        return self.names or (f"--{field.replace('_', '-')}",)

    def name(self, field: str) -> str:
        """Return the longest flag, without its dashes."""
        return max(self.flags(field), key=len).removeprefix("--")


class Argument(Option):
    """An argument, named by its metavar and its place."""

    is_argument = True

    def __init__(self, metavar: str, text: str) -> None:
        super().__init__("Arguments", text, metavar)


def declared(group: Any) -> dict[str, Option]:
    """Return the options of a dataclass by the names of their fields."""
    found = {f.name: getattr(f.type, "__metadata__", [None])[0] for f in fields(group)}
    return {name: option for name, option in found.items() if isinstance(option, Option)}


def given(*groups: Any) -> Iterator[tuple[str, Option]]:
    """List the options whose fields are not at their defaults, each after its name without dashes."""
    for group in groups:
        options = declared(group)
        for field in fields(group):
            default = field.default if field.default_factory is MISSING else field.default_factory()
            value = getattr(group, field.name)
            if field.name in options and (type(value) is not type(default) or value != default):
                yield options[field.name].name(field.name), options[field.name]


def refuse(circumstance: str, why: str, *groups: Any) -> None:
    """Refuse the given options that have no meaning in a circumstance.

    >>> from convcli.filtering.options import Filter
    >>> refuse("array", "is about images; leave it out", Filter(gray=True))
    Traceback (most recent call last):
    convcli.errors.UsageError: --gray is about images; leave it out
    """
    for name, option in given(*groups):
        if circumstance in option.not_with:
            raise UsageError(f"--{name} {why}")


def axes(text: str, what: str) -> PerAxis:
    """Read one number, or one per axis in the order of the shape.

    >>> axes("2", "stride"), axes("2x3", "stride"), axes("2,3", "stride")
    (2, (2, 3), (2, 3))
    """
    words = re.split("[x,×]", text)
    if not all(re.fullmatch("[+-]?[0-9]{1,40}", word.strip()) for word in words):
        raise UsageError(f'{what} "{text}" is not a whole number, or one per axis such as 2x3')
    numbers = tuple(int(word) for word in words)
    return numbers[0] if len(numbers) == 1 else numbers


def origin(text: str, what: str = "origin") -> PerAxis:
    """Read X,Y (image order) as an index (row, column).

    >>> origin("0,2")
    (2, 0)
    """
    if not re.fullmatch(r"-?\d+([,x]-?\d+){0,2}", text):
        raise UsageError(f'{what} "{text}" is not X,Y: the column and the row of a kernel cell, from 0')
    numbers = axes(text, what)
    return numbers[::-1] if isinstance(numbers, tuple) else numbers


def amount(text: str, what: str) -> int:
    """Read a number with a unit, such as 512MB, 4GiB or 200M.

    >>> amount("4GiB", "memory"), amount("1.5k", "pixels")
    (4294967296, 1500)
    """
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


def real_or_auto(text: str, what: str) -> float | str:
    """Read a number, or the word ``auto``."""
    return text if text == "auto" else real(text, what)


def check_border_value(value: float | None, border: str | None) -> None:
    """Refuse a value for the samples outside that the border does not use."""
    if value is not None and BORDER_ALIASES.get(border or "", border) != "constant":
        hint = "is for --border constant; add that, or leave the value out"
        raise UsageError(f"--border-value {value:g} {hint}")


def kernel_names() -> list[str]:
    """List the named kernels."""
    from convcli.kernels import named_kernels

    return [kernel.name for kernel in named_kernels()]


def backend_names() -> list[str]:
    """List the backends, and the word for the fastest."""
    from convcli import backends

    return ["auto", *backends.names()]


def backend_option(text: str, words: Iterable[str] | Callable[[], Iterable[str]] = backend_names) -> Option:
    """Return the option that says which code computes."""
    return Option("Speed", text, "--backend", "-b", "NAME", words=words)


def kernel_option(text: str, metavar: str = "SPEC", not_with: tuple[str, ...] = ()) -> Option:
    """Return the option ``-k``."""
    return Option("Kernel", text, "--kernel", "-k", metavar, words=kernel_names, not_with=not_with)


_bounds = partial(Option, "Borders and size")
Origin = Annotated[
    PerAxis | None,
    _bounds("Kernel cell on the output pixel.", "X,Y", parse=origin, not_with=("transposed bank",)),
]
Stride = Annotated[PerAxis, _bounds("Keep every n-th output: rows x columns.", "N|NxM", parse=axes)]
Dilation = Annotated[
    PerAxis, Option("Kernel", "Distance of kernel cells: rows x columns.", "N|NxM", parse=axes)
]
BorderValue = Annotated[
    float | None, _bounds("Sample value for --border constant.", "V", parse=real, default="0")
]
MaxMemory = Annotated[
    int | None,
    Option("Speed", "Refuse to use more, e.g. 2GiB.  [default: what is free]", "SIZE", parse=amount),
]
_pixels = partial(Option, "Files", parse=amount, not_with=("no image", "fold"))
MaxPixels = Annotated[int | None, _pixels("Refuse larger images, e.g. 200M.  [default: 89M]", "N")]
Threads = Annotated[int | None, Option("Speed", "[default: all available]", "N")]
Precision = Annotated[str, Option("Speed", "auto, float32 or float64.", "TYPE")]
