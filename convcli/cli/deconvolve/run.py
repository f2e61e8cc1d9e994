"""Restore files one after the other: read, deconvolve, write, and keep a record of each."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np

from convcli.arrays.library import Array
from convcli.cli import report, settings
from convcli.cli.deconvolve.options import DeconvolveInOut, DeconvolveOptions
from convcli.cli.deconvolve.summary import DeconvolveRecord, print_history, print_summary
from convcli.cli.io.files import NPY, Files, Source
from convcli.cli.io.jobs import JobList, print_notes, run_jobs
from convcli.cli.io.targets import STREAM, Job
from convcli.deconvolution import methods
from convcli.deconvolution.device import require
from convcli.deconvolution.iteration import Iteration
from convcli.deconvolution.restoration import AUTO, DeconvolutionResult, deconvolve
from convcli.errors import UsageError
from convcli.filtering.filter import fitted
from convcli.filtering.options import Filter
from convcli.images.colour import finish, white
from convcli.kernels import Kernel, parse_kernel
from convcli.system.files import shown
from convcli.text import printable, shape_text

READ, WRITE = Filter(), Filter(alpha="ignore")
RESULTS = ("method", "noise", "balance", "iterations", "interrupted", "psnr", "ssim", "isnr", "history")
"""Attributes of a result that its record has too."""


class DeconvolveRun:
    """The run of one command; `records` has one entry per input that was begun."""

    def __init__(self, inout: DeconvolveInOut, options: DeconvolveOptions, files: Files) -> None:
        self.inout, self.options, self.files = inout, options, files
        self.kernel = _point_spread(options.psf)
        self.truth: Source | None = None
        self.records: list[DeconvolveRecord] = []
        self.taken: set[str] = set()
        self.several = False

    def run(self) -> int:
        """Restore every input; return the exit status."""
        require(self.options.backend)
        extra = [path for path in (self.inout.residual, self.inout.save_psf) if path is not None]
        work = JobList(self.inout, [self.kernel.name], self.files, extra=extra)
        count = len(work.todo)
        self.several = count > 1
        for option, path in (("residual", self.inout.residual), ("save-psf", self.inout.save_psf)):
            if path is not None and self.several:
                raise UsageError(f"--{option} names one file and there are {count} inputs; give one input")
            if path == STREAM:
                raise UsageError(f"--{option} cannot go to standard output; name a file")
        if self.inout.reference == STREAM:
            raise UsageError("--reference cannot come from standard input; name a file")
        if self.inout.save_every and self.inout.output in (None, STREAM):
            raise UsageError("--save-every writes beside the output; give -o a file")
        if self.inout.reference is not None:
            self.truth = self.files.read(self.inout.reference, READ)
        self.taken = {os.path.realpath(path) for path in (*self.inout.inputs, *work.targets)}

        def begin(job: Job) -> DeconvolveRecord:
            psf, border = printable(self.options.psf), self.options.border
            self.records.append(DeconvolveRecord(shown(job.source), psf=psf, border=border))
            return self.records[-1]

        def one(job: Job, record: DeconvolveRecord) -> None:
            self._one(work, job, record, extra)

        return run_jobs(work.todo, begin, one, fail_fast=self.inout.fail_fast)

    def _one(self, work: JobList, job: Job, record: DeconvolveRecord, extra: list[str]) -> None:
        """Read, restore and write."""
        everything = Job(job.source, [*job.targets, *extra])
        if len(set(map(os.path.realpath, everything.targets))) < len(everything.targets):
            raise UsageError("two of -o, --residual and --save-psf name one file; use different names")
        everything.targets.extend(self._existing_steps(job))
        source = work.read(everything, record, READ)
        for target in job.targets:
            self.files.check_holds(target, source, WRITE)
        self._check_extra(source)
        began = time.perf_counter()
        result = self._restore(job, record, source)
        record.compute_seconds = time.perf_counter() - began
        self._describe(record, result)
        began = time.perf_counter()
        output, record.clipped = _finished(result.image, source)
        for target in job.targets:
            record.notes += self.files.write(target, output, source, WRITE)
            record.output = shown(target)
        if self.inout.residual is not None:
            record.notes += self._write_residual(self.inout.residual, result.residual, source)
        if self.inout.save_psf is not None:
            self._write_psf(self.inout.save_psf, result.psf)
        record.write_seconds = time.perf_counter() - began
        print_notes(record)
        if result.interrupted:
            where = f"; {record.output} holds what it came to" if record.output else ""
            report.note(f"interrupted after iteration {result.iterations}{where}")
            raise KeyboardInterrupt

    def _restore(self, job: Job, record: DeconvolveRecord, source: Source) -> DeconvolutionResult:
        kernel = fitted(self.kernel, source.planes, source.image is not None)
        record.psf_size = shape_text(kernel.taps)
        with report.progress(self._most(), shown=not settings.quiet and not self.several) as advance:

            def watch(iteration: Iteration, image: Callable[[], Array]) -> None:
                advance(f"residual {iteration.residual:.4g}")
                for target in job.targets if self._saves(iteration.iteration) else ():
                    path = numbered(target, iteration.iteration)
                    output, _ = _finished(image(), source)
                    self.files.write(path, output, source, WRITE)
                    record.saved.append(shown(path))

            return deconvolve(
                _masked(source),
                reference=None if self.truth is None else _bare(self.truth).planes,
                top=white(source.planes.dtype) if source.image and source.planes.dtype.kind in "ui" else None,
                watch=watch,
                **self.options.arguments(kernel),
            )

    def _describe(self, record: DeconvolveRecord, result: DeconvolutionResult) -> None:
        options = self.options
        record.backend = "cpu" if options.backend == "auto" else options.backend
        record.why = "auto: measured best on photographs" if options.method == "auto" else "asked for"
        record.noise_found, record.balance_found = options.noise == "auto", options.balance == "auto"
        for name in RESULTS:
            setattr(record, name, getattr(result, name))
        record.notes += result.notes

    def _existing_steps(self, job: Job) -> list[str]:
        """Return the files of --save-every that exist; refuse those that are an input or output."""
        found = []
        for target in job.targets if self.inout.save_every else ():
            folder = os.path.realpath(os.path.dirname(target))
            stem, extension = os.path.splitext(os.path.join(folder, os.path.basename(target)))
            pattern = re.compile(re.escape(stem) + r"\.(\d{4,})" + re.escape(extension))
            there = os.listdir(folder) if os.path.isdir(folder) else []
            for path in sorted({*(os.path.join(folder, name) for name in there), *self.taken}):
                match = pattern.fullmatch(path)
                if not match or not self._saves(int(match[1])):
                    continue
                found.append(numbered(target, int(match[1])))
                if os.path.realpath(path) in self.taken:
                    raise UsageError(
                        f"--save-every would write {shown(found[-1])}, which is an input or output itself; "
                        "use another name for -o"
                    )
        return found

    def _saves(self, iteration: int) -> bool:
        """Whether an iteration is written."""
        every = self.inout.save_every
        return every is not None and iteration % every == 0 and 0 < iteration <= self._most()

    def _most(self) -> int:
        """Return how many iterations there may be."""
        method = methods.load(AUTO if self.options.method == "auto" else self.options.method)
        return method.ITERATIONS if self.options.iterations is None else self.options.iterations

    def _check_extra(self, source: Source) -> None:
        """Refuse formats that cannot hold the residual or the PSF, and a reference of another type."""
        if self.inout.residual is not None:
            self.files.check_holds(self.inout.residual, _bare(source), WRITE)
        if self.inout.save_psf is not None:
            axes = fitted(self.kernel, source.planes, source.image is not None).values.ndim
            if self.files.kind(self.inout.save_psf, NPY) != NPY and axes != 2:
                raise UsageError(f"a PSF with {axes} axes is no picture; write it to a .npy file")
        truth = self.truth
        if truth and truth.image and source.image and truth.planes.dtype != source.planes.dtype:
            raise UsageError(
                f"the reference is {truth.kind} and {source.kind} is to be measured against it; "
                "use an image of the same type"
            )

    def _write_residual(self, target: str, residual: Array, source: Source) -> list[str]:
        """Write signed numbers where the format has them; otherwise around the middle of the range."""
        kind = self.files.kind(target, source.image.format if source.image else NPY)
        bare = Source(residual) if kind == NPY else _bare(source)
        if kind == NPY or source.planes.dtype.kind == "f":
            return self.files.write(target, residual, bare, WRITE)
        middle = (white(source.planes.dtype) + 1) / 2
        output, clipped = finish(residual + np.float32(middle), False, source.planes.dtype, "clamp")
        cut = f", and {clipped} samples were clipped" if clipped else ""
        notes = self.files.write(target, output, bare, WRITE)
        return [*notes, f"in {shown(target)} no residual is {middle:g}{cut}"]

    def _write_psf(self, target: str, psf: Array) -> None:
        """Write the PSF as an array, or as a picture that is as bright as it can be."""
        if self.files.kind(target, NPY) != NPY:
            psf = np.rint(255 * np.clip(psf / np.abs(psf).max(), 0, 1)).astype(np.uint8)
        self.files.write(target, psf, Source(psf), WRITE)

    def tell(self) -> None:
        """Print what was done."""
        if self.inout.as_json and self.records:
            report.document({"files": [asdict(record) for record in self.records]})
        elif not settings.quiet:
            done = [record for record in self.records if record.iterations]
            for record in done:
                print_history(record, title=record.input if self.several else None)
            if done:
                print_summary(self.records)


def numbered(target: str, iteration: int) -> str:
    """Name of an iteration's file.

    >>> numbered("out/sharp.png", 20)
    'out/sharp.0020.png'
    """
    stem, extension = os.path.splitext(target)
    return f"{stem}.{iteration:04d}{extension}"


def _point_spread(text: str) -> Kernel:
    kernel = parse_kernel(text)
    if kernel.is_bank:
        raise UsageError(f"{kernel.name} is a bank of {len(kernel.values)} kernels; a PSF is one kernel")
    if kernel.bias:
        raise UsageError(f"the bias {kernel.bias:g} of {kernel.name} is no part of a PSF; take it out")
    return kernel


def _masked(source: Source) -> Array:
    """Planes without alpha, in which fully transparent pixels are unknown."""
    colours, opacity = _bare(source).planes, source.planes[-1:]
    if not source.alpha or opacity.all():
        return colours
    return np.where(opacity > 0, colours.astype(np.float32), np.float32(np.nan))


def _finished(image: Array, source: Source) -> tuple[Array, int]:
    """Bring a result into the type and range of the source, with its alpha; an array stays as it is."""
    if source.image is None:
        return image, 0
    dtype = source.planes.dtype
    output, clipped = finish(image, False, dtype, "none" if dtype.kind == "f" else "clamp")
    if not source.alpha:
        return output, clipped
    opacity = source.planes[-1:]
    output = np.where(opacity > 0, output, source.planes[:-1])
    return np.concatenate([output, opacity]), clipped


def _bare(source: Source) -> Source:
    """Source without alpha."""
    if not source.image or not source.alpha:
        return source
    return Source(source.planes[:-1], replace(source.image, alpha=False))
