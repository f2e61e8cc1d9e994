"""The record of a filtered input, and its summary on stderr."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from convcli.arrays import device, native
from convcli.cli import report, settings
from convcli.cli.io.jobs import FileRecord, print_records, times_text
from convcli.text import bytes_text, milliseconds


@dataclass(eq=False, repr=False)
class ConvolveRecord(FileRecord):
    """Facts on one input; the JSON document holds these."""

    targets: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    output_size: str = ""
    kernels: list[str] = field(default_factory=list)
    backend: str = ""
    why: str = ""
    arithmetic: str = ""
    threads: int = 0
    plan_seconds: float = 0.0
    megapixels_per_second: float = 0.0
    clipped: int = 0
    plan: list[dict[str, Any]] = field(default_factory=list)
    schedule: dict[str, str] = field(default_factory=dict)


def print_summary(records: Sequence[ConvolveRecord], *, dry_run: bool) -> None:
    """Print one file in full, several as a line each; every one in full if verbose."""
    header = ("input", "output", "size", "backend", "time", "clipped")
    print_records(records, functools.partial(_facts, dry_run=dry_run), header, _row)


def _row(record: ConvolveRecord) -> tuple[str, ...]:
    written = ", ".join(record.outputs) or ", ".join(f"({t})" for t in record.targets) or "not written"
    seconds = record.read_seconds + record.plan_seconds + record.compute_seconds + record.write_seconds
    result = "failed" if record.error else written
    cells = (record.input, result, record.output_size, record.backend, milliseconds(seconds))
    return (*cells, str(record.clipped))


def _facts(record: ConvolveRecord, dry_run: bool) -> list[tuple[str, str]]:
    size = record.size if record.size == record.output_size else f"{record.size} → {record.output_size}"
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
    return [
        *facts,
        ("time", times_text(record, "read", "plan", "compute", "write")),
        ("speed", f"{record.megapixels_per_second:.3g} megapixels/s computed"),
        ("clipped", f"{record.clipped} samples"),
        ("output", ", ".join(record.outputs) or "not written; -o FILE keeps it"),
    ]


def print_plan(record: ConvolveRecord) -> None:
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
    where = device.describe() if record.backend.startswith("cuda") else f"direct: {native.describe()}"
    header = ("candidate", "estimate", "memory", "multiply-adds", "verdict")
    report.table(header, rows, file=sys.stderr, title=f"plan for {record.input} ({where})")
    report.table(("", ""), list(record.schedule.items()), file=sys.stderr)
