"""Where results go: one file, a folder, or a template filled in for each input and kernel."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from convcli.errors import UsageError
from convcli.system.files import check_target, shown

STREAM = "-"
FIELDS = ("stem", "ext", "kernel")


class Job(NamedTuple):
    """One input, and where its results go: paths or ``-``, none if nothing is to be written."""

    source: str
    targets: list[str]


def refuse_terminal() -> None:
    """Refuse data on standard output if that is a terminal."""
    if sys.stdout is not None and sys.stdout.isatty():
        raise UsageError("standard output is a terminal; pipe it, or give -o a file")


def jobs(
    sources: Sequence[str], output: str | None, labels: Sequence[str], extension: str | None
) -> list[Job]:
    """Pair every input with its outputs, one per label; refuse what cannot work before anything is read."""
    if list(sources).count(STREAM) > 1:
        raise UsageError("standard input can be read once; give - once")
    if output == "":
        raise UsageError("the output has no name; use -o FILE, a folder/ or a template")
    if output is None:
        return [Job(source, []) for source in sources]
    if output == STREAM:
        if len(sources) > 1 or len(labels) > 1:
            raise UsageError(
                "several results cannot go to standard output; use -o with a folder or a template"
            )
        return [Job(source, [STREAM]) for source in sources]
    template = _template(output, several_sources=len(sources) > 1, several_labels=len(labels) > 1)
    names = [_safe(label) for label in labels]
    if len(set(names)) < len(names):
        names = [f"{number}-{name}" for number, name in enumerate(names, 1)]
    found = [Job(source, [_fill(template, source, name, extension) for name in names]) for source in sources]
    _refuse_clashes(found)
    return found


def _template(output: str, *, several_sources: bool, several_labels: bool) -> str:
    """Make a template of ``-o``: a folder keeps the names of the inputs."""
    name = "{stem}_{kernel}{ext}" if several_labels else "{stem}{ext}"
    if os.path.isdir(output):  # taken by its name, whatever that holds
        return os.path.join(output.replace("{", "{{").replace("}", "}}"), name)
    try:
        parts = list(_parsed(output))
    except ValueError:
        raise UsageError(
            f'output "{shown(output)}" has an unpaired brace; write {{{{ or }}}} for one'
        ) from None
    if any(spec or conversion for _, _, spec, conversion in parts):
        raise UsageError(f'output "{shown(output)}" has more than a name in braces; write {{stem}}')
    fields = {name for _, name, _, _ in parts if name is not None}
    wrong = sorted(fields.difference(FIELDS))
    if wrong:
        raise UsageError(
            f'output field "{{{shown(wrong[0])}}}" is unknown; use one of '
            + ", ".join(f"{{{name}}}" for name in FIELDS)
        )
    if output.endswith(os.sep):
        return output + name
    if several_sources and not fields & {"stem"}:
        raise UsageError(
            f"several inputs cannot all become {shown(output)}; "
            "use a folder (with / at the end), or a template such as out/{stem}{ext}"
        )
    if several_labels and "kernel" not in fields:
        raise UsageError(
            f"several kernels cannot all become {shown(output)}; use --combine magnitude (or max, sum, "
            "mean), or {kernel} in the output's name"
        )
    return output


def _parsed(output: str) -> Iterable[tuple[str, str | None, str | None, str | None]]:
    """Return literal text, name, format and conversion of every part of a template."""
    if "{" not in output and "}" not in output:
        return []
    import string

    return string.Formatter().parse(output)


def _fill(template: str, source: str, kernel: str, extension: str | None) -> str:
    if source == STREAM:
        if extension is None and "{ext}" in template:
            raise UsageError(
                "standard input has no name to take an extension from; add --format, or name the output"
            )
        return template.format(stem="stdin", ext=extension, kernel=kernel)
    stem, suffix = os.path.splitext(os.path.basename(source))
    return template.format(stem=stem, ext=extension or suffix, kernel=kernel)


def _safe(label: str) -> str:
    """Make a kernel's name fit for a file name."""
    return re.sub(r"[^\w.+-]+", "-", label).strip("-.") or "kernel"


def _refuse_clashes(found: list[Job]) -> None:
    """Refuse targets that coincide, or that are another job's input."""
    writers: dict[str, str] = {}
    sources = {_identity(job.source): job.source for job in found if job.source != STREAM}
    for job in found:
        for target in job.targets:
            where = os.path.realpath(target)
            if where in writers:
                raise UsageError(
                    f"{shown(writers[where])} and {shown(job.source)} would both become {shown(target)}; "
                    "use more fields in the template"
                )
            writers[where] = job.source
            victim = sources.get(_identity(target))
            if victim is not None and victim != job.source:
                raise UsageError(
                    f"{shown(target)}, to be made of {shown(job.source)}, is the input {shown(victim)}; "
                    "use another folder or template"
                )


def check_targets(job: Job, *, makes_folders: bool, force: bool) -> None:
    """Refuse outputs that exist or have no folder (unless folders are made), before any work for them."""
    for target in job.targets:
        folder = os.path.dirname(target)
        if target == STREAM or (makes_folders and folder and not os.path.exists(folder)):
            continue
        check_target(Path(target), force=force, inputs=[Path(job.source)])


def _identity(path: str) -> tuple[int, int] | str:
    """What two names of one file have in common."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return path
    return status.st_dev, status.st_ino
