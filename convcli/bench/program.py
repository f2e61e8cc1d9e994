"""Programs as contestants, timed from start to end: they read a file, filter it and write another.

A program's image is written in the format that it reads fastest without loss. Where a program cannot be
told to take zeros for what lies outside, the file has them.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from convcli.arrays.library import Array
from convcli.bench.contestants import Contestant, Task
from convcli.bench.library import no_limits
from convcli.errors import BackendError

Load = Callable[[], Array]


@dataclass(frozen=True)
class Program(Contestant):
    """A program that convolves; its call returns how to read its output, which the next call replaces.

    `find` returns the path of the executable, or None. `lay_out` writes files for a task into a folder; it
    returns the arguments of the program, which runs in that folder, and how to read its output. `threads` are
    environment variables that set its number of threads. `limits` says why it cannot do a task.
    """

    name: str
    find: Callable[[], str | None]
    lay_out: Callable[[Task, Path], tuple[list[str], Load]]
    threads: tuple[str, ...]
    limits: Callable[[Task], str | None] = no_limits
    kind = "process"

    def refuses(self, task: Task) -> str | None:
        """Say that it is missing, or why it cannot do the task."""
        return "not installed" if self.find() is None else self.limits(task)

    @contextlib.contextmanager
    def prepare(self, task: Task) -> Iterator[Callable[[], object]]:
        """Write the files into a folder that is gone in the end."""
        path = self.find()
        if path is None:
            raise BackendError(f"{self.name} is not installed")
        command = str(Path(path).absolute())  # it runs in another folder
        environment = os.environ | {name: str(task.case.threads) for name in self.threads}
        with tempfile.TemporaryDirectory(prefix="convcli-") as folder:
            arguments, load = self.lay_out(task, Path(folder))

            def call() -> object:
                _run([command, *arguments], folder, environment)
                return load

            yield call

    def read(self, returned: object) -> Array:
        """Read the file that the program wrote."""
        try:
            return cast(Load, returned)()
        except (OSError, ValueError) as error:
            raise BackendError(f"the result cannot be read: {error}") from error


def _run(command: list[str], folder: str, environment: dict[str, str]) -> None:
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except OSError as error:
        raise BackendError(f"{name} cannot be run: {error.strerror}") from error
    if done.returncode:
        lines = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr.decode(errors="replace")).split("\n")
        said = [line.strip() for line in lines if line.strip()]
        raise BackendError(f"{name} failed: {said[-1] if said else f'exit status {done.returncode}'}")
