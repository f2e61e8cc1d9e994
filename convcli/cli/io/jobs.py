"""The common part of commands that do the same for every input: checks, reading, records, their summary."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from convcli.cli import report, settings
from convcli.cli.io.files import Files, Source
from convcli.cli.io.targets import STREAM, Job, check_targets, jobs, refuse_terminal
from convcli.cli.options import InOut
from convcli.errors import ConvcliError, sentence
from convcli.filtering.options import Filter
from convcli.text import milliseconds, shape_text


@dataclass(eq=False, repr=False)
class FileRecord:
    """Facts on one input; the JSON document holds these and those that a command adds."""

    input: str
    error: str | None = None
    size: str = ""
    type: str = ""
    read_seconds: float = 0.0
    compute_seconds: float = 0.0
    write_seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


R = TypeVar("R", bound=FileRecord)


class JobList:
    """All inputs of a command and where their results go, checked before anything is read.

    `labels` has one name per result of an input; `extra` are paths that are written besides.
    """

    def __init__(
        self, inout: InOut, labels: list[str], files: Files, dry_run: bool = False, extra: Sequence[str] = ()
    ) -> None:
        output = inout.output
        if output == STREAM and not dry_run:
            refuse_terminal()
        self.files = files
        self.todo = jobs(inout.inputs, output, labels, files.extension)
        self.makes_folders = output is not None and (len(self.todo) > 1 or self.todo[0].targets != [output])
        self.targets = [*(target for job in self.todo for target in job.targets), *extra]
        files.check_use(self.targets)

    def check(self, job: Job) -> None:
        """Refuse targets of a job that cannot be written; reading refuses a source that is not there."""
        if job.source == STREAM or os.path.exists(job.source):
            check_targets(job, makes_folders=self.makes_folders, force=self.files.force)

    def read(self, job: Job, record: FileRecord, options: Filter) -> Source:
        """Check and read an input, and note its size, its type, warnings and the time."""
        began = time.perf_counter()
        self.check(job)
        source = self.files.read(job.source, options)
        record.read_seconds = time.perf_counter() - began
        record.size = shape_text(source.planes.shape[-2:] if source.image else source.planes.shape)
        record.type = source.kind
        record.notes = list(source.image.warnings) if source.image else []
        return source


def run_jobs(
    todo: Sequence[Job], begin: Callable[[Job], R], one: Callable[[Job, R], None], *, fail_fast: bool
) -> int:
    """Work through all jobs with a progress bar; return the exit status. One bad file does not stop the rest.

    `begin` makes the record of a job, in which an error is noted; `one` does the job. The error of an only
    job is raised. With `fail_fast` the first error ends the work.
    """
    status = 0
    with report.progress(len(todo), shown=not settings.quiet) as advance:
        for job in todo:
            record = begin(job)
            try:
                one(job, record)
            except Exception as error:
                record.error, status = sentence(error), 1
                if len(todo) == 1 or (settings.debug and not isinstance(error, ConvcliError)):
                    raise
                known = record.input in record.error
                report.note(record.error if known else f"{record.input}: {record.error}")
                if fail_fast:
                    break
            advance(record.input)
    return status


def times_text(record: FileRecord, *steps: str) -> str:
    """Say how long the steps of an input took."""
    return ", ".join(f"{step} {milliseconds(getattr(record, f'{step}_seconds'))}" for step in steps)


def print_notes(record: FileRecord) -> None:
    """Print the notes on an input, unless quiet."""
    if not settings.quiet:
        for text in record.notes:
            report.note(text)


def print_records(
    records: Sequence[R],
    facts: Callable[[R], list[tuple[str, str]]],
    header: Sequence[str],
    row: Callable[[R], Sequence[str]],
) -> None:
    """Print one record in full, several as a row each; every one in full if verbose."""
    if len(records) > 1 and not settings.verbose:
        report.table(header, map(row, records), file=sys.stderr)
        return
    for record in records:
        failed = [("input", record.input), ("error", record.error or "")]
        report.table(("", ""), failed if record.error else facts(record), file=sys.stderr)
