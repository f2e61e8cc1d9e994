"""``convcli kernels``: list the named kernels, or show one kernel."""

import json
from typing import Annotated

import typer

from convcli.cli.options import Debug

LARGEST_SHOWN = 15  # cells per side
LARGEST_SVD = 512


def kernels(
    spec: Annotated[
        str | None, typer.Argument(metavar="[SPEC]", help="A kernel, as -k takes it.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    debug: Debug = False,
) -> None:
    """List the named kernels, or show one.

    \b
    Examples:
      convcli kernels
      convcli kernels gaussian:1.5
      convcli kernels "0 -1 0; -1 5 -1; 0 -1 0"
    """
    from convcli import report
    from convcli.kernels import named_kernels

    if spec is not None:
        _show(spec, as_json)
        return
    found = named_kernels()
    if as_json:
        keys = ("name", "syntax", "summary", "example")
        print(json.dumps([{key: getattr(kernel, key) for key in keys} for kernel in found]))
        return
    report.table(("kernel", "what it is"), [(kernel.syntax, kernel.summary) for kernel in found])


def _show(spec: str, as_json: bool) -> None:
    import numpy as np

    from convcli import report
    from convcli.kernels import parse_kernel
    from convcli.separable import HIGHEST_RANK, low_rank
    from convcli.spec import shape_text

    kernel = parse_kernel(spec)
    values = kernel.values
    terms = low_rank(values)
    flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
    small = min(flat.shape) <= LARGEST_SVD
    rank = len(terms) or (int(np.linalg.matrix_rank(flat)) if small else None)
    origin = kernel.origin or tuple((n - 1) // 2 for n in values.shape)
    total = float(kernel.weights.sum())
    if abs(total) < 1e-12 * float(np.abs(kernel.weights).sum()):
        total = 0.0  # but for rounding
    if as_json:
        document = {
            "name": kernel.name,
            "kernel": values.tolist(),
            "divisor": kernel.divisor,
            "bias": kernel.bias,
            "origin": list(reversed(origin)),
            "sum": total,
            "rank": rank,
            "separable": len(terms) == 1,
        }
        print(json.dumps(document))
        return
    facts = [
        ("kernel", kernel.name),
        ("size", shape_text(values.shape)),
        ("sum", f"{total:g}"),
        ("rank", f"more than {HIGHEST_RANK}" if rank is None else str(rank)),
        ("separable", _passes(values.shape, len(terms))),
        ("origin", ",".join(str(o) for o in reversed(origin)) + " (x,y)"),
    ]
    if kernel.divisor != 1:
        facts.append(("divisor", f"{kernel.divisor:g}"))
    if kernel.bias:
        facts.append(("bias", f"{kernel.bias:g}"))
    report.table(("", ""), facts)
    print()
    small = max(values.shape) <= LARGEST_SHOWN
    for plane in values.reshape(-1, *values.shape[-2:]) if values.ndim > 1 else values[None, None]:
        rows = plane.tolist()
        report.matrix(rows, [[f"{v:.4g}" for v in row] for row in rows] if small else None)


def _passes(shape: tuple[int, ...], terms: int) -> str:
    if sum(n > 1 for n in shape) < 2:
        return "one axis already"
    if terms == 0:
        return "no"
    return "yes: one 1-D pass per axis" if terms == 1 else f"no; but a sum of {terms} that are"
