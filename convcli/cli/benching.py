"""What ``convcli bench`` does with its options."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convcli import report
from convcli.arrays import Array
from convcli.atomic import (
    atomic_write,
    check_target,
    open_input,
    printable,
    read_bounded,
    shown,
    stdout_stream,
)
from convcli.cli import benchtables, settings
from convcli.cli.backends import machine_facts
from convcli.cli.options import real
from convcli.cli.sources import read_source
from convcli.errors import BackendError, InputError, UsageError, VerificationError
from convcli.machine import available_memory, check_memory, cpu_count
from convcli.spec import choose, shape_text
from convcli.timing import cases
from convcli.timing.compare import Change, Rule, compare, different_machine, failures, parse_rule
from convcli.timing.contest import Contestant
from convcli.timing.export import FORMATS, SORTS
from convcli.timing.race import race
from convcli.timing.reading import from_json
from convcli.timing.results import Report
from convcli.timing.statistics import complaints
from convcli.timing.timer import Schedule

STORED = 10**9  # bytes that temporaries may take by default; a stored matrix soon wants more
LARGEST_JSON = 1 << 28


@dataclass(frozen=True)
class Outputs:
    """Where results go besides the terminal.

    Attributes
    ----------
    exports : dict of str to (str or None)
        Target by format; ``-`` is stdout.
    plot : str or None
    as_json : bool
        A document on stdout in place of the tables.
    force : bool
        Replace files that exist.
    """

    exports: dict[str, str | None]
    plot: str | None
    as_json: bool
    force: bool

    def check(self) -> None:
        """Refuse what cannot be written, before anything is timed."""
        if [*self.exports.values()].count("-") + self.as_json > 1:
            raise UsageError("two documents would go to standard output; give all but one a file")
        if self.plot is not None:
            from convcli.timing.plot import check_plot

            check_plot(Path(self.plot))
        targets = [t for t in (*self.exports.values(), self.plot) if t is not None and t != "-"]
        for target in targets:
            check_target(Path(target), force=self.force)
        if len({str(Path(target).resolve()) for target in targets}) < len(targets):
            raise UsageError("two outputs would go to the same file; give each its own")

    @property
    def to_stdout(self) -> bool:
        """Whether stdout is for a document, so that tables go to stderr."""
        return self.as_json or "-" in self.exports.values()

    def write(self, found: Report, reference: str | None, sort: str) -> None:
        """Write all that was asked for."""
        for form, target in (*self.exports.items(), ("json", "-" if self.as_json else None)):
            if target is None:
                continue
            data = FORMATS[form](found, reference, sort).encode()
            if target == "-":
                with stdout_stream() as stream:
                    stream.write(data)
            else:
                with atomic_write(Path(target), force=self.force) as file:
                    file.write(data)
        if self.plot is not None:
            from convcli.timing.plot import check_plot, plot

            with atomic_write(Path(self.plot), force=self.force) as file:
                plot(found, file, check_plot(Path(self.plot)))


@dataclass(frozen=True)
class Comparison:
    """An older benchmark to compare with, and when that is a failure."""

    old: Report
    rule: Rule | None

    @classmethod
    def parse(cls, file: str | None, rule: str | None) -> Comparison | None:
        """Read the older benchmark, before anything is timed."""
        if file is None:
            if rule is not None:
                raise UsageError(f"--fail-if {rule} needs something to compare with; add --compare OLD.json")
            return None
        parsed = None if rule is None else parse_rule(rule)
        with open_input(Path(file)) as stream:
            return cls(from_json(read_bounded(stream, file, LARGEST_JSON), file), parsed)

    def report(self, found: Report, lines: benchtables.Printer) -> None:
        """Print what changed; raise if the rule says so."""
        changes = compare(found, self.old, self.rule.statistic if self.rule else "median")
        lines.changes(changes)
        note = different_machine(found, self.old)
        if note:
            report.note(note)
        slower = failures(changes, self.rule) if self.rule else []
        if slower and self.rule:
            raise VerificationError(_regression(slower, self.rule))


def _regression(slower: Sequence[Change], rule: Rule) -> str:
    worst = max(slower, key=lambda change: change.ratio.value if change.ratio else 0)
    assert worst.ratio is not None
    more = f", and {len(slower) - 1} more" if len(slower) > 1 else ""
    return (
        f"{worst.name} ({worst.case.label}) took {worst.ratio.value:.2f} times as long "
        f"(95 % interval {worst.ratio.low:.2f} to {worst.ratio.high:.2f}){more}; "
        f"allowed: {rule.statistic} {1 + rule.limit:.2f}"
    )


def image_of(name: str | None, max_pixels: int | None) -> Array | None:
    """Read the image as (planes, height, width), alpha left out; None for none."""
    if name is None:
        return None
    found = read_source(name, None, None, max_pixels)
    assert found.planes is not None
    if found.planes.ndim < 2:
        raise UsageError(f"{name} has one axis ({shape_text(found.shape)}); bench takes images")
    if not np.isfinite(found.planes).all():
        raise InputError(f"{shown(name)} holds NaN or infinity, which libraries treat in different ways")
    planes: Array = found.planes.reshape(-1, *found.planes.shape[-2:])
    return planes


def one_of(single: str | None, several: str | None, what: str, default: str) -> list[cases.Shape]:
    """Read an option that gives one size, or that which gives several."""
    if single is not None and several is not None:
        option = what.replace(" ", "-")
        raise UsageError(f"--{option} and --{option}s both say what to time; leave one out")
    if single is not None:
        found = cases.shapes(single, what)
        if len(found) > 1:
            raise UsageError(f"{what} {single} is several; use --{what.replace(' ', '-')}s")
        return found
    return cases.shapes(default if several is None else several, what if several is None else f"{what}s")


def scan(
    image: str | None,
    sizes: tuple[str | None, str | None],
    kernels: list[str],
    kernel_sizes: tuple[str | None, str | None],
    dtypes: str | None,
    threads: str | None,
    *,
    max_pixels: int | None,
    max_memory: int | None,
) -> cases.Scan:
    """Put together what varies; options that contradict each other are refused."""
    if image is not None and any(s is not None for s in sizes):
        raise UsageError("an image has its own size; leave out IMAGE, or --size and --sizes")
    if kernels and any(s is not None for s in kernel_sizes):
        raise UsageError("-k and --kernel-size both say what the kernel is; leave one out")
    shapes = one_of(*sizes, "size", "512")
    chosen: Sequence[str | cases.Shape] = list(dict.fromkeys(kernels)) or one_of(
        *kernel_sizes, "kernel size", "5"
    )
    pixels = image_of(image, max_pixels)
    own = "float32" if pixels is None or pixels.dtype.name not in cases.DTYPES else pixels.dtype.name
    types = [own] if dtypes is None else cases.words(dtypes, cases.DTYPES, "dtype")
    sized = shapes if pixels is None else [pixels.shape[-2:]]
    _check_memory(sized, chosen, max_memory)
    if pixels is not None and "uint8" in types and own != "uint8":
        raise UsageError(f"{image} is {pixels.dtype}, and --dtype uint8 would cut it; convert it before")
    return cases.Scan(
        kernels=chosen,
        shapes=shapes,
        dtypes=types,
        threads=[cpu_count()] if threads is None else cases.counts(threads, "threads"),
        image=pixels,
        name="random" if image is None else printable(Path(image).name),
    )


def _check_memory(
    shapes: Sequence[cases.Shape], kernels: Sequence[str | cases.Shape], limit: int | None
) -> None:
    """Refuse images and random kernels that would not fit, before they are made."""
    drawn = [kernel for kernel in kernels if not isinstance(kernel, str)]
    held = sum(8 * math.prod(kernel) for kernel in drawn)
    for kernel in drawn or [(1, 1)]:
        for shape in shapes:  # samples, the whole convolution in float64, its spectra, a result
            whole = math.prod(n + k - 1 for n, k in zip(shape, kernel, strict=True))
            what = f"an image of {shape_text(shape)}"
            if drawn:
                what += f" and a random kernel of {shape_text(kernel)}"
            check_memory(40 * whole + held, limit, what, "smaller ones")


def contestants(
    names: str | None, max_memory: int | None, *, peers: bool, programs: bool, reference: str | None
) -> list[Contestant]:
    """List who takes part."""
    from convcli import backends
    from convcli.timing.backends import ours

    allowed = ["auto", *backends.names()]
    limit = max_memory if max_memory is not None else min(STORED, available_memory() or STORED)
    found = ours(cases.words(names, allowed, "backend") if names else (), max_memory=limit)
    if peers:
        from convcli.timing.peers import peers as libraries

        found += libraries()
    if programs:
        from convcli.timing.programs import programs as all_programs

        found += all_programs()
    if reference is not None:
        choose(reference, [contestant.name for contestant in found], "reference")
    return found


def schedule(
    warmup: int, runs: int | None, min_runs: int | None, max_runs: int | None, min_time: str | None
) -> Schedule:
    """Read how often to run."""
    given = {"--runs": runs, "--min-runs": min_runs, "--max-runs": max_runs}
    for option, number in given.items():
        if number is not None and number < 1:
            raise UsageError(f"{option} {number} is below 1; at least one run is timed")
    if warmup < 0:
        raise UsageError(f"--warmup {warmup} is below 0")
    if runs is not None:
        if min_runs is not None or max_runs is not None or min_time is not None:
            raise UsageError("--runs is exact; leave out --min-runs, --max-runs and --min-time")
        return Schedule(warmup, runs, runs, 0.0)
    default = Schedule()
    seconds = default.min_seconds if min_time is None else real(min_time, "--min-time")
    if seconds < 0:
        raise UsageError(f"--min-time {min_time} is below 0")
    least = min_runs if min_runs is not None else min(default.min_runs, max_runs or default.min_runs)
    most = max_runs if max_runs is not None else max(default.max_runs, least)
    if least > most:
        raise UsageError(f"--min-runs {least} is above --max-runs {most}")
    return Schedule(warmup, least, most, seconds)


def run(
    what: cases.Scan,
    who: Sequence[Contestant],
    how: Schedule,
    outputs: Outputs,
    against: Comparison | None,
    *,
    reference: str | None,
    sort: str,
) -> None:
    """Time everything, print it as it comes, and write it."""
    choose(sort, tuple(SORTS), "order")
    todo = what.cases()
    options: dict[str, Any] = {
        "backends": [contestant.name for contestant in who],
        **asdict(how),
        "reference": reference,
        "sort": sort,
    }
    found = Report(machine_facts(), options, started=time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    lines = benchtables.Printer(reference, sort, to_stderr=outputs.to_stdout, shown=not outputs.as_json)
    with report.progress(len(todo) * len(who), shown=not settings.quiet) as advance:
        for number, problem in enumerate(what.problems(), 1):
            place = f" (case {number} of {len(todo)})" if len(todo) > 1 else ""
            shares = dict.fromkeys((contestant.name for contestant in who), 0.0)

            def done(name: str, share: float, place: str = place, old: dict[str, float] = shares) -> None:
                advance(f"{name}{place}", share - old[name])
                old[name] = share

            found.results.extend(race(problem, who, how, done=done))
            with advance.hidden():
                lines.case(found.results[-len(who) :])
    lines.conclusion(found)
    outputs.write(found, reference, sort)
    if not settings.quiet:
        for text in doubts(found):
            report.note(f"warning: {text}")
    if against is not None:
        against.report(found, lines)
    if not any(result.times for result in found.results):
        reasons = {f"{result.name}: {result.skipped}" for result in found.results}
        raise BackendError(f"nothing could be timed ({'; '.join(sorted(reasons))}); see convcli backends")


def doubts(found: Report) -> list[str]:
    """Say what makes the times doubtful, the same thing only once."""
    several = len(found.cases()) > 1
    texts: dict[str, list[str]] = {}
    for result in found.results:
        name = f"{result.name} ({result.case.label})" if several else result.name
        for complaint, remedy in complaints(result.times):
            texts.setdefault(remedy, []).append(f"{name}: {complaint}")
    return [
        f"{first}{f', and {len(more)} more such' if more else ''}; {remedy}"
        for remedy, (first, *more) in texts.items()
    ]


def calibrate(threads: str | None, *, alone: bool, quiet: bool) -> None:
    """Measure this machine, and keep the rates for `auto`."""
    from convcli import profile
    from convcli.timing import calibration

    if not alone:
        raise UsageError("--calibrate chooses what to run by itself; leave out the rest")
    counts = [cpu_count()] if threads is None else cases.counts(threads, "threads")
    if len(counts) > 1:
        raise UsageError(f"--threads {threads} is several; calibrate for one number of threads")
    profile.check_writable()
    began = time.perf_counter()
    with report.progress(calibration.runs(counts[0]), shown=not quiet) as advance:
        made = calibration.calibrate(threads=counts[0], done=advance)
    file = profile.save(made)
    if not quiet:
        seconds = time.perf_counter() - began
        report.note(f"calibrated in {seconds:.0f} s; auto now goes by {file}")
