"""What is printed about restored images, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from convcli.arrays import device
from convcli.cli import report, settings
from convcli.text import milliseconds

if TYPE_CHECKING:
    from convcli.cli.deconvolve.run import Record


def print_history(record: Record, *, title: str | None = None) -> None:
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
    while number % 10 == 0:
        number //= 10
    return number in (1, 2, 5)


def print_restored(records: Sequence[Record]) -> None:
    """Print one file in full, several as a line each; every one in full if verbose."""
    if len(records) == 1 or settings.verbose:
        for record in records:
            report.table(("", ""), _facts(record), file=sys.stderr)
        return
    rows = [
        (
            r.input,
            "failed" if r.error else r.output or "not written",
            r.size,
            r.method,
            "" if r.noise is None else f"{r.noise:.3g}",
            str(r.iterations),
            milliseconds(r.read_seconds + r.compute_seconds + r.write_seconds),
        )
        for r in records
    ]
    report.table(("input", "output", "size", "method", "noise", "iterations", "time"), rows, file=sys.stderr)


def _facts(record: Record) -> list[tuple[str, str]]:
    if record.error:
        return [("input", record.input), ("error", record.error)]
    times = (
        ("read", record.read_seconds),
        ("compute", record.compute_seconds),
        ("write", record.write_seconds),
    )
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
    facts.append(("time", ", ".join(f"{name} {milliseconds(seconds)}" for name, seconds in times)))
    facts.append(("clipped", f"{record.clipped} samples"))
    if record.psnr is not None:
        facts.append(
            ("quality", f"PSNR {record.psnr:.2f} dB, SSIM {record.ssim:.4f}, ISNR {record.isnr:+.2f} dB")
        )
    return [*facts, ("output", record.output or "not written; -o FILE keeps it")]
