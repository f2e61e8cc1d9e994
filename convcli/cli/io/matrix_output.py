"""A matrix to the terminal or to a file: what the commands that make matrices share."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from convcli.cli import report, settings
from convcli.cli.io.targets import STREAM, refuse_terminal
from convcli.cli.matrix_options import MatrixFile
from convcli.errors import LimitError, UsageError
from convcli.matrices import files
from convcli.matrices.files import Counted, file_size, memory_needed, write_matrix
from convcli.matrices.matrix import Matrix, Stopwatch, Symbolic
from convcli.options import refuse
from convcli.system.files import atomic_write, check_target, is_stream, shown, stdout_stream
from convcli.system.resources import check_memory
from convcli.text import bytes_option, bytes_text, shape_text

LARGEST_FILE = 4 * 10**9  # without --max-output
LONG_WRITE = 10**7  # bytes from which a progress bar is worth its start
FREE = "free on the disk"


@dataclass(frozen=True)
class Written:
    """A matrix that was written: name, format, bytes, seconds of making its rows and of all the rest."""

    output: str
    format: str
    output_bytes: int
    build_seconds: float
    write_seconds: float


@dataclass(frozen=True)
class MatrixOutput(MatrixFile):
    """The writing of a matrix, as the options say."""

    def __post_init__(self) -> None:
        if self.output == "":
            raise UsageError("the output has no name; use -o FILE, or -o - for standard output")
        if self.output not in (None, STREAM) and os.path.isdir(str(self.output)):
            raise UsageError(f"{shown(str(self.output))} is a folder; name a file in it")
        if self.output is None:
            refuse("no output", "has no effect for want of -o; add -o FILE, or leave it out", self)
        else:
            self.kind  # noqa: B018 - an unknown format is refused before any work

    @property
    def kind(self) -> str:
        """Name of the format: asked for, by extension, or csv for a stream."""
        name = self._kind_of_name() if self.format is None else self.format.lower().removeprefix(".")
        files.load(name)
        if self.sparse_csv and name not in ("csv", "sparse-csv"):
            raise UsageError(f"--sparse-csv writes csv, not {name}; leave it out, or name a .csv file")
        return "sparse-csv" if self.sparse_csv else name

    def _kind_of_name(self) -> str:
        assert self.output is not None
        if self._is_stream:
            return "csv"
        try:
            return files.format_for(self.output)
        except UsageError:
            if self.sparse_csv:
                return "csv"
            raise

    @property
    def _is_stream(self) -> bool:
        assert self.output is not None
        return self.output == STREAM or is_stream(Path(self.output))

    @property
    def name(self) -> str:
        """Name of the output in messages."""
        assert self.output is not None
        return "standard output" if self.output == STREAM else shown(self.output)

    def check_target(self, inputs: Sequence[str] = ()) -> None:
        """Refuse a target that must not be written, before any work."""
        if self.output == STREAM:
            refuse_terminal()
        elif self.output is not None:
            check_target(Path(self.output), force=self.force, inputs=[Path(name) for name in inputs])

    def check_memory(self, needed: float, what: str) -> None:
        """Refuse what would not fit."""
        check_memory(needed, self.max_memory, what, "a smaller shape or kernel")

    def check(self, matrix: Matrix, sparse: str | None) -> tuple[int, bool]:
        """Refuse a matrix that cannot or must not be written (`sparse` is less); return its `file_size`."""
        kind = self.kind
        if matrix.dtype.kind == "U" and not files.load(kind).HOLDS_NAMES:
            raise UsageError(
                f"--symbolic writes names, which {kind} cannot hold; use one of {files.holding_names()}"
            )
        size, exact = file_size(matrix, kind)
        self._check_size(matrix, size, None if files.load(kind).IS_SPARSE else sparse)
        self.check_memory(memory_needed(matrix, kind), f"writing {self.name}")
        return size, exact

    def write(self, matrix: Matrix, checked: tuple[int, bool], stopwatch: Stopwatch) -> Written:
        """Write the file; `checked` is what `check` returned, `stopwatch` the one that times its rows."""
        assert self.output is not None
        size, exact = checked
        kind = self.kind
        about = "" if exact else "about "
        if not settings.quiet:
            report.note(f"writing {self.name}: {shape_text(matrix.shape)}, {kind}, {about}{bytes_text(size)}")
        began = time.perf_counter()
        stopwatch.seconds = 0
        long = size > LONG_WRITE and not settings.quiet
        with (
            report.progress(matrix.shape[0], shown=long) as advance,
            stdout_stream()
            if self.output == STREAM
            else atomic_write(Path(self.output), force=self.force) as file,
        ):
            counted = Counted(file)
            write_matrix(cast(BinaryIO, counted), matrix, kind, advance=lambda rows: advance(self.name, rows))
        seconds = time.perf_counter() - began
        if settings.verbose:
            report.note(f"wrote {self.name} in {seconds:.3g} s, {bytes_text(size / seconds)}/s")
        return Written(self.name, kind, counted.bytes, stopwatch.seconds, seconds - stopwatch.seconds)

    def _check_size(self, matrix: Matrix, size: int, sparse: str | None) -> None:
        """Refuse a file over the limit; name the options that write one below it, if there are any."""
        limit, which = self._limit()
        if limit is None or size <= limit:
            return
        text = (
            f"{self.name} would have {bytes_text(size)} ({shape_text(matrix.shape)} entries), "
            f"more than the {bytes_text(limit)} {which}"
        )
        smaller = size
        if sparse is not None:
            smaller = min(
                size,
                file_size(
                    matrix.matrix if isinstance(matrix, Symbolic) and sparse == "npz" else matrix, sparse
                )[0],
            )
        if smaller < size:
            text += f"; the same matrix, sparse, has {bytes_text(smaller)}"
        raised = None if smaller <= limit else bytes_option(smaller)
        if raised and which == FREE:
            text += "; name a file on another"
        elif smaller < size:
            text += f": use {self._instead(str(sparse), raised)}"
        else:
            text += f"; raise it with --max-output {raised}"
        raise LimitError(text)

    def _limit(self) -> tuple[int | None, str]:
        """Bytes that the file may have, and what they are."""
        assert self.output is not None
        if self._is_stream:
            return self.max_output, "allowed"
        limit = LARGEST_FILE if self.max_output is None else self.max_output
        folder = os.path.dirname(os.path.realpath(self.output))
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(folder).free
            if free <= limit:
                return free, FREE
        return limit, "allowed" if self.max_output is not None else "written without --max-output"

    def _instead(self, sparse: str, limit: str | None) -> str:
        """Name the options that write the sparse form, under another limit if need be."""
        assert self.output is not None
        name = "csv" if sparse == "sparse-csv" else sparse
        options = []
        if self.kind != name:
            named = self._is_stream or self.format is not None
            target = shlex.quote(f"{os.path.splitext(self.output)[0]}.{name}")
            options.append(f"--format {name}" if named else f"-o {target}")
        options += ["--sparse-csv"] if sparse == "sparse-csv" else []
        options += [f"--max-output {limit}"] if limit else []
        return " ".join(options)
