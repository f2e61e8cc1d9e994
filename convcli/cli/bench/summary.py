"""How a benchmark looks on the terminal, or in a pipe."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TextIO

from convcli.bench.compare import Change
from convcli.bench.curves import FIELDS, variant
from convcli.bench.export import ordered, phases_text
from convcli.bench.results import Case, Report, Result, fastest, relative
from convcli.bench.statistics import Ratio, Summary
from convcli.cli import report, settings
from convcli.text import figures, time_unit


class Printer:
    """Prints the results of case after case, as they come, to stderr if stdout is for a document."""

    def __init__(self, reference: str | None, sort: str, *, to_stderr: bool, shown: bool) -> None:
        self.reference, self.sort = reference, sort
        self.file: TextIO = sys.stderr if to_stderr else sys.stdout
        self.shown = shown and not (settings.quiet and to_stderr)

    def case(self, results: Sequence[Result]) -> None:
        """Print the table of one case."""
        if not self.shown:
            return
        best = fastest(results)
        unit, scale, _ = time_unit(best.summary.median if best else 1.0)
        ratios = relative(results, self.reference)
        header = ("backend", "median", "IQR", "min", "relative", "MP/s", "GFLOP/s", "MB", "error")
        rows = [_row(r, ratios.get(r.name), scale) for r in ordered(results, self.sort)]
        title = f"{results[0].case.label}; times in {unit}"
        report.columns(header, rows, title=title, file=self.file, best=best.name if best else None)
        chooses = [r for r in results if r.times and (r.name == "auto" or r.plan.startswith(f"{r.name}:"))]
        plans = [f"{r.name} chose {r.plan}" for r in chooses]
        plans += [phases_text(r) for r in ordered(results, self.sort) if r.phases]
        if settings.verbose:
            plans += [f"{r.name}: {r.plan}, {_runs(r.summary)}" for r in results if r.times]
        for line in plans:
            print(line, file=self.file)
        print(file=self.file)

    def conclusion(self, found: Report) -> None:
        """Draw bars of a single case on a terminal; sum up several in a table."""
        if not self.shown:
            return
        every = found.cases()
        if len(every) == 1:
            timed = [r for r in ordered(next(iter(every.values())), "median") if r.times]
            unit, scale, _ = time_unit(timed[0].summary.median) if timed else ("", 1.0, 0)
            values = [(r.name, r.summary.median / scale) for r in timed]
            report.bars([(name, value, f"{figures(value)} {unit}") for name, value in values], self.file)
            return
        rows: list[tuple[str, ...]] = []
        # the facts in which cases differ at all: the others need not be told
        differs = [name for name in FIELDS if len({getattr(case, name) for case in every}) > 1]
        for case, results in every.items():
            label = variant(case, differs)
            best, auto = fastest(results), next((r for r in results if r.name == "auto" and r.times), None)
            if best is None:
                rows.append((label, "none could run", "", "", ""))
                continue
            nanoseconds = best.summary.median / case.pixels * 1e9
            regret = f"{auto.summary.median / best.summary.median:.2f}" if auto else "-"
            rows.append((label, best.name, f"{nanoseconds:.3g}", auto.plan if auto else "-", regret))
        header = ("case", "fastest", "ns/pixel", "auto chose", "auto/fastest")
        report.table(header, rows, file=self.file)

    def changes(self, changes: Sequence[Change]) -> None:
        """Print what became of each time, a table for every case; beside a document, on stderr."""
        if settings.quiet and self.file is sys.stderr:
            return
        header = ("backend", "old", "new", "new/old", "95 % interval", "verdict")
        every: dict[Case, list[tuple[str, ...]]] = {}
        for change in changes:
            times = [t for t in (change.old, change.new) if t is not None]
            unit, scale, digits = time_unit(min(times)) if times else ("", 1.0, 0)
            both = (change.old, change.new)
            old, new = ("-" if t is None else f"{t / scale:.{digits}f} {unit}" for t in both)
            ratio = change.ratio
            found = (f"{ratio.value:.2f}", f"{ratio.low:.2f} to {ratio.high:.2f}") if ratio else ("-", "-")
            verdict = f"{change.verdict}: {change.why}" if change.why else change.verdict
            every.setdefault(change.case, []).append((change.name, old, new, *found, verdict))
        for case, rows in every.items():
            report.columns(header, rows, title=f"{case.label}, against the older times", file=self.file)
            print(file=self.file)


def _row(result: Result, ratio: Ratio | None, scale: float) -> tuple[str, ...]:
    """Return the cells of a contestant; a name and the reason for one that was skipped."""
    if ratio is None:
        return result.name, str(result.skipped)
    found, peak, error = result.summary, result.peak_bytes, result.max_error
    times = (figures(seconds / scale) for seconds in (found.median, found.spread, found.min))
    rates = map(figures, (result.megapixels_per_second, result.gflops))
    memory = "-" if peak is None else figures(peak / 1e6)
    return result.name, *times, _quotient(ratio), *rates, memory, "-" if error is None else f"{error:.0e}"


def _quotient(ratio: Ratio) -> str:
    """Write a ratio with its standard error, to the same decimals.

    >>> _quotient(Ratio(2.0, 0.04, 1.9, 2.1)), _quotient(Ratio(1.0, 0.0, 1.0, 1.0))
    ('2.00±0.04', '1')
    """
    if ratio.value == 1:
        return "1"
    decimals = 2 if ratio.value < 10 else 1 if ratio.value < 100 else 0
    if not math.isfinite(ratio.error):  # of a single run
        return f"{ratio.value:.{decimals}f}"
    return f"{ratio.value:.{decimals}f}±{ratio.error:.{decimals}f}"


def _runs(found: Summary) -> str:
    return f"{found.runs} runs, mean {found.mean:.3g} s ± {found.deviation:.2g}, {found.outliers} outliers"
