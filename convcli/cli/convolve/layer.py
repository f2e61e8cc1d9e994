"""Options of ``convcli convolve`` that are for a bank of kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convcli.arrays.library import Array
from convcli.cli.options import axes
from convcli.errors import InputError, UsageError
from convcli.filtering.banks import BankOptions
from convcli.kernels import Kernel, parse_kernel
from convcli.layers.geometry import PADDING_NAMES, Padding
from convcli.spec import PerAxis, per_axis
from convcli.system.files import shown
from convcli.text import shape_text


def layer_of(
    kernels: Sequence[Kernel],
    *,
    padding: str | None,
    groups: int,
    bias_file: str | None,
    transposed: bool,
    output_padding: PerAxis,
    mode: str | None,
    origin: str | None,
    without_use: Mapping[str, bool],
    without_use_transposed: Mapping[str, bool],
) -> BankOptions | None:
    """Return what the options say of a bank; None if no kernel is one.

    Parameters
    ----------
    kernels : sequence of Kernel
    padding, groups, bias_file, transposed, output_padding, mode, origin
        As the options of these names were given.
    without_use, without_use_transposed : mapping
        Names of options that a bank, or a transposed one, has no use for; true where they were given.

    Raises
    ------
    UsageError
        For options of a bank without one, and options that go with none.
    """
    banks = [kernel for kernel in kernels if kernel.is_bank]
    given = {
        "padding": padding is not None,
        "groups": groups != 1,
        "bias-file": bias_file is not None,
        "transposed": transposed,
        "output-padding": output_padding != 0,
    }
    if not banks:
        for name in (name for name, there in given.items() if there):
            raise UsageError(
                f"--{name} is for a bank of kernels, an array (out, in, height, width), and "
                f"{kernels[0].name} is one kernel; leave it out"
            )
        return None
    bank = banks[0]
    if len(kernels) > 1:
        raise UsageError(f"{bank.name} is a bank of kernels; give it alone, without another -k")
    useless = {**without_use, **(without_use_transposed if transposed else {})}
    for name in (name for name, there in useless.items() if there):
        what = "a transposed bank" if name in without_use_transposed else "a bank of kernels"
        raise UsageError(f"--{name} has no meaning for {what}, which {bank.name} is; leave it out")
    if padding is not None and mode is not None:
        raise UsageError("--padding and --mode both say how far the result reaches; leave one out")
    if origin is not None and mode is None:
        raise UsageError("--origin has no effect on a bank without --mode; leave it out")
    if output_padding != 0 and not transposed:
        raise UsageError("--output-padding is for --transposed; leave it out")
    if bank.bias:
        raise UsageError(f"the bias {bank.bias:g} of bank {bank.name} has no place; use --bias-file")
    return BankOptions(
        padding=None if mode is not None else _padding(padding),
        groups=per_axis(groups, 1, "groups", 1)[0],
        bias=None if bias_file is None else _bias(bias_file),
        transposed=transposed,
        output_padding=output_padding,
    )


def _padding(text: str | None) -> Padding:
    """Read a number, one per axis, begins and ends, or a word."""
    if text is None:
        return 0
    if text in PADDING_NAMES:
        return text
    try:
        return axes(text, "padding")
    except UsageError:
        raise UsageError(
            f'padding "{text}" is no number, numbers such as 1x2, or one of {", ".join(PADDING_NAMES)}'
        ) from None


def _bias(path: str) -> Array:
    """Read one number per output from a file of any kind that a kernel may come from."""
    try:
        found = parse_kernel(f"@{path.removeprefix('@')}")
    except InputError as error:
        raise InputError(str(error).replace("kernel file", "bias file", 1)) from None
    if max(found.values.shape) != found.values.size:
        raise InputError(
            f"bias file {shown(path)} holds {shape_text(found.values.shape)} numbers; "
            "it takes a row of them, one per output"
        )
    return (found.values if found.divisor == 1 else found.weights).reshape(-1)
