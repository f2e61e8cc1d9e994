"""What was timed, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from convcli.bench.statistics import Ratio, Summary, ratio, summarise
from convcli.text import counted, shape_text


@dataclass(frozen=True)
class Case:
    """One problem that all contestants solve: an image filtered to its own size, zero outside.

    `image` is the name of a file and `kernel` as the user wrote it, or they are ``"random"``; `planes` are
    channels, each filtered by itself; `dtype` is the samples' type. Shapes are (height, width).
    """

    image: str
    planes: int
    shape: tuple[int, int]
    kernel: str
    kernel_shape: tuple[int, int]
    dtype: str
    threads: int

    @property
    def label(self) -> str:
        """The case in words.

        >>> Case("random", 1, (512, 512), "random", (3, 3), "float32", 2).label
        '512×512 float32, random 3×3 kernel, 2 threads'
        """
        image = "" if self.image == "random" else f"{self.image}, "
        planes = "" if self.planes == 1 else f"×{self.planes}"
        threads = counted(self.threads, "thread")
        kernel = f"{self.kernel} {shape_text(self.kernel_shape)} kernel"
        return f"{image}{shape_text(self.shape)}{planes} {self.dtype}, {kernel}, {threads}"

    @property
    def pixels(self) -> int:
        """Pixels of the image, however many planes they have."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Phases:
    """Where the time of a backend on a GPU went, by the clock of the GPU.

    Transfers there and back and the computation are medians of all calls but the first. The first call is
    timed by the host; a part of it is the compilation of our own kernels.
    """

    transfer_seconds: float
    kernel_seconds: float
    first_seconds: float
    compile_seconds: float


PHASES = tuple(field.name for field in fields(Phases))


@dataclass(frozen=True)
class Result:
    """What one contestant made of one case.

    `kind` is "backend" (ours), "peer" (a library) or "process" (a program from start to end); `plan` is the
    decision of a backend; `phases` are those of a backend on a GPU. `times` are seconds of every run, in
    order; there are none if it was skipped. `max_error` is the largest difference from the result in float64,
    as a fraction of the largest magnitude. Bytes are the peak of one run beyond what was there before: arrays
    that NumPy allocated, and memory of the process that was resident.
    """

    case: Case
    name: str
    kind: str
    times: tuple[float, ...] = ()
    skipped: str | None = None
    plan: str = ""
    max_error: float | None = None
    allocated_bytes: int | None = None
    resident_bytes: int | None = None
    phases: Phases | None = None

    @cached_property
    def summary(self) -> Summary:
        """Statistics of the times; a skipped result has none."""
        return summarise(self.times)

    @property
    def peak_bytes(self) -> int | None:
        """The larger of the two measures of memory: each misses what the other sees."""
        return max((b for b in (self.allocated_bytes, self.resident_bytes) if b is not None), default=None)

    @property
    def megapixels_per_second(self) -> float:
        """Pixels in the median time."""
        return self.case.pixels / self.summary.median / 1e6

    @property
    def gflops(self) -> float:
        """Effective rate: 2·kh·kw operations per output, however few were really done."""
        outputs = self.case.planes * self.case.pixels
        return 2 * math.prod(self.case.kernel_shape) * outputs / self.summary.median / 1e9


@dataclass(frozen=True)
class Report:
    """A benchmark that is over: results, those of a case together, in the order in which they ran.

    `machine` is as ``convcli backends --json`` describes it, `settings` are the options, `started` is local
    time in ISO 8601.
    """

    machine: dict[str, Any]
    settings: dict[str, Any]
    results: list[Result] = field(default_factory=list)
    started: str = ""

    def cases(self) -> dict[Case, list[Result]]:
        """Results by case."""
        found: dict[Case, list[Result]] = {}
        for result in self.results:
            found.setdefault(result.case, []).append(result)
        return found


def fastest(results: Iterable[Result]) -> Result | None:
    """Return the result with the least median; None if all were skipped."""
    return min((r for r in results if r.times), key=lambda r: r.summary.median, default=None)


def relative(results: Iterable[Result], reference: str | None = None) -> dict[str, Ratio]:
    """Divide the times of a case by the reference's: by default, or if that was skipped, the fastest's."""
    timed = [r for r in results if r.times]
    base = next((r for r in timed if r.name == reference), None) or fastest(timed)
    return {r.name: ratio(r.times, base.times) for r in timed} if base else {}
