"""One input of ``convcli convolve`` and what was done with it; the JSON document holds these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from convcli.cli.io.jobs import FileRecord


@dataclass
class ConvolveRecord(FileRecord):
    """Facts on one input."""

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
