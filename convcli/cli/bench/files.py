"""What ``convcli bench`` reads and writes besides images: documents, a picture, an older benchmark."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from convcli.bench.compare import Change, Rule, compare, different_machine, failures, parse_rule
from convcli.bench.export import FORMATS
from convcli.bench.import_json import from_json
from convcli.bench.results import Case, Report
from convcli.cli import report, settings
from convcli.cli.bench.options import BenchOptions
from convcli.cli.bench.summary import Printer
from convcli.errors import ConvcliError, InputError, UsageError, VerificationError
from convcli.system.files import atomic_write, check_target, open_input, read_bounded, stdout_stream

LARGEST_JSON = 1 << 28
FEWEST_RUNS = 3


@dataclass(frozen=True)
class Outputs:
    """Where results go besides the terminal."""

    options: BenchOptions

    def check(self) -> None:
        """Refuse what cannot be written, before anything is timed."""
        if [*self.options.exports.values()].count("-") + self.options.as_json > 1:
            raise UsageError("two documents would go to standard output; give all but one a file")
        if self.options.plot is not None:
            from convcli.bench.plot import check_plot

            check_plot(Path(self.options.plot))
        targets = [t for t in (*self.options.exports.values(), self.options.plot) if t not in (None, "-")]
        for target in targets:
            check_target(Path(target), force=self.options.force)
        if len({str(Path(target).resolve()) for target in targets}) < len(targets):
            raise UsageError("two outputs would go to the same file; give each its own")

    @property
    def to_stdout(self) -> bool:
        """Whether stdout is for a document, so that tables go to stderr."""
        return self.options.as_json or "-" in self.options.exports.values()

    def write(self, found: Report) -> None:
        """Write all that was asked for, stdout last; what cannot be written stops nothing else."""
        errors: list[ConvcliError] = []
        wanted = [*self.options.exports.items(), *([("json", "-")] if self.options.as_json else [])]
        wanted += [("plot", self.options.plot)] if self.options.plot is not None else []
        for form, target in sorted(wanted, key=lambda pair: pair[1] == "-"):
            try:
                self._write_one(form, target, found)
            except ConvcliError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _write_one(self, form: str, target: str, found: Report) -> None:
        if form == "plot":
            from convcli.bench.plot import check_plot, plot

            with self._opened(target) as file:
                plot(found, file, check_plot(Path(target)))
            return
        data = FORMATS[form](found, self.options.reference, self.options.sort).encode()
        with self._opened(target) as stream:
            stream.write(data)

    def _opened(self, target: str) -> AbstractContextManager[BinaryIO]:
        return stdout_stream() if target == "-" else atomic_write(Path(target), force=self.options.force)


@dataclass(frozen=True)
class Comparison:
    """An older benchmark to compare with, and when that is a failure."""

    old: Report
    name: str
    rule: Rule | None

    @classmethod
    def parse(cls, file: str | None, rule: str | None, runs: int) -> Comparison | None:
        """Read the older benchmark, before anything is timed; no contestant will have more `runs`."""
        if file is None:
            if rule is not None:
                raise UsageError(f"--fail-if {rule} needs something to compare with; add --compare OLD.json")
            return None
        parsed = None if rule is None else parse_rule(rule)
        if parsed and runs < FEWEST_RUNS:
            why = f"which {runs} runs do not show; allow at least {FEWEST_RUNS}"
            raise UsageError(f"--fail-if goes by the noise, {why}")
        name = "standard input" if file == "-" else file
        with contextlib.nullcontext(sys.stdin.buffer) if file == "-" else open_input(Path(file)) as stream:
            return cls(from_json(read_bounded(stream, name, LARGEST_JSON), name), name, parsed)

    def check(self, cases: Iterable[Case], names: Iterable[str]) -> None:
        """Refuse to time what the older benchmark has nothing of."""
        names = set(names)
        timed = {(r.case, r.name) for r in self.old.results if r.times}
        if not any((case, name) in timed for case in cases for name in names):
            case = next(iter(self.old.cases()), None)
            example = f", such as {case.label}" if case else ""
            raise InputError(
                f"{self.name} holds no time of any of these cases; time what it holds{example}, "
                "or export a new one with --export-json"
            )

    def report(self, found: Report, lines: Printer) -> None:
        """Print what changed; raise if the rule says so."""
        changes = compare(found, self.old, self.rule.statistic if self.rule else "median")
        lines.changes(changes)
        note = different_machine(found, self.old)
        if note and not settings.quiet:
            report.note(note)
        slower = failures(changes, self.rule) if self.rule else []
        if slower and self.rule:
            raise VerificationError(_regression(slower, self.rule))


def _regression(slower: Sequence[Change], rule: Rule) -> str:
    worst = max(slower, key=lambda change: change.ratio.value if change.ratio else 0)
    more = f", and {len(slower) - 1} more" if len(slower) > 1 else ""
    if worst.ratio is None:
        return f"{worst.name} ({worst.case.label}) has no time any more: {worst.why}{more}"
    return (
        f"{worst.name} ({worst.case.label}) took {worst.ratio.value:.2f} times as long "
        f"(95 % interval {worst.ratio.low:.2f} to {worst.ratio.high:.2f}){more}; "
        f"allowed: {rule.statistic} {1 + rule.limit:.2f}; if that is as it should be, export a new JSON file"
    )
