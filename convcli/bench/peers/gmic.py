"""G'MIC, by files of CImg's format: two lines of text, then plane after plane."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np

from convcli.arrays.library import Array
from convcli.bench.contestants import Task
from convcli.bench.program import Load, Program

TYPES = {"uint8": "unsigned_char", "float32": "float"}  # the names that every version knows


def _lay_out(task: Task, folder: Path) -> tuple[list[str], Load]:
    """Convolve; 0 is the border of zeros."""
    _write(folder / "in.cimg", task.image)
    _write(folder / "mask.cimg", task.kernel[np.newaxis].astype(np.float32))
    arguments = ["in.cimg", "mask.cimg", "-convolve[0]", "[1],0", "-remove[1]", "-output", "out.cimg"]
    return arguments, lambda: _read(folder / "out.cimg")


def _write(path: Path, image: Array) -> None:
    planes, height, width = image.shape
    header = f"1 {TYPES[image.dtype.name]} little_endian\n{width} {height} 1 {planes}\n"
    path.write_bytes(header.encode() + image.tobytes())


def _read(path: Path) -> Array:
    data = path.read_bytes()
    found = re.match(rb"1 float(?:32)? little_endian\s*\n(\d+) (\d+) 1 (\d+)\s*\n", data)
    if not found:
        raise ValueError("no file of CImg, or of samples that are no floats")
    width, height, planes = map(int, found.groups())
    return np.frombuffer(data, "<f4", offset=found.end()).reshape(planes, height, width)


def _limits(task: Task) -> str | None:
    return "computes in float32, not float64" if task.case.dtype == "float64" else None


PEERS = (Program("gmic -convolve", lambda: shutil.which("gmic"), _lay_out, ("OMP_NUM_THREADS",), _limits),)
