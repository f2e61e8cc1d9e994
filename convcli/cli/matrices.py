"""A matrix to the terminal or to a file: what the commands that make matrices share."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convcli import report
from convcli.atomic import atomic_write, check_target, is_stream, shown, stdout_stream
from convcli.cli import settings
from convcli.cli.targets import STREAM
from convcli.errors import LimitError, UsageError
from convcli.machine import available_memory
from convcli.matrices.matrix import Matrix
from convcli.matrices.write import FORMATS, file_size, format_for, memory_needed, write_matrix
from convcli.spec import bytes_text, shape_text

LARGEST_FILE = 4 * 10**9  # without --max-output
LONG_WRITE = 10**7  # bytes from which a progress bar is worth its start


@dataclass(frozen=True)
class Sink:
    """Where a matrix goes: the options of the same names."""

    output: str | None = None
    format: str | None = None
    sparse_csv: bool = False
    force: bool = False
    max_memory: int | None = None
    max_output: int | None = None

    def __post_init__(self) -> None:
        if self.output == "":
            raise UsageError("the output has no name; use -o FILE, or -o - for standard output")
        for option, given in (("format", self.format), ("sparse-csv", self.sparse_csv)):
            if given and self.output is None:
                raise UsageError(f"--{option} has no effect for want of -o; add -o FILE, or leave it out")
        if self.output is not None:
            self.kind  # noqa: B018 - an unknown format is refused before any work

    @property
    def kind(self) -> str:
        """Name of the format: asked for, by extension, or csv for a stream."""
        assert self.output is not None
        stream = self.output == STREAM or is_stream(Path(self.output))
        asked = self.format or ("csv" if stream or self.sparse_csv else self.output)
        kind = format_for(asked)
        if self.sparse_csv and kind.name != "csv":
            raise UsageError(f"--sparse-csv writes .csv, not {kind.name}; leave one of the two out")
        return "sparse-csv" if self.sparse_csv else kind.name

    def check_target(self, inputs: Sequence[str] = ()) -> None:
        """Refuse a target that must not be written, before any work."""
        if self.output == STREAM:
            if sys.stdout is not None and sys.stdout.isatty():
                raise UsageError("standard output is a terminal; pipe it, or give -o a file")
        elif self.output is not None:
            check_target(Path(self.output), force=self.force, inputs=[Path(name) for name in inputs])

    def check_memory(self, needed: float, what: str) -> None:
        """Refuse what would not fit."""
        limit = self.max_memory if self.max_memory is not None else available_memory()
        if limit is not None and needed > limit:
            raise LimitError(
                f"{what} needs {bytes_text(needed)} of memory, more than the {bytes_text(limit)} allowed; "
                "raise --max-memory, or use a smaller shape or kernel"
            )

    def write(self, matrix: Matrix, sparse: int | None) -> dict[str, Any]:
        """Write the file; return what was done.

        Parameters
        ----------
        matrix : Matrix
        sparse : int or None
            Bytes of the sparse form, if there is one that is worth naming.
        """
        assert self.output is not None
        kind = self.kind
        if matrix.dtype.kind == "U" and not FORMATS[kind].holds_names:
            able = ", ".join(name for name, made in FORMATS.items() if made.holds_names)
            raise UsageError(f"--symbolic writes names, which {kind} cannot hold; use one of {able}")
        size, exact = file_size(matrix, kind)
        self._check_size(matrix, size, sparse)
        self.check_memory(memory_needed(matrix, kind), f"writing {shown(self.output)}")
        name = "standard output" if self.output == STREAM else shown(self.output)
        about = "" if exact else "about "
        if not settings.quiet:
            report.note(f"writing {name}: {shape_text(matrix.shape)}, {kind}, {about}{bytes_text(size)}")
        began = time.perf_counter()
        long = size > LONG_WRITE and not settings.quiet
        with (
            report.progress(matrix.shape[0], shown=long) as advance,
            stdout_stream()
            if self.output == STREAM
            else atomic_write(Path(self.output), force=self.force) as file,
        ):
            write_matrix(file, matrix, kind, advance=lambda rows: advance(name, rows))
        return {"output": name, "format": kind, "write_seconds": time.perf_counter() - began}

    def _check_size(self, matrix: Matrix, size: int, sparse: int | None) -> None:
        assert self.output is not None
        stream = self.output == STREAM or is_stream(Path(self.output))
        limit, which = self.max_output, "allowed"
        if limit is None and not stream:
            folder = os.path.dirname(os.path.realpath(self.output))
            with contextlib.suppress(OSError):
                limit, which = shutil.disk_usage(folder).free, "free on the disk"
            if limit is None or limit > LARGEST_FILE:
                limit, which = LARGEST_FILE, "written without --max-output"
        if limit is None or size <= limit:
            return
        text = (
            f"{shown(self.output)} would have {bytes_text(size)} ({shape_text(matrix.shape)} entries), "
            f"more than the {bytes_text(limit)} {which}"
        )
        if sparse is not None and self.kind not in ("npz", "mtx", "sparse-csv"):
            text += f"; the same matrix, sparse, has {bytes_text(sparse)}: {self._instead()}"
        else:
            text += f"; raise it with --max-output {bytes_text(size).replace(' ', '')}"
        raise LimitError(text)

    def _instead(self) -> str:
        """Rewrite the command line so that it writes the sparse form."""
        assert self.output is not None
        better = "matrix.npz" if self.output == STREAM else os.path.splitext(self.output)[0] + ".npz"
        words, skip = [], False
        for word in sys.argv[1:]:
            if skip or word.startswith("--format="):
                skip = False
                continue
            skip = word == "--format"
            if not skip:
                words.append(word.replace(self.output, better) if word.endswith(self.output) else word)
        return shlex.join(["convcli", *words])
