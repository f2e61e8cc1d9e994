"""ImageMagick, by PGM and PPM files."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np

from convcli.arrays.library import Array
from convcli.bench.contestants import Task
from convcli.bench.program import Load, Program
from convcli.text import shape_text

LONGEST_ARGUMENT = 2**17 - 1  # bytes; Linux takes no more


def _lay_out(task: Task, folder: Path) -> tuple[list[str], Load]:
    """Convolve; outside the image is black, which is 0.

    Results are whole numbers of 16 bits, and the usual builds cut off what is below 0. So the kernel is
    scaled and biased: its lowest possible result becomes 0, its highest 65535. One step is the error.
    """
    bias, scale = _range(task.kernel)
    source, target = ("in.pgm", "out.pgm") if task.case.planes == 1 else ("in.ppm", "out.ppm")
    planes, height, width = task.image.shape
    header = f"P{5 if planes == 1 else 6}\n{width} {height}\n255\n"
    (folder / source).write_bytes(header.encode() + task.image.transpose(1, 2, 0).tobytes())
    options = ["-virtual-pixel", "black", "-define", f"convolve:bias={100 * bias!r}%"]
    method = ["-morphology", "Convolve", _kernel(task), "-depth", "16"]

    def load() -> Array:
        # White is 65535 to the file, 65536 to the bias.
        return (_read(folder / target) - bias * 65536 / 65535) * 255 / scale

    return [source, *options, *method, target], load


def _range(kernel: Array) -> tuple[float, float]:
    """Return the bias, as a fraction of white, and the factor of the kernel."""
    least, most = float(kernel[kernel < 0].sum()), float(kernel[kernel > 0].sum())
    scale = 1 / ((most - least) or 1.0)
    return -least * scale, scale


def _kernel(task: Task) -> str:
    weights = task.kernel * _range(task.kernel)[1]
    height, width = weights.shape
    rows = (",".join(f"{cell:.9g}" for cell in row) for row in weights.tolist())
    return f"{width}x{height}+{(width - 1) // 2}+{(height - 1) // 2}: {' '.join(rows)}"


def _read(path: Path) -> Array:
    """Read PGM or PPM as fractions of white."""
    data = path.read_bytes()
    found = re.match(rb"P([56])\s+(\d+)\s+(\d+)\s+(\d+)\s", data)
    if not found:
        raise ValueError("no PGM or PPM")
    kind, width, height, white = map(int, found.groups())
    pixels = np.frombuffer(data, ">u2" if white > 255 else "u1", offset=found.end())
    return pixels.reshape(height, width, 1 if kind == 5 else 3).transpose(2, 0, 1) / white


def _limits(task: Task) -> str | None:
    case = task.case
    if case.dtype != "uint8":
        return f"its samples have 16 bits, too few for {case.dtype}"
    if case.planes not in (1, 3):
        return f"reads files of 1 or 3 planes, not {case.planes}"
    if len(_kernel(task)) > LONGEST_ARGUMENT:
        return f"a kernel of {shape_text(case.kernel_shape)} is too long for a command line"
    return None


def _find() -> str | None:
    """Find ImageMagick; ``convert`` is also the name of others' programs."""
    paths = map(shutil.which, ("magick", "convert"))
    return next((path for path in paths if path and _is_magick(path)), None)


@functools.cache
def _is_magick(path: str) -> bool:
    try:
        done = subprocess.run([path, "-version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.stdout.startswith(b"Version: ImageMagick")


THREADS = ("MAGICK_THREAD_LIMIT", "OMP_NUM_THREADS")
PEERS = (Program("magick -morphology", _find, _lay_out, THREADS, _limits),)
