"""Options of ``convcli convolve``; those of the filter are in `convcli.filtering.options`."""

from dataclasses import dataclass
from typing import Annotated

from convcli.cli.options import InOut
from convcli.options import Option, kernel_option


@dataclass(eq=False, repr=False, kw_only=True)
class ConvolveInOut(InOut):
    """Inputs, kernels and results of a run."""

    kernel: Annotated[list[str], kernel_option("A kernel; may be repeated. See `convcli kernels`.")]
    explain: Annotated[bool, Option("Output", "Print the plan and what it was chosen from.")] = False
    dry_run: Annotated[bool, Option("Output", "Plan only; write nothing.")] = False
