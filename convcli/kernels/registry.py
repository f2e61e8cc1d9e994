"""Named kernels: the register, and the one mechanism that reads their parameters.

A named kernel is a function under ``@named``: its name is the name (``_`` becomes ``-``), its parameters are
the parameters, their annotations say how to read them, the first line of its docstring is the summary. It
returns the array, or a `Kernel` if it has a divisor. A kernel without parameters is a `constant`.
"""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from convcli.arrays.library import Array
from convcli.errors import UsageError
from convcli.kernels.cells import number
from convcli.kernels.kernel import MAX_AXIS, Kernel
from convcli.text import brief

Builder = TypeVar("Builder", bound=Callable[..., Array | Kernel])


def real(text: str) -> float:
    """Read a number."""
    above, below = number(text)
    return above / below


def positive(text: str) -> float:
    """Read a number above zero."""
    value = real(text)
    if value <= 0:
        raise UsageError(f'"{brief(text)}" is not above 0')
    return value


def size(text: str) -> tuple[int, int]:
    """Read ``5`` or ``5x3`` as (height, width)."""
    numbers = text.split("x")
    if len(numbers) > 2 or not all(n.isascii() and n.isdigit() and len(n) < 10 for n in numbers):
        raise UsageError(f'"{brief(text)}" is not a size; write 5, or HEIGHTxWIDTH as in 5x3')
    height, width = int(numbers[0]), int(numbers[-1])
    if not (1 <= height <= MAX_AXIS and 1 <= width <= MAX_AXIS):
        raise UsageError(f'"{brief(text)}" is out of range; a size is 1 to {MAX_AXIS} cells per axis')
    return height, width


Real = Annotated[float, real]
Positive = Annotated[float, positive]
Size = Annotated[tuple[int, int], size]
OptionalSize = Annotated[tuple[int, int] | None, size]


class NamedKernel(NamedTuple):
    """One named kernel, as ``convcli kernels`` lists it."""

    name: str
    syntax: str
    summary: str
    example: str


_builders: dict[str, tuple[Callable[..., Array | Kernel], str]] = {}


def named(*examples: str) -> Callable[[Builder], Builder]:
    """Register a function as a named kernel; the example shows parameters (default: none)."""

    def register(build: Builder) -> Builder:
        name = build.__name__.replace("_", "-")
        _builders[name] = build, ":".join((name, *examples))
        return build

    return register


def constant(name: str, values: ArrayLike, summary: str, origin: tuple[int, int] | None = None) -> Array:
    """Register a kernel without parameters, and return its cells."""

    def build() -> Kernel:
        return Kernel(np.asarray(values), name, origin=origin)

    build.__name__, build.__doc__ = name, summary
    named()(build)
    return np.asarray(values)


def names() -> list[str]:
    """Return the names that `build_named` knows."""
    return list(_builders)


def named_kernels() -> list[NamedKernel]:
    """List the named kernels, in alphabetical order."""
    return [
        NamedKernel(name, _syntax(name, build), (inspect.getdoc(build) or "").partition("\n")[0], example)
        for name, (build, example) in sorted(_builders.items())
    ]


def _syntax(name: str, build: Callable[..., object]) -> str:
    text, optional = name, 0
    for position, parameter in enumerate(inspect.signature(build).parameters.values()):
        if parameter.default is not parameter.empty:
            text, optional = text + "[", optional + 1
        text += (",:"[position == 0]) + parameter.name.upper()
    return text + "]" * optional


def build_named(text: str) -> Kernel | None:
    """Build a kernel from ``name:PARAMETER,PARAMETER``, or return None if the name is not registered."""
    name, colon, parameters = text.partition(":")
    name = name.strip()
    if name not in _builders:
        return None
    build, _ = _builders[name]
    try:
        arguments = _arguments(build, [p.strip() for p in parameters.split(",")] if colon else [])
        with np.errstate(all="ignore"):  # what overflows is refused below, by its cell
            built = build(*arguments)
        kernel = built if isinstance(built, Kernel) else Kernel(built, name)
    except UsageError as error:
        raise UsageError(f'kernel "{brief(text)}": {error}; the syntax is {_syntax(name, build)}') from None
    return replace(kernel, name="".join(text.split()))


def _arguments(build: Callable[..., object], texts: list[str]) -> list[Any]:
    parameters = list(inspect.signature(build).parameters.values())
    least = sum(p.default is p.empty for p in parameters)
    if not least <= len(texts) <= len(parameters):
        span = f"{least}" if least == len(parameters) else f"{least} to {len(parameters)}"
        raise UsageError(f"the number of parameters is {len(texts)}; it must be {span}")
    arguments = []
    for parameter, text in zip(parameters, texts, strict=False):
        try:
            arguments.append(parameter.annotation.__metadata__[0](text))
        except UsageError as error:
            raise UsageError(f"{parameter.name.upper()} {error}") from None
    return arguments
