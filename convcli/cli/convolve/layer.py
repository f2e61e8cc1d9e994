"""Whether the options of ``convcli convolve`` go together with a kernel, or with a bank of kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convcli.errors import UsageError
from convcli.filtering.options import BankOptions, Filter
from convcli.options import refuse

if TYPE_CHECKING:
    from convcli.kernels import Kernel


def layer_of(kernels: Sequence[Kernel], how: Filter, options: BankOptions) -> BankOptions | None:
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
    if options.output_padding != 0 and not options.transposed:
        raise UsageError("--output-padding is for --transposed; leave it out")
    if bank.bias:
        raise UsageError(f"the bias {bank.bias:g} of bank {bank.name} has no place; use --bias-file")
    return options
