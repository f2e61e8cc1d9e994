"""Filter files one after the other: read, filter, write, and keep a record of each."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convcli import report
from convcli.arrays import Array
from convcli.atomic import atomic_write, shown
from convcli.cli import settings
from convcli.cli.targets import STREAM, Job, jobs
from convcli.errors import ConvcliError, FileError, UsageError
from convcli.filtering import Filter, Filtered, filter_planes
from convcli.kernels import parse_kernel
from convcli.spec import shape_text

if TYPE_CHECKING:
    from convcli.images import Image

NPY_MAGIC = b"\x93NUMPY"


@dataclass(frozen=True)
class Files:
    """How to read and write files: options of the same names."""

    format: str | None = None
    force: bool = False
    compress: int | None = None
    quality: int | None = None
    strip: bool = False
    page: int | None = None
    max_pixels: int | None = None
    max_memory: int | None = None
    allow_truncated: bool = False
    allow_8bit: bool = False
    to_rgb: bool = False


@dataclass
class Record:
    """What became of one input; the JSON document holds these."""

    input: str
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
        kernels: Sequence[str],
        how: Filter,
        files: Files,
        *,
        dry_run: bool,
        fail_fast: bool,
        explain: bool,
    ) -> None:
        self.kernels = [parse_kernel(text) for text in kernels]
        self.how, self.files = how, files
        self.dry_run, self.fail_fast, self.explain = dry_run, fail_fast, explain
        self.records: list[Record] = []

    def run(self, sources: Sequence[str], output: str | None) -> int:
        """Filter every input; return the exit status."""
        one = len(self.kernels) == 1 or self.how.combine != "none"
        names = [kernel.name for kernel in self.kernels]
        labels = ["-".join(names) if len(names) == 1 else self.how.combine] if one else names
        if output == STREAM and not self.dry_run and sys.stdout.isatty():
            raise UsageError("standard output is a terminal; pipe it, or give -o a file")
        extension = self.files.format and f".{self.files.format.lower().removeprefix('.')}"
        todo = jobs(sources, None if self.dry_run else output, labels, extension, force=self.files.force)
        status = 0
        with report.progress(len(todo), shown=not settings.quiet) as advance:
            for job in todo:
                record = Record(shown(job.source), kernels=names)
                self.records.append(record)
                try:
                    self._one(job, record)
                except ConvcliError as error:
                    if len(todo) == 1:
                        raise
                    record.error, status = str(error), 1
                    report.note(
                        str(error) if shown(job.source) in str(error) else f"{shown(job.source)}: {error}"
                    )
                    if self.fail_fast:
                        break
                advance(record.input)
        return status

    def _one(self, job: Job, record: Record) -> None:
        clock = time.perf_counter
        began = clock()
        image, planes, alpha = self._read(job.source)
        record.read_seconds = clock() - began
        record.size = shape_text(planes.shape[-2:] if image else planes.shape)
        record.type = _kind(planes, image)
        if image:
            record.notes += image.warnings
        for target in job.targets:
            self._check_holds(target, image, planes)
        filtered = filter_planes(
            planes, self.kernels, self.how, alpha=alpha, photo=bool(image), dry_run=self.dry_run
        )
        self._describe(record, filtered, planes)
        began = clock()
        for target, output in zip(job.targets, filtered.outputs, strict=len(job.targets) > 0):
            self._write(target, output, image)
            record.outputs.append(shown(target))
        record.write_seconds = clock() - began
        if not settings.quiet:
            for text in record.notes:
                report.note(text)

    def _read(self, source: str) -> tuple[Image | None, Array, bool]:
        """Read an array or an image, by content; images come as planes."""
        content: Path | bytes = sys.stdin.buffer.read() if source == STREAM else Path(source)
        if _is_npy(content):
            return None, self._read_array(content), False
        from convcli.images import MAX_PIXELS, read_image

        files = self.files
        image = read_image(
            content,
            page=files.page,
            max_pixels=MAX_PIXELS if files.max_pixels is None else files.max_pixels,
            allow_truncated=files.allow_truncated,
            allow_8bit=files.allow_8bit,
            to_rgb=files.to_rgb,
        )
        pixels = image.pixels
        planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
        return image, planes, image.alpha

    def _read_array(self, content: Path | bytes) -> Array:
        import io

        from convcli.npyfile import read_npy

        for name, given in (("gray", self.how.gray), ("linear", self.how.linear)):
            if given:
                raise UsageError(f"--{name} is about colours and a .npy array has none; leave it out")
        source = io.BytesIO(content) if isinstance(content, bytes) else content
        return read_npy(source, max_bytes=self.files.max_memory)

    def _format(self, target: str, image: Image | None) -> str:
        """Name of the format for a target: asked for, by extension, or as the input's."""
        if self.files.format:
            return self.files.format.lower().removeprefix(".")
        if target == STREAM:
            return image.format if image else "npy"
        if target.lower().endswith(".npy"):
            return "npy"
        from convcli.images import format_for

        return format_for(target)

    def _check_holds(self, target: str, image: Image | None, planes: Array) -> None:
        """Refuse a format that cannot hold the result before it is computed."""
        kind = self._format(target, image)
        if kind == "npy":
            return
        from convcli.images import check_holds

        shape, dtype = planes.shape, planes.dtype
        if image is None and not (planes.ndim == 2 or (planes.ndim == 3 and len(planes) in (1, 2, 3, 4))):
            raise UsageError(f"an array {shape_text(shape)} is no image; write it to a .npy file")
        channels = len(planes) if planes.ndim == 3 else 1
        if image and self.how.gray:
            channels = 1 + image.alpha
        if self.how.dtype != "keep":
            dtype = np.dtype(self.how.dtype)
        if image or self.how.dtype != "keep":
            check_holds(kind, (*shape[-2:], channels), dtype)

    def _write(self, target: str, output: Array, image: Image | None) -> None:
        kind = self._format(target, image)
        if target != STREAM and not os.path.exists(os.path.dirname(target) or "."):
            _make_folder(os.path.dirname(target))
        if kind == "npy":
            from convcli.npyfile import write_npy

            array = output[0] if image and len(output) == 1 else output
            if target == STREAM:
                write_npy(sys.stdout.buffer, array)
            else:
                with atomic_write(Path(target), force=self.files.force) as file:
                    write_npy(file, array)
            return
        from convcli.images import Image, write_image

        pixels = output if output.ndim == 2 else np.ascontiguousarray(np.moveaxis(output, 0, -1))
        if pixels.dtype == np.float64:
            pixels = pixels.astype(np.float32)
        result = (
            replace(image, pixels=pixels)
            if image
            else Image(pixels, alpha=pixels.ndim == 3 and pixels.shape[2] in (2, 4))
        )
        files = self.files
        write_image(
            sys.stdout.buffer if target == STREAM else Path(target),
            result,
            format=kind,
            force=files.force,
            compress=files.compress,
            strip=files.strip,
            quality=files.quality,
        )

    def _describe(self, record: Record, filtered: Filtered, planes: Array) -> None:
        plan = filtered.plan
        record.output_size = shape_text(plan.spec.output_shape)
        record.backend, record.why = plan.chosen.name, plan.why
        record.arithmetic = plan.spec.dtype + (", exact integers" if plan.spec.exact else "")
        record.threads = plan.chosen.threads
        record.plan_seconds, record.compute_seconds = filtered.plan_seconds, filtered.compute_seconds
        record.clipped = filtered.clipped
        record.notes += filtered.notes
        if filtered.compute_seconds:
            pixels = planes[0].size if planes.ndim > 2 else planes.size
            record.megapixels_per_second = pixels / 1e6 / filtered.compute_seconds
        for candidate in plan.candidates:
            cost = candidate.cost
            record.plan.append(
                {
                    "candidate": candidate.name,
                    "seconds": cost and cost.seconds,
                    "memory_bytes": cost and cost.peak_bytes,
                    "multiply_adds": cost and cost.multiply_adds,
                    "reason": candidate.reason or ("chosen: " + plan.why if candidate == plan.chosen else ""),
                }
            )

    def summarize(self) -> None:
        """Print what was done: a table for one file, a line each for several."""
        from convcli.cli.summary import print_plan, print_summary

        print_summary(self.records, dry_run=self.dry_run)
        if self.explain:
            for record in self.records:
                print_plan(record)


def _kind(planes: Array, image: Image | None) -> str:
    if image is None:
        return str(planes.dtype)
    channels = {1: "gray", 2: "gray and alpha", 3: "RGB", 4: "RGB and alpha"}[len(planes)]
    return f"{planes.dtype} {channels}"


def _is_npy(content: Path | bytes) -> bool:
    if isinstance(content, bytes):
        return content.startswith(NPY_MAGIC)
    if content.suffix.lower() == ".npy":
        return True
    try:
        with open(content, "rb") as file:
            return file.read(len(NPY_MAGIC)) == NPY_MAGIC
    except (OSError, ValueError):
        return False  # reading it as an image says what is wrong


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise FileError(f"folder {shown(folder)} cannot be made: {error.strerror}; name another") from None
