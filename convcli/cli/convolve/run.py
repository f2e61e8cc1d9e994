"""Filter files: read, filter and write each, ahead of its turn where there are several, and keep records."""

from __future__ import annotations

import contextlib
import importlib
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from convcli.cli import settings
from convcli.cli.convolve.options import ConvolveInOut
from convcli.cli.convolve.summary import ConvolveRecord, print_plan, print_summary
from convcli.cli.io.files import NPY, Content, Files, Source
from convcli.cli.io.jobs import JobList, print_notes, run_jobs
from convcli.cli.io.prefetch import Prefetch
from convcli.cli.io.targets import STREAM, Job
from convcli.engine.planner import Plan
from convcli.filtering.filter import Filtered, Prepared, check_options, prepare_filter
from convcli.filtering.options import BankOptions, Filter
from convcli.kernels import Kernel
from convcli.system.files import is_stream, shown
from convcli.system.resources import cpu_count
from convcli.text import printable, shape_text

Layer = BankOptions | None
TOGETHER = 2**29  # bytes of the files that are worked on at a time; what is larger has all threads for itself
WIDEST, COPIES = 8, 8  # bytes of a sample; of the image, for what is not done in one go


class Opened(NamedTuple):
    """An input that was read, its plan, and the most memory that it takes, in bytes."""

    job: Job
    source: Source
    prepared: Prepared
    size: float = 0


class Made(NamedTuple):
    """What became of an input; the results are encoded unless they are to be written as they are."""

    source: Source
    filtered: Filtered
    encoded: list[tuple[Content, list[str]]] | None = None
    encode_seconds: float = 0.0


class Batch:
    """The run of one command; `records` has one entry per input that was begun."""

    def __init__(
        self, inout: ConvolveInOut, kernels: Sequence[Kernel], how: Filter, files: Files, layer: Layer
    ) -> None:
        self.inout, self.kernels, self.how, self.files, self.layer = inout, kernels, how, files, layer
        self.records: list[ConvolveRecord] = []
        self.helpers, self.room = 0, 0.0

    def run(self) -> int:
        """Filter every input; return the exit status."""
        names = [kernel.name for kernel in self.kernels]
        labels = names if len(names) == 1 or self.how.combine == "none" else [self.how.combine]
        work = JobList(self.inout, labels, self.files, self.inout.dry_run)
        if len(work.todo) > 1:
            check_options(self.kernels, self.how)
            self._plan_helpers()
        texts = [printable(text) for text in self.inout.kernel]
        tasks = [(job, ConvolveRecord(shown(job.source), kernels=list(texts))) for job in work.todo]
        ahead = Prefetch(
            tasks,
            lambda task: self._read(work, *task),
            self._make,
            size=lambda opened: opened.size,
            late=lambda task: is_stream(Path(task[0].source)) or task[0].source == STREAM,
            most=self.helpers and self.helpers + 1,
            budget=self.room,
        )
        coming = iter(tasks)

        def begin(job: Job) -> ConvolveRecord:
            self.records.append(next(coming)[1])
            return self.records[-1]

        def one(job: Job, record: ConvolveRecord) -> None:
            self._write(job, record, ahead.take())

        return run_jobs(work.todo, begin, one, fail_fast=self.inout.fail_fast)

    def _plan_helpers(self) -> None:
        """Decide how many files are worked on at a time, and the memory for all of them together."""
        threads = cpu_count() if self.how.threads is None else self.how.threads
        if threads > 1 and not self.inout.dry_run and self.layer is None:
            limit = self.files.room()
            self.helpers, self.room = threads, TOGETHER if limit is None else min(limit, TOGETHER)

    def _read(self, work: JobList, job: Job, record: ConvolveRecord) -> Opened:
        """Read an input, and refuse what cannot be done with it."""
        source = work.read(job, record, self.how)
        if self.layer is not None:
            source = self._for_bank(job, record, source, self.layer)
            return Opened(job, source, self._prepared(source))
        if not source.image and source.planes.ndim == 3 and source.planes.shape[-1] <= 4:
            record.notes.append(
                f"{record.input} is an array {record.size}: its last axes are filtered; "
                "move channels to the front if those are meant"
            )
        for target in job.targets:
            self.files.check_holds(target, source, self.how)
        prepared = self._prepared(source)
        size = self._size(source, prepared.filtered.plan) if self.helpers else 0
        return Opened(job, source, prepared, size)

    def _for_bank(self, job: Job, record: ConvolveRecord, source: Source, layer: BankOptions) -> Source:
        """Drop what the bank has no channel for, and refuse what cannot hold its outputs."""
        bank, whole = self.kernels[0].values, source
        source = source.for_bank(bank, layer)
        if len(source.planes) < len(whole.planes):
            record.notes.append(f"alpha was dropped: the bank is for {len(source.planes)} channels")
        if source.image and {self.files.kind(t, source.image.format) for t in job.targets} == {NPY}:
            source = Source(source.planes)  # feature maps are no photo: nothing is clipped
        for target in job.targets:
            record.notes += self.files.check_bank_holds(target, source, self.how, layer.outputs(bank))
        return source

    def _size(self, source: Source, planned: Plan) -> float:
        """Return the most memory that a file takes, in bytes."""
        for name in planned.cost.start:  # the next plan is to know that this was paid for
            if name.startswith("import "):
                importlib.import_module(name.removeprefix("import "))
        spec, how = planned.spec, self.how
        growth = math.prod(spec.output_shape) / max(1, math.prod(spec.image_shape))
        copies = 2 + 2 * len(self.kernels)
        if how.linear or how.repeat > 1 or how.combine != "none" or how.range == "minmax":
            copies += COPIES
        if source.alpha or source.image is None:
            copies += COPIES
        return planned.cost.memory_bytes + WIDEST * copies * max(1.0, growth) * source.planes.size

    def _make(self, opened: Opened) -> Made:
        """Filter an input and, if others are worked on meanwhile, encode the results."""
        job, source = opened.job, opened.source
        filtered = opened.prepared.filtered if self.inout.dry_run else opened.prepared.run()
        if not self.helpers or opened.size > self.room:
            return Made(source, filtered)
        began = time.perf_counter()
        pairs = zip(job.targets, filtered.outputs, strict=len(job.targets) > 0)
        encoded = [self.files.encode(target, output, source, self.how) for target, output in pairs]
        return Made(source, filtered, encoded, time.perf_counter() - began)

    def _prepared(self, source: Source) -> Prepared:
        """Plan; here, so that the plan of a file depends on no other."""
        photo = source.image is not None
        if self.layer is None:
            return prepare_filter(source.planes, self.kernels, self.how, alpha=source.alpha, photo=photo)
        from convcli.filtering.banks import prepare_bank

        return prepare_bank(source.planes, self.kernels[0], self.how, self.layer, photo=photo)

    def _write(self, job: Job, record: ConvolveRecord, made: Made) -> None:
        """Write the results, and note what there is to say of them."""
        self._describe(record, made.filtered, made.source)
        began = time.perf_counter()
        record.targets = [shown(target) for target in job.targets]
        if made.encoded is not None:
            for target, (content, notes) in zip(job.targets, made.encoded, strict=True):
                self.files.save(target, content)
                record.notes += notes
                record.outputs.append(shown(target))
        elif not self.inout.dry_run:
            outputs = made.filtered.outputs
            for target, output in zip(job.targets, outputs, strict=len(job.targets) > 0):
                record.notes += self.files.write(target, output, made.source, self.how)
                record.outputs.append(shown(target))
        record.write_seconds = made.encode_seconds + time.perf_counter() - began
        print_notes(record)

    def _describe(self, record: ConvolveRecord, filtered: Filtered, source: Source) -> None:
        plan = filtered.plan
        shape = filtered.outputs[0].shape if filtered.outputs else filtered.shape or plan.spec.output_shape
        record.output_size = shape_text(shape[-2:] if source.image else shape)
        pixels = math.prod(shape[-len(plan.spec.kernel_shape) :])
        record.backend, record.why = plan.chosen.name, plan.why
        record.arithmetic = plan.spec.dtype + (", exact integers" if plan.spec.exact else "")
        record.threads = plan.schedule.threads
        record.plan_seconds, record.compute_seconds = filtered.plan_seconds, filtered.compute_seconds
        record.clipped = filtered.clipped
        record.notes += filtered.notes
        if filtered.compute_seconds:
            record.megapixels_per_second = pixels / 1e6 / filtered.compute_seconds
        record.schedule = dict(plan.schedule.lines())
        for candidate in plan.candidates:
            cost, reason = candidate.cost, candidate.reason or ("chosen" if candidate == plan.chosen else "")
            entry = {"candidate": candidate.name, "seconds": cost and cost.seconds}
            entry |= {"memory_bytes": cost and cost.memory_bytes}
            entry |= {"multiply_adds": cost and round(cost.multiply_adds), "reason": reason}
            record.plan.append(entry)

    def summarize(self) -> None:
        """Print what was done, unless quiet, and the plans, if asked for."""
        if self.inout.as_json:
            self.print_json()
            return
        with contextlib.suppress(OSError):  # nobody listens; the work is done all the same
            if not settings.quiet:
                print_summary(self.records, dry_run=self.inout.dry_run)
            if self.inout.explain:
                for record in self.records:
                    print_plan(record)
            sys.stderr.flush()

    def print_json(self) -> None:
        """Print the records as one document."""
        import json

        print(json.dumps({"files": [asdict(record) for record in self.records]}, default=str))
