"""Options of ``convcli convolve``; those of the filter are in `convcli.filtering.options`."""

from dataclasses import dataclass
from typing import Annotated

from convcli.cli.options import InOut
from convcli.options import Option, kernel_names


@dataclass(eq=False, repr=False, kw_only=True)
class ConvolveInOut(InOut):
    """Inputs, kernels and results of a run."""

    kernel: Annotated[
        list[str],
        Option(
            "Kernel",
            "A kernel; may be repeated. See `convcli kernels`.",
            "--kernel",
            "-k",
            "SPEC",
            words=kernel_names,
        ),
    ]
    explain: Annotated[bool, Option("Output", "Print the plan and what it was chosen from.")] = False
    dry_run: Annotated[bool, Option("Output", "Plan only; write nothing.")] = False
