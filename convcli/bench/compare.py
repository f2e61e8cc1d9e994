"""Whether code became slower between two benchmarks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from convcli.bench.results import Case, Report
from convcli.bench.statistics import STATISTICS, Ratio, ratio
from convcli.errors import InputError, UsageError
from convcli.text import brief, printable

RULE = re.compile(r"(\w+):([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})( ?%)?", re.ASCII)
MACHINE = ("cpu", "threads")  # facts of a machine that times depend on most


@dataclass(frozen=True)
class Rule:
    """When a benchmark has failed: the new time exceeds the old by more than `limit` of it."""

    statistic: str
    limit: float


@dataclass(frozen=True)
class Change:
    """One contestant on one case, then and now: seconds, or None where it was not timed.

    The verdict is "slower" or "faster" only if the interval of the ratio lies wholly on one side of 1, else
    "same"; "new" or "gone" where only one report has a time. `why` is the reason for a missing one, if known.
    """

    case: Case
    name: str
    statistic: str
    old: float | None
    new: float | None
    ratio: Ratio | None
    verdict: str
    why: str | None = None


def parse_rule(text: str) -> Rule:
    """Read the argument of ``--fail-if``: a statistic and a limit in percent, or as a fraction.

    >>> parse_rule("median:10%"), parse_rule("min:0.05")
    (Rule(statistic='median', limit=0.1), Rule(statistic='min', limit=0.05))
    """
    match = RULE.fullmatch(text.strip())
    if not match:
        raise UsageError(f'"{brief(text)}" is not a statistic and a limit; write it as median:10%')
    statistic, number, percent = match[1], float(match[2]), match[3]
    if statistic not in STATISTICS:
        raise UsageError(f'unknown statistic "{brief(statistic)}"; use one of {", ".join(STATISTICS)}')
    if not percent and number >= 1:
        limit = match[2]
        raise UsageError(f"limit {limit} is not below 1, as a fraction must be; for percent, write {limit}%")
    return Rule(statistic, number / 100 if percent else number)


def compare(new: Report, old: Report, statistic: str = "median") -> list[Change]:
    """Set the times of two reports side by side.

    Changes are in the order of the new report, and then those that only the old one has; that neither has
    any in common is an error. Beyond what the interval can tell: another clock speed or load shifts all runs
    of a report together; one comparison in twenty leaves out 1 by chance; fewer than 5 runs give the interval
    of their extremes, which is wide, and a single run none; that of a minimum is too narrow, since runs drawn
    again are never faster than the fastest (Efron and Tibshirani, 1993, section 7.4).

    >>> from convcli.bench.results import Result
    >>> case = Case("random", 1, (64, 64), "random", (3, 3), "float32", 1)
    >>> def report(*times):
    ...     return Report({}, {}, [Result(case, "direct", "backend", times)])
    >>> then, now = report(1.0, 1.02, 0.98), report(1.5, 1.53, 1.47)
    >>> [change.verdict for change in compare(now, then)]
    ['slower']
    """
    now, then = _timed(new), _timed(old)
    reasons = {(r.case, r.name): r.skipped for r in new.results if not r.times}
    changes = []
    for key in {**now, **then}:
        found = ratio(now[key], then[key], statistic) if key in now and key in then else None
        before, after = (_value(times.get(key), statistic) for times in (then, now))
        verdict = _verdict(found) if found else "new" if key in now else "gone"
        changes.append(Change(*key, statistic, before, after, found, verdict, reasons.get(key)))
    if not any(change.ratio for change in changes):
        raise InputError(
            "no contestant was timed on the same case in both reports; "
            f"the new one has {_contents(new)}, the old one {_contents(old)}"
        )
    return changes


def failures(changes: Iterable[Change], rule: Rule) -> list[Change]:
    """Return what became slower by more than the rule allows, beyond the noise.

    That is: the whole 95 % interval of the ratio lies above 1 + limit. A contestant that took part, had a
    time before and has none now fails too.

    >>> case = Case("random", 1, (64, 64), "random", (3, 3), "float32", 1)
    >>> change = Change(case, "direct", "median", 1.0, 1.3, Ratio(1.3, 0.05, 1.2, 1.4), "slower")
    >>> len(failures([change], Rule("median", 0.1))), len(failures([change], Rule("median", 0.25)))
    (1, 0)
    """
    found = []
    for change in changes:
        compared = change.statistic
        if compared != rule.statistic:
            raise ValueError(f"the {compared} was compared, and the rule is about the {rule.statistic}")
        broken = change.verdict == "gone" and change.why is not None
        if broken or (change.ratio and change.ratio.low > 1 + rule.limit):
            found.append(change)
    return found


def different_machine(new: Report, old: Report) -> str | None:
    """Say how the machines of two reports differ, as far as both are known.

    >>> different_machine(Report({"threads": 4}, {}), Report({"threads": 2}, {}))
    'the old report is from another machine (threads: 2, now 4); times may differ for that alone'
    """
    differences = [
        f"{fact}: {_fact(old.machine[fact])}, now {_fact(new.machine[fact])}"
        for fact in MACHINE
        if fact in old.machine and fact in new.machine and old.machine[fact] != new.machine[fact]
    ]
    if not differences:
        return None
    return (
        f"the old report is from another machine ({'; '.join(differences)}); times may differ for that alone"
    )


def _timed(report: Report) -> dict[tuple[Case, str], tuple[float, ...]]:
    return {(r.case, r.name): r.times for r in report.results if r.times}


def _value(times: tuple[float, ...] | None, statistic: str) -> float | None:
    return float(getattr(np, statistic)(times)) if times else None


def _verdict(found: Ratio) -> str:
    return "slower" if found.low > 1 else "faster" if found.high < 1 else "same"


def _contents(report: Report) -> str:
    first = next((r for r in report.results if r.times), None)
    return f'"{printable(first.name)}" on {brief(first.case.label, 120)}' if first else "no times"


def _fact(value: object) -> str:
    return brief(str(value)) if isinstance(value, str | int | float) else "?"
