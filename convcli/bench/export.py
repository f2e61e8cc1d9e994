"""A benchmark as text: JSON that can be read back, CSV for a spreadsheet, Markdown for people.

Names of numbers carry their unit, as in ``median_seconds``. What is not known is null in JSON and empty
in the others; there is no NaN.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, astuple
from typing import Any

from convcli.bench.results import PHASES, Case, Report, Result, relative
from convcli.bench.statistics import Ratio
from convcli.text import finite, json_text, printable, time_unit
from convcli.version import __version__

TIMES = ("median", "IQR", "min")  # columns in a unit that suits the case, and those after them
OTHERS = ("relative", "MP/s", "GFLOP/s", "memory [MB]", "max error")
SUMMARY = {"median": "median", "lower_quartile": "lower", "upper_quartile": "upper", "min": "min"}
SUMMARY |= {"max": "max", "mean": "mean", "standard_deviation": "deviation"}
SPECIAL = re.compile(r"([\\`*|<\[])")  # what Markdown would take for something else within a word

# Orders of the contestants of a case; those that were skipped come last in all but the first.
SORTS: dict[str, Callable[[Result], Any]] = {
    "order": lambda result: 0,  # noqa: ARG005
    "median": lambda result: result.summary.median if result.times else math.inf,
    "name": lambda result: (not result.times, result.name),
}


def to_json(report: Report, reference: str | None = None, sort: str = "order") -> str:
    """Write a report as one JSON document, the times of all runs included.

    `reference` is the contestant to which ``relative`` relates, by default the fastest of each case, and
    `sort` one of `SORTS`, in all formats.

    >>> import json
    >>> case = Case("random", 1, (64, 64), "random", (3, 3), "float32", 1)
    >>> report = Report({}, {}, [Result(case, "direct", "backend", (0.25,))])
    >>> json.loads(to_json(report))["results"][0]["median_seconds"]
    0.25
    """
    rows = [
        {"case": _flat(result.case), **row, "times_seconds": result.times}
        for result, row in _rows(report, reference, sort)
    ]
    facts = {"started": report.started, "machine": report.machine, "settings": report.settings}
    return json_text({"convcli": __version__, **facts, "results": rows}) + "\n"


def to_csv(report: Report, reference: str | None = None, sort: str = "order") -> str:
    r"""Write a report as a table for spreadsheets (RFC 4180), a row for each result.

    >>> case = Case("random", 1, (64, 64), "random", (3, 3), "float32", 1)
    >>> to_csv(Report({}, {}, [Result(case, "direct", "backend", (0.25,))])).splitlines()[1][:57]
    'random,1,64,64,random,3,3,float32,1,direct,backend,,,1,0.'
    """
    rows = [{**_flat(result.case), **finite(row)} for result, row in _rows(report, reference, sort)]
    file = io.StringIO()
    writer = csv.DictWriter(file, rows[0] if rows else ())
    writer.writeheader()
    for row in rows:
        writer.writerow({key: printable(v) if isinstance(v, str) else v for key, v in row.items()})
    return file.getvalue()


def to_markdown(report: Report, reference: str | None = None, sort: str = "order") -> str:
    """Write a report for people: a heading and a table for each case.

    >>> case = Case("random", 1, (64, 64), "random", (3, 3), "float32", 1)
    >>> print(to_markdown(Report({}, {}, [Result(case, "direct", "backend", (0.25, 0.25))])))
    ### 64×64 float32, random 3×3 kernel, 1 thread
    <BLANKLINE>
    | backend | median [ms] | IQR [ms] | min [ms] | relative | MP/s | GFLOP/s | memory [MB] | max error |
    |:---|---:|---:|---:|---:|---:|---:|---:|---:|
    | direct | 250.0 | 0.0 | 250.0 | 1.00 | 0.0164 | 0.000295 |  |  |
    <BLANKLINE>
    """
    parts = []
    for case, results in report.cases().items():
        unit, scale, digits = time_unit(min((r.summary.median for r in results if r.times), default=1.0))
        header = ["backend", *[f"{name} [{unit}]" for name in TIMES], *OTHERS]
        lines = [f"### {_escaped(case.label)}", "", _line(header), "|:---|" + "---:|" * (len(header) - 1)]
        ratios = relative(results, reference)
        for result in ordered(results, sort):
            cells = [f"skipped: {_escaped(str(result.skipped))}", *[""] * (len(header) - 2)]
            if result.times:
                cells = _cells(result, ratios[result.name], scale, digits)
            lines.append(_line([_escaped(result.name), *cells]))
        phases = [phases_text(result) for result in ordered(results, sort) if result.phases]
        if phases:
            lines += ["", *(f"- {_escaped(text)}" for text in phases)]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


# By the name of its option, each takes a report, a reference and an order.
FORMATS = {"json": to_json, "csv": to_csv, "markdown": to_markdown}


def ordered(results: Iterable[Result], sort: str) -> list[Result]:
    """Sort the contestants of a case by one of `SORTS`."""
    return sorted(results, key=SORTS[sort])


def _rows(report: Report, reference: str | None, sort: str) -> Iterator[tuple[Result, dict[str, Any]]]:
    """Yield every result, and all that is known of it, less its case: the same keys for all."""
    for results in report.cases().values():
        ratios = relative(results, reference)
        for result in ordered(results, sort):
            times, ratio = result.summary if result.times else None, ratios.get(result.name)
            row = {
                "name": result.name,
                "kind": result.kind,
                "plan": result.plan,
                "skipped": result.skipped,
                "runs": len(result.times),
                **{f"{key}_seconds": times and getattr(times, name) for key, name in SUMMARY.items()},
                "outliers": times and times.outliers,
                "relative": ratio and ratio.value,
                "relative_error": ratio and ratio.error,
                "megapixels_per_second": times and result.megapixels_per_second,
                "gflops": times and result.gflops,
                "max_error": result.max_error,
                "allocated_bytes": result.allocated_bytes,
                "resident_bytes": result.resident_bytes,
                **(asdict(result.phases) if result.phases else dict.fromkeys(PHASES)),
            }
            yield result, row


def _flat(case: Case) -> dict[str, Any]:
    """Return the fields of a case, its shapes as heights and widths."""
    shapes = {"shape": ("height", "width"), "kernel_shape": ("kernel_height", "kernel_width")}
    found: dict[str, Any] = {}
    for name, value in asdict(case).items():
        found |= dict(zip(shapes[name], value, strict=True)) if name in shapes else {name: value}
    return found


def _cells(result: Result, ratio: Ratio, scale: float, digits: int) -> list[str]:
    times, memory, error = result.summary, result.peak_bytes, result.max_error
    unsure = f" ± {ratio.error:.2f}" if 0 < ratio.error < math.inf else ""
    cells = [f"{seconds / scale:.{digits}f}" for seconds in (times.median, times.spread, times.min)]
    rates = [f"{result.megapixels_per_second:.3g}", f"{result.gflops:.3g}"]
    more = ["" if memory is None else f"{memory / 1e6:.1f}", "" if error is None else f"{error:.1e}"]
    return [*cells, f"{ratio.value:.2f}{unsure}", *rates, *more]


def phases_text(result: Result) -> str:
    """Say where the time on a GPU went, in milliseconds.

    >>> from convcli.bench.results import Phases
    >>> case = Case("random", 1, (64, 64), "random", (3, 3), "float32", 1)
    >>> phases_text(Result(case, "cuda:fft", "backend", (0.5,), phases=Phases(1e-3, 2.5e-4, 0.8, 0.55)))
    'cuda:fft: transfer 1, kernel 0.25, first call 800 (compilation 550) ms'
    """
    found = result.phases
    assert found is not None
    transfer, kernel, first, compilation = (f"{seconds * 1e3:.3g}" for seconds in astuple(found))
    times = f"transfer {transfer}, kernel {kernel}, first call {first} (compilation {compilation}) ms"
    return f"{result.name}: {times}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return SPECIAL.sub(r"\\\1", printable(text))
