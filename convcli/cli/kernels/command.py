"""``convcli kernels``: list the named kernels, or show one kernel."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from convcli.cli.command import command
from convcli.cli.options import OneJson
from convcli.options import Argument

if TYPE_CHECKING:
    from convcli.kernels import Kernel

LARGEST_SHOWN = 15  # cells per side
LARGEST_SVD = 512
MOST_PLANES = 16  # of a bank


@dataclass(eq=False, repr=False)
class KernelsOptions:
    """What to list or show."""

    spec: Annotated[str | None, Argument("[SPEC]", "A kernel, as -k takes it.")] = None
    as_json: OneJson = False


@command(needs_arguments=False)
def kernels(options: KernelsOptions) -> None:
    """List the named kernels, or show one.

    \b
    Examples:
      convcli kernels
      convcli kernels gaussian:1.5
      convcli kernels "0 -1 0; -1 5 -1; 0 -1 0"
    """
    from convcli.cli import report
    from convcli.kernels import named_kernels

    if options.spec is not None:
        _show(options.spec, options.as_json)
        return
    found = named_kernels()
    if options.as_json:
        print(json.dumps([kernel._asdict() for kernel in found]))
        return
    report.table(("kernel", "what it is"), [(kernel.syntax, kernel.summary) for kernel in found])


def _show(spec: str, as_json: bool) -> None:
    """Show a kernel, or a bank and the first of its planes."""
    from convcli.cli import report
    from convcli.kernels import parse_kernel
    from convcli.kernels.kernel import place
    from convcli.spec import default_origin
    from convcli.text import shape_text

    kernel = parse_kernel(spec)
    values, origin = kernel.values, kernel.origin or default_origin(kernel.taps)
    facts, document = _bank_facts(kernel) if kernel.is_bank else _kernel_facts(kernel, origin)
    if as_json:
        common = {"name": kernel.name, "kernel": values.tolist()}
        common |= {"divisor": kernel.divisor, "bias": kernel.bias}
        print(json.dumps({**common, "origin": list(reversed(origin)), "sum": _sum(kernel), **document}))
        return
    titles = [("bank" if kernel.is_bank else "kernel", kernel.name), ("size", shape_text(kernel.taps))]
    facts += [("divisor", f"{kernel.divisor:g}")] if kernel.divisor != 1 else []
    facts += [("bias", f"{kernel.bias:g}")] if kernel.bias else []
    report.table(("", ""), titles + facts)
    planes = values.reshape(-1, *values.shape[-2:]) if values.ndim > 1 else values[None, None]
    if not kernel.is_bank:
        print()
    for number, plane in enumerate(planes[: MOST_PLANES if kernel.is_bank else None]):
        if kernel.is_bank:
            print(f"\n{place(number, values.shape[:-2], values.ndim)}:")
        rows = plane.tolist()
        small = max(plane.shape if kernel.is_bank else values.shape) <= LARGEST_SHOWN
        report.matrix(rows, [[f"{v:.4g}" for v in row] for row in rows] if small else None)
    if kernel.is_bank and len(planes) > MOST_PLANES:
        print(f"\nand {len(planes) - MOST_PLANES:,} more like these; --json prints all")


def _bank_facts(kernel: "Kernel") -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """Return the rows of the table, and what the JSON document has besides."""
    outputs, channels = kernel.values.shape[:2]
    facts = [("outputs", str(outputs)), ("channels", str(channels)), ("sum", f"{_sum(kernel):g}")]
    return facts, {"outputs": outputs, "channels": channels}


def _kernel_facts(kernel: "Kernel", origin: tuple[int, ...]) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """Return the rows of the table, and what the JSON document has besides."""
    import numpy as np

    from convcli.engine.separable import HIGHEST_RANK, low_rank

    terms = low_rank(kernel.values)
    flat = kernel.values.reshape(-1, kernel.values.shape[-1]).astype(np.float64)
    small = min(flat.shape) <= LARGEST_SVD
    rank = len(terms) or (int(np.linalg.matrix_rank(flat)) if small else None)
    facts = [
        ("sum", f"{_sum(kernel):g}"),
        ("rank", f"more than {HIGHEST_RANK}" if rank is None else str(rank)),
        ("separable", _passes(kernel.taps, len(terms))),
        ("origin", ",".join(str(o) for o in reversed(origin)) + " (x,y)"),
    ]
    return facts, {"rank": rank, "separable": len(terms) == 1}


def _sum(kernel: "Kernel") -> float:
    """Sum the weights; what only rounding keeps from 0 is 0."""
    weights = kernel.weights
    total = float(weights.sum())
    return 0.0 if abs(total) < 1e-12 * float(abs(weights).sum()) else total


def _passes(shape: tuple[int, ...], terms: int) -> str:
    if sum(n > 1 for n in shape) < 2:
        return "one axis already"
    if terms == 0:
        return "no"
    return "yes: one 1-D pass per axis" if terms == 1 else f"no; but a sum of {terms} that are"
