"""Do the same for every input: one bad file does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from convcli.cli import report, settings
from convcli.cli.io.targets import Job
from convcli.errors import ConvcliError, sentence


class Account(Protocol):
    """What a record of one input has, whatever the command."""

    input: str
    error: str | None


R = TypeVar("R", bound=Account)


def run_jobs(
    todo: Sequence[Job],
    begin: Callable[[Job], R],
    one: Callable[[Job, R], None],
    *,
    fail_fast: bool,
) -> int:
    """Work through all jobs with a progress bar; return the exit status.

    Parameters
    ----------
    todo : sequence of Job
    begin : callable
        Makes the record of a job, in which an error is noted.
    one : callable
        Does a job. The error of an only job is raised.
    fail_fast : bool
        Stop at the first error.
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
