"""The summary of a run, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from convcli.arrays import device, native
from convcli.cli import report, settings
from convcli.cli.convolve.record import Record
from convcli.text import bytes_text, milliseconds


def print_summary(records: Sequence[Record], *, dry_run: bool) -> None:
    """Print one file in full, several as a line each; every one in full if verbose."""
    if len(records) == 1 or settings.verbose:
        for record in records:
            report.table(("", ""), _facts(record, dry_run), file=sys.stderr)
        return
    rows = [
        (
            r.input,
            "failed"
            if r.error
            else ", ".join(r.outputs) or ", ".join(f"({t})" for t in r.targets) or "not written",
            r.output_size,
            r.backend,
            milliseconds(r.read_seconds + r.plan_seconds + r.compute_seconds + r.write_seconds),
            str(r.clipped),
        )
        for r in records
    ]
    report.table(("input", "output", "size", "backend", "time", "clipped"), rows, file=sys.stderr)


def _facts(record: Record, dry_run: bool) -> list[tuple[str, str]]:
    size = record.size if record.size == record.output_size else f"{record.size} → {record.output_size}"
    if record.error:
        return [("input", record.input), ("error", record.error)]
    facts = [
        ("input", f"{record.input}  {record.size} {record.type}"),
        ("kernel", ", ".join(record.kernels)),
        ("backend", f"{record.backend} ({record.why})"),
    ]
    if record.size != record.output_size:
        facts.insert(1, ("size", size))
    if settings.verbose:
        facts += [("arithmetic", record.arithmetic), ("threads", str(record.threads))]
    if dry_run:
        would = f"; it would be {', '.join(record.targets)}" if record.targets else ""
        return [*facts, ("output", f"nothing computed or written: dry run{would}")]
    times = (
        ("read", record.read_seconds),
        ("plan", record.plan_seconds),
        ("compute", record.compute_seconds),
        ("write", record.write_seconds),
    )
    return [
        *facts,
        ("time", ", ".join(f"{name} {milliseconds(seconds)}" for name, seconds in times)),
        ("speed", f"{record.megapixels_per_second:.3g} megapixels/s computed"),
        ("clipped", f"{record.clipped} samples"),
        ("output", ", ".join(record.outputs) or "not written; -o FILE keeps it"),
    ]


def _where(backend: str) -> str:
    """What would compute: the compiled code, or the GPU."""
    return device.describe() if backend.startswith("cuda") else f"direct: {native.describe()}"


def print_plan(record: Record) -> None:
    """Print every candidate with its estimates and the reason for or against it."""
    rows = [
        (
            str(entry["candidate"]),
            "-" if entry["seconds"] is None else milliseconds(entry["seconds"]),
            "-" if entry["memory_bytes"] is None else bytes_text(entry["memory_bytes"]),
            "-" if entry["multiply_adds"] is None else f"{entry['multiply_adds'] / 1e6:,.0f} M",
            entry["reason"],
        )
        for entry in sorted(record.plan, key=lambda e: (e["seconds"] is None, e["seconds"]))
    ]
    report.table(
        ("candidate", "estimate", "memory", "multiply-adds", "verdict"),
        rows,
        file=sys.stderr,
        title=f"plan for {record.input} ({_where(record.backend)})",
    )
    report.table(("", ""), list(record.schedule.items()), file=sys.stderr)
