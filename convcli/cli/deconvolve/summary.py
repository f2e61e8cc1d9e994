"""The record of a restored image, and its summary on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from convcli.arrays import device
from convcli.cli import report, settings
from convcli.cli.io.jobs import FileRecord, print_records, times_text
from convcli.deconvolution.iteration import Iteration
from convcli.text import milliseconds


@dataclass
class DeconvolveRecord(FileRecord):
    """Facts on one input; the JSON document holds these."""

    output: str | None = None
    psf: str = ""
    psf_size: str = ""
    method: str = ""
    why: str = ""
    backend: str = ""
    border: str = ""
    noise: float | None = None
    noise_found: bool = False
    balance: float | None = None
    balance_found: bool = False
    iterations: int = 0
    interrupted: bool = False
    psnr: float | None = None
    ssim: float | None = None
    isnr: float | None = None
    clipped: int = 0
    saved: list[str] = field(default_factory=list)
    history: list[Iteration] = field(default_factory=list)


def print_history(record: DeconvolveRecord, *, title: str | None = None) -> None:
    """Print the iterations if there is a reference: 1, 2, 5, 10, … and the last, or all if verbose."""
    if record.psnr is None and not settings.verbose:
        return
    rows = []
    for entry in record.history:
        if not (settings.verbose or entry.iteration == record.iterations or _round(entry.iteration)):
            continue
        row = [str(entry.iteration), f"{entry.residual:.4g}", f"{entry.change:.2g}", f"{entry.noise:.3g}"]
        if record.balance is not None:
            row.append("" if entry.balance is None else f"{entry.balance:.3g}")
        if record.psnr is not None:
            row += [f"{entry.psnr:.2f}", f"{entry.ssim:.4f}", f"{entry.isnr:+.2f}"]
        rows.append(row)
    header = ["step", "residual", "change", "noise"]
    header += ["balance"] if record.balance is not None else []
    header += ["PSNR dB", "SSIM", "ISNR dB"] if record.psnr is not None else []
    report.table(header, rows, file=sys.stderr, title=title)


def _round(number: int) -> bool:
    """Whether a number is 1, 2 or 5 times a power of ten.

    >>> [n for n in range(1, 100) if _round(n)]
    [1, 2, 5, 10, 20, 50]
    """
    return str(number).rstrip("0") in ("1", "2", "5")


def print_summary(records: Sequence[DeconvolveRecord]) -> None:
    """Print one file in full, several as a line each; every one in full if verbose."""
    header = ("input", "output", "size", "method", "noise", "iterations", "time")
    print_records(records, _facts, header, _row)


def _row(record: DeconvolveRecord) -> tuple[str, ...]:
    written = "failed" if record.error else record.output or "not written"
    noise = "" if record.noise is None else f"{record.noise:.3g}"
    time = milliseconds(record.read_seconds + record.compute_seconds + record.write_seconds)
    return record.input, written, record.size, record.method, noise, str(record.iterations), time


def _facts(record: DeconvolveRecord) -> list[tuple[str, str]]:
    facts = [
        ("input", f"{record.input}  {record.size} {record.type}"),
        ("PSF", f"{record.psf}  {record.psf_size}"),
        ("method", f"{record.method} ({record.why})"),
        *([("backend", device.describe())] if record.backend == "cuda" else []),
        ("border", record.border),
        ("noise", f"{record.noise:.3g} ({'estimated' if record.noise_found else 'given'})"),
    ]
    if record.balance is not None:
        facts.append(("balance", f"{record.balance:.3g} ({'found' if record.balance_found else 'given'})"))
    facts.append(("iterations", str(record.iterations)))
    facts.append(("time", times_text(record, "read", "compute", "write")))
    facts.append(("clipped", f"{record.clipped} samples"))
    if record.psnr is not None:
        quality = f"PSNR {record.psnr:.2f} dB, SSIM {record.ssim:.4f}, ISNR {record.isnr:+.2f} dB"
        facts.append(("quality", quality))
    return [*facts, ("output", record.output or "not written; -o FILE keeps it")]
