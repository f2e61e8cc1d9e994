"""What ``convcli bench`` does with its options."""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from convcli.arrays.library import Array
from convcli.bench import cases
from convcli.bench.contestants import Contestant
from convcli.bench.export import SORTS
from convcli.bench.results import Report
from convcli.bench.run_case import WRONG_RESULT, run_case
from convcli.bench.statistics import complaints
from convcli.bench.timer import Repeats
from convcli.cli import report, settings
from convcli.cli.backends.command import machine_facts
from convcli.cli.bench.files import Comparison, Outputs
from convcli.cli.bench.options import BenchOptions
from convcli.cli.bench.summary import Printer
from convcli.cli.io.sources import read_source
from convcli.errors import BackendError, InputError, UsageError, VerificationError
from convcli.options import given, refuse
from convcli.spec import choose
from convcli.system.files import shown
from convcli.system.resources import available_memory, check_memory, cpu_count
from convcli.text import printable, shape_text

Kernel = str | cases.Shape
LONGEST = 86400  # seconds for one contestant
STORED = 10**9  # bytes that temporaries may take by default; a stored matrix soon wants more


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
    option = what.replace(" ", "-")
    if single is not None and several is not None:
        raise UsageError(f"--{option} and --{option}s both say what to time; leave one out")
    if single is not None:
        found = cases.shapes(single, what)
        if len(found) > 1:
            raise UsageError(f"{what} {single} is several; use --{option}s")
        return found
    return cases.shapes(default if several is None else several, what if several is None else f"{what}s")


def scan(options: BenchOptions) -> cases.Scan:
    """Put together what varies; options that contradict each other are refused."""
    image, kernels = options.image, options.kernel
    if image is None:
        refuse("no image", "is about images that are read; leave it out", options)
    elif options.size is not None or options.sizes is not None:
        raise UsageError("an image has its own size; leave out IMAGE, or --size and --sizes")
    if kernels and (options.kernel_size is not None or options.kernel_sizes is not None):
        raise UsageError("-k and --kernel-size both say what the kernel is; leave one out")
    shapes = one_of(options.size, options.sizes, "size", "512")
    drawn = one_of(options.kernel_size, options.kernel_sizes, "kernel size", "5")
    chosen: Sequence[Kernel] = list(dict.fromkeys(kernels)) or drawn
    dtypes, threads = options.dtype, options.threads
    pixels = image_of(image, options.max_pixels)
    own = "float32" if pixels is None or pixels.dtype.name not in cases.DTYPES else pixels.dtype.name
    types = [own] if dtypes is None else cases.words(dtypes, cases.DTYPES, "dtype")
    sized = shapes if pixels is None else [pixels.shape[-2:]]
    _check_memory(sized, chosen, options.max_memory)
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


def _check_memory(shapes: Sequence[cases.Shape], kernels: Sequence[Kernel], limit: int | None) -> None:
    """Refuse images and random kernels that would not fit, before they are made."""
    drawn = [kernel for kernel in kernels if not isinstance(kernel, str)]
    held = sum(8 * math.prod(kernel) for kernel in drawn)
    for kernel, shape in itertools.product(drawn or [(1, 1)], shapes):
        # samples, the whole convolution in float64, its spectra, a result
        whole = math.prod(n + k - 1 for n, k in zip(shape, kernel, strict=True))
        more = f" and a random kernel of {shape_text(kernel)}" if drawn else ""
        check_memory(40 * whole + held, limit, f"an image of {shape_text(shape)}{more}", "smaller ones")


def contestants(options: BenchOptions) -> list[Contestant]:
    """List who takes part."""
    from convcli import backends
    from convcli.bench.backends import ours

    limit = options.max_memory
    if limit is None:
        limit = min(STORED, available_memory() or STORED)
    known = ["auto", *backends.names()]
    names = cases.words(options.backends, known, "backend") if options.backends else ()
    found = ours(names, max_memory=limit)
    if options.peers or options.peers_cli:
        from convcli.bench.peers import peers

        found += peers(*["peer"] * options.peers, *["process"] * options.peers_cli)
    if options.reference is not None:
        choose(options.reference, [contestant.name for contestant in found], "reference")
    return found


def schedule(options: BenchOptions) -> Repeats:
    """Read how often to run."""
    warmup, runs, min_time = options.warmup or 0, options.runs, options.min_time
    min_runs, max_runs = options.min_runs, options.max_runs
    counts = {"--runs": runs, "--min-runs": min_runs, "--max-runs": max_runs}
    for option, number in counts.items():
        if number is not None and number < 1:
            raise UsageError(f"{option} {number} is below 1; at least one run is timed")
    if warmup < 0:
        raise UsageError(f"--warmup {warmup} is below 0")
    if runs is not None:
        if min_runs is not None or max_runs is not None or min_time is not None:
            raise UsageError("--runs is exact; leave out --min-runs, --max-runs and --min-time")
        return Repeats(warmup, runs, runs, 0.0)
    default = Repeats()
    seconds = default.min_seconds if min_time is None else _seconds(min_time)
    least = min_runs or min(default.min_runs, max_runs or default.min_runs)
    most = max_runs or max(default.max_runs if min_time is None else sys.maxsize, least)
    if least > most:
        raise UsageError(f"--min-runs {least} is above --max-runs {most}")
    return Repeats(warmup, least, most, seconds)


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < LONGEST:
        raise UsageError(f'--min-time "{text}" is not a number of seconds from 0 to {LONGEST}')
    return found


def run(options: BenchOptions) -> None:
    """Time everything, print it as it comes, and write it; interrupted, write the cases that are done."""
    outputs = Outputs(options)
    outputs.check()
    how = schedule(options)
    against = Comparison.parse(options.compare, options.fail_if, how.max_runs)
    what, who = scan(options), contestants(options)
    reference, sort = options.reference, choose(options.sort, tuple(SORTS), "order")
    todo, names = what.cases(), [contestant.name for contestant in who]
    if against is not None:
        against.check(todo, names)
    record: dict[str, Any] = {"backends": names, **asdict(how), "reference": reference, "sort": sort}
    found = Report(machine_facts(), record, started=time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    lines = Printer(reference, sort, to_stderr=outputs.to_stdout, shown=not options.as_json)
    try:
        _run_cases(what, who, how, found, lines)
    except BaseException:
        if found.results:
            outputs.write(found)
        raise
    lines.conclusion(found)
    outputs.write(found)
    if not settings.quiet:
        for text in doubts(found):
            report.note(f"warning: {text}")
    _check(found, reference)
    if against is not None:
        against.report(found, lines)


def _run_cases(
    what: cases.Scan, who: Sequence[Contestant], how: Repeats, found: Report, lines: Printer
) -> None:
    count = len(what.cases())
    with report.progress(count * len(who), shown=not settings.quiet) as advance:
        for number, task in enumerate(what.tasks(), 1):
            place = f" (case {number} of {count})" if count > 1 else ""
            shares = dict.fromkeys((contestant.name for contestant in who), 0.0)

            def done(name: str, share: float, place: str = place, old: dict[str, float] = shares) -> None:
                advance(f"{name}{place}", share - old[name])
                old[name] = share

            found.results.extend(run_case(task, who, how, done=done))
            with advance.hidden():
                lines.case(found.results[-len(who) :])


def _check(found: Report, reference: str | None) -> None:
    """Refuse to call a benchmark done that timed nothing, or met a backend of ours that is wrong."""
    for result in found.results:
        if result.kind == "backend" and (result.skipped or "").startswith(WRONG_RESULT):
            raise VerificationError(
                f"{result.name} is {result.skipped} ({result.case.label}); please report it, "
                "and leave it out with --backends"
            )
    if not any(result.times for result in found.results):
        reasons = {f"{result.name}: {result.skipped}" for result in found.results}
        raise BackendError(f"nothing could be timed ({'; '.join(sorted(reasons))}); see convcli backends")
    missing = [r for r in found.results if r.name == reference and not r.times]
    if missing and not settings.quiet:
        report.note(f"{reference} has no time ({missing[0].skipped}); speed is relative to the fastest")


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


def calibrate(options: BenchOptions) -> None:
    """Measure this machine, and keep the rates for `auto`."""
    from convcli.bench import calibration
    from convcli.engine import rates

    if any(name not in ("calibrate", "threads", "force") for name, _ in given(options)):
        raise UsageError("--calibrate chooses what to run by itself; leave out the rest")
    threads = options.threads
    counts = [cpu_count()] if threads is None else cases.counts(threads, "threads")
    if len(counts) > 1:
        raise UsageError(f"--threads {threads} is several; calibrate for one number of threads")
    rates.check_writable()
    began = time.perf_counter()
    with ExitStack() as stack:
        made = calibration.calibrate(
            threads=counts[0],
            begin=lambda total: stack.enter_context(report.progress(total, shown=not settings.quiet)),
        )
    file = rates.save(made)
    if not settings.quiet:
        seconds = time.perf_counter() - began
        report.note(f"calibrated in {seconds:.0f} s; auto now goes by {file}")
