"""Other people's programs, timed from start to end: they read a file, filter it and write another.

A program's image is written in the format that it reads fastest without loss, which holds the samples
as they are. Where a program cannot be told to take zeros for what lies outside, the file has them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from convcli.arrays.library import Array
from convcli.bench.contestants import Contestant, Problem
from convcli.bench.rawimages import read_cimg, read_pnm, read_v, write_cimg, write_pnm, write_v
from convcli.errors import BackendError
from convcli.text import shape_text

Load = Callable[[], Array]
LONGEST_ARGUMENT = 2**17 - 1  # bytes; Linux takes no more


def programs() -> list[Contestant]:
    """Return every program that convcli can be timed against, installed or not.

    A call returns how to read the file that the program wrote; that must be done before the next call.

    Examples
    --------
    >>> [program.name for program in programs()]
    ['vips conv', 'magick -morphology', 'gmic -convolve']
    """
    return [_contestant(program) for program in PROGRAMS]


def _vips(problem: Problem, folder: Path) -> tuple[list[str], Load]:
    """Correlate, with the origin at ``n // 2``.

    vips repeats the edge of the image: if that is one line of zeros, there are zeros as far as it sees.
    """
    write_v(folder / "in.v", np.pad(problem.image, ((0, 0), (1, 1), (1, 1))))
    weights = problem.kernel[::-1, ::-1]
    lines = [f"{weights.shape[1]} {weights.shape[0]}", *(" ".join(map(repr, r)) for r in weights.tolist())]
    (folder / "mask.mat").write_text("\n".join(lines) + "\n", encoding="ascii")
    arguments = ["conv", "in.v", "out.v", "mask.mat", "--precision", "float"]
    return arguments, lambda: read_v(folder / "out.v")[:, 1:-1, 1:-1]


def _magick(problem: Problem, folder: Path) -> tuple[list[str], Load]:
    """Convolve; outside the image is black, which is 0.

    Results are whole numbers of 16 bits, and the usual builds cut off what is below 0. So the kernel is
    scaled and biased: its lowest possible result becomes 0, its highest 65535. One step is the error.
    """
    bias, scale = _magick_range(problem.kernel)
    source, target = ("in.pgm", "out.pgm") if problem.case.planes == 1 else ("in.ppm", "out.ppm")
    write_pnm(folder / source, problem.image)
    options = ["-virtual-pixel", "black", "-define", f"convolve:bias={100 * bias!r}%"]
    method = ["-morphology", "Convolve", _magick_kernel(problem), "-depth", "16"]

    def load() -> Array:
        # White is 65535 to the file, 65536 to the bias.
        return (read_pnm(folder / target) - bias * 65536 / 65535) * 255 / scale

    return [source, *options, *method, target], load


def _magick_range(kernel: Array) -> tuple[float, float]:
    """Return the bias, as a fraction of white, and the factor of the kernel."""
    least, most = float(kernel[kernel < 0].sum()), float(kernel[kernel > 0].sum())
    scale = 1 / ((most - least) or 1.0)
    return -least * scale, scale


def _magick_kernel(problem: Problem) -> str:
    weights = problem.kernel * _magick_range(problem.kernel)[1]
    height, width = weights.shape
    rows = (",".join(f"{cell:.9g}" for cell in row) for row in weights.tolist())
    return f"{width}x{height}+{(width - 1) // 2}+{(height - 1) // 2}: {' '.join(rows)}"


def _magick_limits(problem: Problem) -> str | None:
    case = problem.case
    if case.dtype != "uint8":
        return f"its samples have 16 bits, too few for {case.dtype}"
    if case.planes not in (1, 3):
        return f"reads files of 1 or 3 planes, not {case.planes}"
    if len(_magick_kernel(problem)) > LONGEST_ARGUMENT:
        return f"a kernel of {shape_text(case.kernel_shape)} is too long for a command line"
    return None


def _gmic(problem: Problem, folder: Path) -> tuple[list[str], Load]:
    """Convolve; 0 is the border of zeros."""
    write_cimg(folder / "in.cimg", problem.image)
    write_cimg(folder / "mask.cimg", problem.kernel[np.newaxis].astype(np.float32))
    arguments = ["in.cimg", "mask.cimg", "-convolve[0]", "[1],0", "-remove[1]", "-output", "out.cimg"]
    return arguments, lambda: read_cimg(folder / "out.cimg")


def _gmic_limits(problem: Problem) -> str | None:
    return "computes in float32, not float64" if problem.case.dtype == "float64" else None


def _no_limits(_: Problem) -> None:
    return None


def _which_magick() -> str | None:
    """Find ImageMagick; ``convert`` is also the name of others' programs."""
    return next(
        (path for path in map(shutil.which, ("magick", "convert")) if path and _is_magick(path)), None
    )


@functools.cache
def _is_magick(path: str) -> bool:
    try:
        done = subprocess.run([path, "-version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.stdout.startswith(b"Version: ImageMagick")


@dataclass(frozen=True)
class Program:
    """A program that convolves.

    Attributes
    ----------
    name : str
        As the table shows it.
    find : callable
        Returns the path of the executable, or None.
    lay_out : callable
        Takes the problem and a folder, and writes files into it; returns the arguments of the program,
        which runs in that folder, and how to read what it wrote.
    threads : tuple of str
        Environment variables that hold it to a number of threads.
    limits : callable
        Takes a problem; says why the program cannot solve it.
    """

    name: str
    find: Callable[[], str | None]
    lay_out: Callable[[Problem, Path], tuple[list[str], Load]]
    threads: tuple[str, ...]
    limits: Callable[[Problem], str | None] = _no_limits


PROGRAMS = (
    Program("vips conv", lambda: shutil.which("vips"), _vips, ("VIPS_CONCURRENCY",)),
    Program(
        "magick -morphology",
        _which_magick,
        _magick,
        ("MAGICK_THREAD_LIMIT", "OMP_NUM_THREADS"),
        _magick_limits,
    ),
    Program("gmic -convolve", lambda: shutil.which("gmic"), _gmic, ("OMP_NUM_THREADS",), _gmic_limits),
)


def _contestant(program: Program) -> Contestant:
    def refuses(problem: Problem) -> str | None:
        return "not installed" if program.find() is None else program.limits(problem)

    @contextlib.contextmanager
    def prepare(problem: Problem) -> Iterator[Callable[[], object]]:
        path = program.find()
        if path is None:
            raise BackendError(f"{program.name} is not installed")
        command = str(Path(path).absolute())  # it runs in another folder
        environment = os.environ | {name: str(problem.case.threads) for name in program.threads}
        with tempfile.TemporaryDirectory(prefix="convcli-") as folder:
            arguments, load = program.lay_out(problem, Path(folder))

            def call() -> object:
                _run([command, *arguments], folder, environment)
                return load

            yield call

    return Contestant(program.name, "process", refuses, prepare, _read)


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


def _read(load: object) -> Array:
    try:
        return cast(Load, load)()
    except (OSError, ValueError) as error:
        raise BackendError(f"the result cannot be read: {error}") from error
