"""Filter files one after the other: read, filter, write, and keep a record of each."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convcli import report
from convcli.atomic import printable, shown
from convcli.cli import settings
from convcli.cli.files import NPY, Files, Source
from convcli.cli.running import run_jobs
from convcli.cli.summary import print_plan, print_summary
from convcli.cli.targets import STREAM, Job, check_targets, jobs, refuse_terminal
from convcli.filtering import Filtered, check_options, filter_planes
from convcli.kernels import Kernel
from convcli.options import Filter
from convcli.spec import shape_text

if TYPE_CHECKING:
    from convcli.banks import BankOptions


@dataclass
class Record:
    """What became of one input; the JSON document holds these."""

    input: str
    targets: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    error: str | None = None
    size: str = ""
    type: str = ""
    output_size: str = ""
    kernels: list[str] = field(default_factory=list)
    backend: str = ""
    why: str = ""
    arithmetic: str = ""
    threads: int = 0
    read_seconds: float = 0.0
    plan_seconds: float = 0.0
    compute_seconds: float = 0.0
    write_seconds: float = 0.0
    megapixels_per_second: float = 0.0
    clipped: int = 0
    plan: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Batch:
    """The run of one command.

    Attributes
    ----------
    records : list of Record
        One per input that was begun.
    """

    def __init__(
        self,
        texts: Sequence[str],
        kernels: Sequence[Kernel],
        how: Filter,
        files: Files,
        layer: BankOptions | None,
        *,
        dry_run: bool,
        fail_fast: bool,
        explain: bool,
    ) -> None:
        self.texts, self.kernels, self.layer = texts, kernels, layer
        self.how, self.files = how, files
        self.dry_run, self.fail_fast, self.explain = dry_run, fail_fast, explain
        self.records: list[Record] = []
        self.makes_folders = False

    def run(self, sources: Sequence[str], output: str | None) -> int:
        """Filter every input; return the exit status."""
        if output == STREAM and not self.dry_run:
            refuse_terminal()
        names = [kernel.name for kernel in self.kernels]
        labels = names if len(names) == 1 or self.how.combine == "none" else [self.how.combine]
        todo = jobs(sources, output, labels, self.files.extension)
        self.makes_folders = output is not None and (len(todo) > 1 or todo[0].targets != [output])
        self.files.check_use([target for job in todo for target in job.targets])
        if len(todo) > 1:
            check_options(self.kernels, self.how)
        return run_jobs(todo, self._begin, self._one, fail_fast=self.fail_fast)

    def _begin(self, job: Job) -> Record:
        record = Record(shown(job.source), kernels=[printable(text) for text in self.texts])
        self.records.append(record)
        return record

    def _one(self, job: Job, record: Record) -> None:
        clock = time.perf_counter
        began = clock()
        if job.source == STREAM or os.path.exists(job.source):  # otherwise reading says what is wrong
            check_targets(job, makes_folders=self.makes_folders, force=self.files.force)
        source = self.files.read(job.source, self.how)
        record.read_seconds = clock() - began
        record.size = shape_text(source.planes.shape[-2:] if source.image else source.planes.shape)
        record.type = source.kind
        if source.image:
            record.notes += source.image.warnings
        elif self.layer is None and source.planes.ndim == 3 and source.planes.shape[-1] <= 4:
            record.notes.append(
                f"{record.input} is an array {record.size}: its last axes are filtered; "
                "move channels to the front if those are meant"
            )
        if self.layer is None:
            for target in job.targets:
                self.files.check_holds(target, source, self.how)
            filtered = filter_planes(
                source.planes,
                self.kernels,
                self.how,
                alpha=source.alpha,
                photo=source.image is not None,
                dry_run=self.dry_run,
            )
        else:
            from convcli.banks import apply_bank

            bank, whole = self.kernels[0].values, source
            source = source.for_bank(bank, self.layer)
            if len(source.planes) < len(whole.planes):
                record.notes.append(f"alpha was dropped: the bank is for {len(source.planes)} channels")
            if source.image and {self.files.kind(t, source.image.format) for t in job.targets} == {NPY}:
                source = Source(source.planes)  # feature maps are no photo: nothing is clipped
            outputs = self.layer.outputs(bank)
            for target in job.targets:
                record.notes += self.files.check_bank_holds(target, source, self.how, outputs)
            filtered = apply_bank(
                source.planes,
                self.kernels[0],
                self.how,
                self.layer,
                photo=source.image is not None,
                dry_run=self.dry_run,
            )
        self._describe(record, filtered, source)
        began = clock()
        record.targets = [shown(target) for target in job.targets]
        if not self.dry_run:
            for target, output in zip(job.targets, filtered.outputs, strict=len(job.targets) > 0):
                record.notes += self.files.write(target, output, source, self.how)
                record.outputs.append(shown(target))
        record.write_seconds = clock() - began
        if not settings.quiet:
            for text in record.notes:
                report.note(text)

    def _describe(self, record: Record, filtered: Filtered, source: Source) -> None:
        plan = filtered.plan
        shape = filtered.outputs[0].shape if filtered.outputs else filtered.shape or plan.spec.output_shape
        record.output_size = shape_text(shape[-2:] if source.image else shape)
        pixels = math.prod(shape[-len(plan.spec.kernel_shape) :])
        record.backend, record.why = plan.chosen.name, plan.why
        record.arithmetic = plan.spec.dtype + (", exact integers" if plan.spec.exact else "")
        record.threads = plan.chosen.threads
        record.plan_seconds, record.compute_seconds = filtered.plan_seconds, filtered.compute_seconds
        record.clipped = filtered.clipped
        record.notes += filtered.notes
        if filtered.compute_seconds:
            record.megapixels_per_second = pixels / 1e6 / filtered.compute_seconds
        for candidate in plan.candidates:
            cost = candidate.cost
            record.plan.append(
                {
                    "candidate": candidate.name,
                    "seconds": cost and cost.seconds,
                    "memory_bytes": cost and cost.memory_bytes,
                    "multiply_adds": cost and round(cost.multiply_adds),
                    "reason": candidate.reason or ("chosen" if candidate == plan.chosen else ""),
                }
            )

    def summarize(self) -> None:
        """Print what was done, unless quiet, and the plans, if asked for."""
        with contextlib.suppress(OSError):  # nobody listens; the work is done all the same
            if not settings.quiet:
                print_summary(self.records, dry_run=self.dry_run)
            if self.explain:
                for record in self.records:
                    print_plan(record)
            sys.stderr.flush()
