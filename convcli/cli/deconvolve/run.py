"""Restore files one after the other: read, deconvolve, write, and keep a record of each."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from convcli.arrays.library import Array
from convcli.cli import report, settings
from convcli.cli.deconvolve.summary import print_history, print_restored
from convcli.cli.io.files import NPY, Files, Source
from convcli.cli.io.jobs import run_jobs
from convcli.cli.io.targets import STREAM, Job, check_targets, jobs, refuse_terminal
from convcli.deconvolution import methods
from convcli.deconvolution.device import require
from convcli.deconvolution.iteration import Record as Iteration
from convcli.deconvolution.restoration import AUTO, DeconvolutionResult, deconvolve
from convcli.errors import UsageError
from convcli.filtering.filter import fitted
from convcli.filtering.options import Filter
from convcli.images.colour import finish, white
from convcli.kernels import Kernel, parse_kernel
from convcli.system.files import printable, shown
from convcli.text import shape_text

READ, WRITE = Filter(), Filter(alpha="ignore")


@dataclass(frozen=True)
class How:
    """What to do with every image: options of ``convcli deconvolve`` by their names in `deconvolve`."""

    kernel: str
    method: str
    border: str
    iterations: int | None
    tolerance: float | None
    noise: float | str
    balance: float | str
    accelerate: bool
    damping: float
    exponent: float
    origin: int | tuple[int, ...] | None
    normalize: bool
    precision: str
    backend: str
    threads: int | None
    max_memory: int | None

    @property
    def options(self) -> dict[str, Any]:
        """What `deconvolve` takes, but for the PSF and its origin."""
        names = [f.name for f in fields(self) if f.name not in ("kernel", "origin")]
        return {name: getattr(self, name) for name in names}


@dataclass
class Record:
    """What became of one input; the JSON document holds these."""

    input: str
    output: str | None = None
    error: str | None = None
    size: str = ""
    type: str = ""
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
    read_seconds: float = 0.0
    compute_seconds: float = 0.0
    write_seconds: float = 0.0
    saved: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    history: list[Iteration] = field(default_factory=list)


class Restoring:
    """The run of one command.

    Attributes
    ----------
    records : list of Record
        One per input that was begun.
    """

    def __init__(
        self,
        how: How,
        files: Files,
        *,
        reference: str | None,
        residual: str | None,
        save_psf: str | None,
        save_every: int | None,
    ) -> None:
        if save_every is not None and save_every < 1:
            raise UsageError(f"--save-every {save_every} is below 1; leave it out to write the result only")
        self.how, self.files = how, files
        self.reference, self.residual, self.save_psf = reference, residual, save_psf
        self.save_every = save_every
        self.kernel = _point_spread(how.kernel)
        self.truth: Source | None = None
        self.records: list[Record] = []
        self.makes_folders = False
        self.taken: set[str] = set()
        self.several = False

    def run(self, sources: Sequence[str], output: str | None, *, fail_fast: bool) -> int:
        """Restore every input; return the exit status."""
        require(self.how.backend)
        if output == STREAM:
            refuse_terminal()
        todo = jobs(sources, output, [self.kernel.name], self.files.extension)
        self.several = len(todo) > 1
        self.makes_folders = output is not None and (self.several or todo[0].targets != [output])
        extra = [path for path in (self.residual, self.save_psf) if path is not None]
        for option, path in (("residual", self.residual), ("save-psf", self.save_psf)):
            if path is not None and self.several:
                raise UsageError(
                    f"--{option} names one file and there are {len(todo)} inputs; give one input"
                )
            if path == STREAM:
                raise UsageError(f"--{option} cannot go to standard output; name a file")
        if self.reference == STREAM:
            raise UsageError("--reference cannot come from standard input; name a file")
        if self.save_every and output in (None, STREAM):
            raise UsageError("--save-every writes beside the output; give -o a file")
        self.files.check_use([target for job in todo for target in job.targets] + extra)
        if self.reference is not None:
            self.truth = self.files.read(self.reference, READ)
        self.taken = {
            os.path.realpath(path) for path in (*sources, *extra, *(t for job in todo for t in job.targets))
        }
        return run_jobs(todo, self._begin, self._one, fail_fast=fail_fast)

    def _begin(self, job: Job) -> Record:
        record = Record(shown(job.source), psf=printable(self.how.kernel), border=self.how.border)
        self.records.append(record)
        return record

    def _one(self, job: Job, record: Record) -> None:
        clock = time.perf_counter
        began = clock()
        extra = [path for path in (self.residual, self.save_psf) if path is not None]
        everything = Job(job.source, [*job.targets, *extra])
        if len(set(map(os.path.realpath, everything.targets))) < len(everything.targets):
            raise UsageError("two of -o, --residual and --save-psf name one file; use different names")
        if job.source == STREAM or os.path.exists(job.source):  # otherwise reading says what is wrong
            check_targets(everything, makes_folders=self.makes_folders, force=self.files.force)
            for target in job.targets:
                self._check_saved(job.source, target)
        source = self.files.read(job.source, READ)
        for target in job.targets:
            self.files.check_holds(target, source, WRITE)
        self._check_extra(source)
        record.read_seconds = clock() - began
        record.size = shape_text(source.planes.shape[-2:] if source.image else source.planes.shape)
        record.type = source.kind
        if source.image:
            record.notes += source.image.warnings
        began = clock()
        result = self._restore(job, record, source)
        record.compute_seconds = clock() - began
        self._describe(record, result)
        began = clock()
        output, record.clipped = _finished(result.image, source)
        for target in job.targets:
            record.notes += self.files.write(target, output, source, WRITE)
            record.output = shown(target)
        if self.residual is not None:
            record.notes += self._write_residual(self.residual, result.residual, source)
        if self.save_psf is not None:
            self._write_psf(self.save_psf, result.psf)
        record.write_seconds = clock() - began
        if not settings.quiet:
            for text in record.notes:
                report.note(text)
        if result.interrupted:
            where = f"; {record.output} holds what it came to" if record.output else ""
            report.note(f"interrupted after iteration {result.iterations}{where}")
            raise KeyboardInterrupt

    def _restore(self, job: Job, record: Record, source: Source) -> DeconvolutionResult:
        kernel = fitted(self.kernel, source.planes, source.image is not None)
        record.psf_size = shape_text(kernel.taps)
        colours = _colours(source)
        how = self.how
        with report.progress(self._most(), shown=not settings.quiet and not self.several) as advance:

            def watch(iteration: Iteration, image: Callable[[], Array]) -> None:
                advance(f"residual {iteration.residual:.4g}")
                if self.save_every and iteration.iteration % self.save_every == 0:
                    for target in job.targets:
                        path = numbered(target, iteration.iteration)
                        output, _ = _finished(image(), source)
                        self.files.write(path, output, source, WRITE)
                        record.saved.append(shown(path))

            return deconvolve(
                colours,
                kernel.weights,
                origin=how.origin if how.origin is not None else kernel.origin,
                reference=None if self.truth is None else _colours(self.truth, mask=False),
                top=white(source.planes.dtype) if source.image and source.planes.dtype.kind in "ui" else None,
                watch=watch,
                **how.options,
            )

    def _describe(self, record: Record, result: DeconvolutionResult) -> None:
        how = self.how
        record.method = result.method
        record.backend = "cpu" if how.backend == "auto" else how.backend
        record.why = "auto: measured best on photographs" if how.method == "auto" else "asked for"
        record.noise, record.noise_found = result.noise, how.noise == "auto"
        record.balance, record.balance_found = result.balance, how.balance == "auto"
        record.iterations, record.interrupted = result.iterations, result.interrupted
        record.psnr, record.ssim, record.isnr = result.psnr, result.ssim, result.isnr
        record.history = result.history
        record.notes += result.notes

    def _check_saved(self, source: str, target: str) -> None:
        """Refuse names that --save-every would need and must not have, before any work is done."""
        if not self.save_every:
            return
        folder, name = os.path.split(target)
        if os.path.isdir(folder or "."):
            found = [os.path.join(folder, other) for other in sorted(os.listdir(folder or "."))]
        else:
            found = []
        stem, extension = os.path.splitext(name)
        pattern = re.compile(re.escape(stem) + r"\.(\d{4,})" + re.escape(extension))
        for path in (*found, *sorted(self.taken)):
            match = pattern.fullmatch(os.path.basename(path))
            here = os.path.realpath(os.path.dirname(path)) == os.path.realpath(folder)
            if not (match and here) or int(match[1]) % self.save_every or int(match[1]) > self._most():
                continue
            if os.path.realpath(path) in self.taken:
                raise UsageError(
                    f"--save-every would write {shown(path)}, which is an input or output itself; "
                    "use another name for -o"
                )
            check_targets(Job(source, [path]), makes_folders=self.makes_folders, force=self.files.force)

    def _most(self) -> int:
        """Return how many iterations there may be."""
        method = methods.load(AUTO if self.how.method == "auto" else self.how.method)
        return method.ITERATIONS if self.how.iterations is None else self.how.iterations

    def _check_extra(self, source: Source) -> None:
        """Refuse formats that cannot hold the residual or the PSF, and a reference of another type."""
        if self.residual is not None:
            self.files.check_holds(self.residual, _bare(source), WRITE)
        if self.save_psf is not None:
            axes = fitted(self.kernel, source.planes, source.image is not None).values.ndim
            if self.files.kind(self.save_psf, NPY) != NPY and axes != 2:
                raise UsageError(f"a PSF with {axes} axes is no picture; write it to a .npy file")
        truth = self.truth
        if truth and truth.image and source.image and truth.planes.dtype != source.planes.dtype:
            raise UsageError(
                f"the reference is {truth.kind} and {source.kind} is to be measured against it; "
                "use an image of the same type"
            )

    def _write_residual(self, target: str, residual: Array, source: Source) -> list[str]:
        """Write signed numbers where the format has them; otherwise around the middle of the range."""
        image = source.image
        kind = self.files.kind(target, image.format if image else NPY)
        if kind == NPY:
            return self.files.write(target, residual, Source(residual), WRITE)
        bare = _bare(source)
        if source.planes.dtype.kind == "f":
            return self.files.write(target, residual, bare, WRITE)
        middle = (white(source.planes.dtype) + 1) / 2
        output, clipped = finish(residual + np.float32(middle), False, source.planes.dtype, "clamp")
        cut = f", and {clipped} samples were clipped" if clipped else ""
        notes = self.files.write(target, output, bare, WRITE)
        return [*notes, f"in {shown(target)} no residual is {middle:g}{cut}"]

    def _write_psf(self, target: str, psf: Array) -> None:
        """Write the PSF as an array, or as a picture that is as bright as it can be."""
        if self.files.kind(target, NPY) == NPY:
            self.files.write(target, psf, Source(psf), WRITE)
            return
        picture = np.rint(255 * np.clip(psf / np.abs(psf).max(), 0, 1)).astype(np.uint8)
        self.files.write(target, picture, Source(picture), WRITE)

    def tell(self, *, as_json: bool) -> None:
        """Print what was done."""
        if as_json and self.records:
            report.document({"files": [asdict(record) for record in self.records]})
        elif not settings.quiet:
            done = [record for record in self.records if record.iterations]
            for record in done:
                print_history(record, title=record.input if self.several else None)
            if done:
                print_restored(self.records)


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


def _colours(source: Source, *, mask: bool = True) -> Array:
    """Planes without alpha; what is fully transparent is unknown."""
    if not source.alpha:
        return source.planes
    colours, opacity = source.planes[:-1], source.planes[-1:]
    if not mask or opacity.all():
        return colours
    return np.where(opacity > 0, colours.astype(np.float32), np.float32(np.nan))


def _finished(image: Array, source: Source) -> tuple[Array, int]:
    """Bring a result into the type and range of the source, with its alpha; an array stays as it is."""
    if source.image is None:
        return image, 0
    output, clipped = finish(
        image.copy(), False, source.planes.dtype, "none" if source.planes.dtype.kind == "f" else "clamp"
    )
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
