"""What a filter is asked to do: options that concern samples, checked once."""

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Self

from convcli.errors import InputError, UsageError
from convcli.options import (
    BorderValue,
    Dilation,
    MaxMemory,
    Option,
    Origin,
    Precision,
    Stride,
    Threads,
    axes,
    backend_option,
    check_border_value,
    real,
)
from convcli.spec import BORDERS, MODES, OPS, RANGES, PerAxis, choose, per_axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcli.arrays.library import Array
    from convcli.kernels import Kernel
    from convcli.layers.geometry import Padding

NORMALIZATIONS = ("none", "sum", "abs", "auto")
COMBINATIONS = ("none", "magnitude", "max", "sum", "mean")
ALPHAS = ("premultiply", "filter", "ignore")
DTYPES = ("keep", "uint8", "uint16", "float32")
NANS = ("propagate", "interpolate", "fill:")


class Percent(float):
    """A number in percent of full brightness."""


def number_or_percent(text: str, what: str) -> float:
    """Read a number, or a percentage of full brightness.

    >>> number_or_percent("128", "bias"), type(number_or_percent("50%", "bias")).__name__
    (128.0, 'Percent')
    """
    number = real(text.removesuffix("%"), what)
    return Percent(number) if text.endswith("%") else number


_bounds, _samples = partial(Option, "Borders and size"), partial(Option, "Samples")
_single = partial(Option, "Kernel", not_with=("bank",))
_photos = partial(Option, "Samples", not_with=("array", "bank"))
_banks = partial(Option, "Banks of kernels", not_with=("single kernel",))
TRANSPOSED, PLAIN = ("transposed bank",), ("single kernel", "untransposed bank")
BORDERS_HELP = (
    ", ".join(BORDERS).replace("zero", "zero (the default in Python)", 1)
    + ".  [default: nearest; a bank: zero]"
)
DTYPES_HELP = "Samples written: keep, uint8, uint16 (gray; colour to .png), float32 (gray .tif; .npy)."
NORMALIZE_HELP = "Divide by the kernel's sum: none, sum, abs, or auto (abs where sum is 0)."
COMBINE_HELP = "Of several kernels: magnitude, max, sum, mean, or none for one output each."
BACKENDS_HELP = "auto, or a name from `convcli backends`; cuda is a GPU."
MODES_HELP = "same, full or valid.  [default: same; a bank: --padding 0]"


@dataclass(frozen=True, eq=False, repr=False)
class Filter:
    """How to filter: the options of ``convcli convolve`` that concern samples.

    `for_kernels` fills in what is None by default. `divisor` and `bias` take the place of the kernel's own.
    `range` is by default ``clamp`` for images and wherever `dtype` is asked for, and ``none`` for arrays.
    """

    op: Annotated[
        str | None,
        Option("Kernel", "convolve or correlate.  [default: convolve; a bank: correlate]", "OP", words=OPS),
    ] = None
    mode: Annotated[str | None, _bounds(MODES_HELP, "MODE", words=MODES, not_with=TRANSPOSED)] = None
    border: Annotated[
        str | None, _bounds(BORDERS_HELP, "NAME", words=tuple(BORDERS), not_with=TRANSPOSED)
    ] = None
    border_value: BorderValue = None
    origin: Origin = None
    stride: Stride = 1
    dilation: Dilation = 1
    normalize: Annotated[str, _single(NORMALIZE_HELP, "RULE", words=NORMALIZATIONS)] = "none"
    divisor: Annotated[
        float | None, _single("Divide the result, in place of the kernel's own.", "D", parse=real)
    ] = None
    bias: Annotated[
        float | None, _single("Add to the result; P% of full brightness.", "B|P%", parse=number_or_percent)
    ] = None
    range: Annotated[
        str | None,
        _samples("clamp, abs, minmax or none.  [default: clamp; arrays: none]", "RULE", words=RANGES),
    ] = None
    dtype: Annotated[str, _samples(DTYPES_HELP, "TYPE", words=DTYPES)] = "keep"
    gray: Annotated[bool, _photos("Filter the brightness only (Rec. 709).")] = False
    linear: Annotated[bool, _photos("Filter in linear light (sRGB).")] = False
    alpha: Annotated[str, _photos("premultiply, filter or ignore.", "RULE", words=ALPHAS)] = "premultiply"
    nan: Annotated[
        str, _samples("propagate, interpolate or fill:V.", "RULE", words=NANS, not_with=TRANSPOSED)
    ] = "propagate"
    repeat: Annotated[int, _single("Apply the filter N times.", "N")] = 1
    combine: Annotated[str, _single(COMBINE_HELP, "RULE", words=COMBINATIONS)] = "none"
    backend: Annotated[str, backend_option(BACKENDS_HELP)] = "auto"
    precision: Precision = "auto"
    threads: Threads = None
    max_memory: MaxMemory = None

    def __post_init__(self) -> None:
        choose(self.normalize, NORMALIZATIONS, "normalize rule")
        choose(self.combine, COMBINATIONS, "combination")
        choose(self.alpha, ALPHAS, "alpha rule")
        choose(self.dtype, DTYPES, "dtype")
        if self.range is not None:
            choose(self.range, RANGES, "range")
        check_border_value(self.border_value, self.border)
        if self.divisor == 0:
            raise UsageError("divisor 0 divides by zero; use another number")
        if self.divisor is not None and self.normalize != "none":
            raise UsageError(f"divisor {self.divisor:g} and normalize {self.normalize} both divide; use one")
        if self.repeat < 1:
            raise UsageError(f"repeat {self.repeat} is below 1; every filter is applied at least once")

    def for_kernels(self, kernels: "Sequence[Kernel]") -> Self:
        """Fill in the defaults that depend on whether a kernel is a bank."""
        bank = any(kernel.is_bank for kernel in kernels)
        return replace(
            self,
            mode=self.mode or "same",
            border=self.border or ("zero" if bank else "nearest"),
            op=self.op or ("correlate" if bank else "convolve"),
        )


def _padding(text: str, what: str) -> "Padding":
    """Read a number, one per axis, begins and ends, or a word."""
    from convcli.layers.geometry import PADDING_NAMES

    if text in PADDING_NAMES:
        return text
    try:
        return axes(text, what)
    except UsageError:
        raise UsageError(
            f'{what} "{text}" is no number, numbers such as 1x2, or one of {", ".join(PADDING_NAMES)}'
        ) from None


def _numbers(path: str, what: str) -> "Array":
    """Read one number per output from a file of any kind that a kernel may come from."""
    from convcli.kernels import parse_kernel
    from convcli.system.files import shown
    from convcli.text import shape_text

    try:
        found = parse_kernel(f"@{path.removeprefix('@')}")
    except InputError as error:
        raise InputError(str(error).replace("kernel file", what, 1)) from None
    if max(found.values.shape) != found.values.size:
        raise InputError(
            f"{what} {shown(path)} holds {shape_text(found.values.shape)} numbers; "
            "it takes a row of them, one per output"
        )
    return (found.values if found.divisor == 1 else found.weights).reshape(-1)


@dataclass(frozen=True, eq=False, repr=False)
class BankOptions:
    """What a bank of kernels needs beyond a `Filter`; `padding` is by default as `Filter.mode` says, or 0."""

    padding: Annotated[
        "Padding | None",
        _banks("Of a bank: N, NxM, same, ... or begins,ends as 1,1,2,2.", "P", parse=_padding),
    ] = None
    groups: Annotated[int, _banks("Of a bank: groups of channels.", "N")] = 1
    bias_values: Annotated[
        "Array | None",
        _banks("Of a bank: a number to add to every output.", "--bias-file", "FILE", parse=_numbers),
    ] = None
    transposed: Annotated[bool, _banks("Of a bank: the transposed convolution.")] = False
    output_padding: Annotated[
        PerAxis,
        _banks("Of a transposed bank: samples added at the end.", "N|NxM", parse=axes, not_with=PLAIN),
    ] = 0

    def __post_init__(self) -> None:
        per_axis(self.groups, 1, "groups", 1)

    def channels(self, bank: "Array") -> int:
        """Channels that the bank takes."""
        return len(bank) if self.transposed else bank.shape[1] * self.groups

    def outputs(self, bank: "Array") -> int:
        """Channels that it makes of them."""
        return bank.shape[1] * self.groups if self.transposed else len(bank)
