"""Options of ``convcli convolve``; those of the filter are in `convcli.filtering.options`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from convcli.cli.options import InOut
from convcli.errors import UsageError
from convcli.filtering.options import BankOptions, Filter
from convcli.options import Option, kernel_option, refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcli.kernels import Kernel


@dataclass(eq=False, repr=False, kw_only=True)
class ConvolveInOut(InOut):
    """Inputs, kernels and results of a run."""

    kernel: Annotated[list[str], kernel_option("A kernel; may be repeated. See `convcli kernels`.")]
    explain: Annotated[bool, Option("Output", "Print the plan and what it was chosen from.")] = False
    dry_run: Annotated[bool, Option("Output", "Plan only; write nothing.")] = False


def layer_of(kernels: "Sequence[Kernel]", how: Filter, options: BankOptions) -> BankOptions | None:
    """Return the options of a bank, or None without one; refuse those that do not go with the kernels."""
    banks = [kernel for kernel in kernels if kernel.is_bank]
    if not banks:
        why = "is for a bank of kernels, an array (out, in, height, width)"
        refuse("single kernel", f"{why}, and {kernels[0].name} is one kernel; leave it out", options)
        return None
    bank = banks[0]
    if len(kernels) > 1:
        raise UsageError(f"{bank.name} is a bank of kernels; give it alone, without another -k")
    refuse("bank", f"has no meaning for a bank of kernels, which {bank.name} is; leave it out", how)
    if options.transposed:
        why = f"has no meaning for a transposed bank, which {bank.name} is; leave it out"
        refuse("transposed bank", why, how)
    if options.padding is not None and how.mode is not None:
        raise UsageError("--padding and --mode both say how far the result reaches; leave one out")
    if how.origin is not None and how.mode is None:
        raise UsageError("--origin has no effect on a bank without --mode; leave it out")
    if not options.transposed:
        refuse("untransposed bank", "is for --transposed; leave it out", options)
    if bank.bias:
        raise UsageError(f"the bias {bank.bias:g} of bank {bank.name} has no place; use --bias-file")
    return options
