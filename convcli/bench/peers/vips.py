"""Libvips, by files of its own format: a header of 32-bit words, then pixels of interleaved planes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from convcli.arrays.library import Array
from convcli.bench.contestants import Task
from convcli.bench.program import Load, Program

HEADER = 64  # bytes
MAGIC = 0x08F2A6B6
TYPES = {"uint8": 0, "float32": 6, "float64": 8}


def _lay_out(task: Task, folder: Path) -> tuple[list[str], Load]:
    """Correlate, with the origin at ``n // 2``.

    vips repeats the edge of the image: if that is one line of zeros, there are zeros as far as it sees.
    """
    _write(folder / "in.v", np.pad(task.image, ((0, 0), (1, 1), (1, 1))))
    weights = task.kernel[::-1, ::-1]
    lines = [f"{weights.shape[1]} {weights.shape[0]}", *(" ".join(map(repr, r)) for r in weights.tolist())]
    (folder / "mask.mat").write_text("\n".join(lines) + "\n", encoding="ascii")
    arguments = ["conv", "in.v", "out.v", "mask.mat", "--precision", "float"]
    return arguments, lambda: _read(folder / "out.v")[:, 1:-1, 1:-1]


def _write(path: Path, image: Array) -> None:
    planes, height, width = image.shape
    header = np.zeros(HEADER // 4, "<u4")
    header[:6] = MAGIC, width, height, planes, 0, TYPES[image.dtype.name]
    header.view("<f4")[8:10] = 1.0  # pixels per millimetre
    path.write_bytes(header.tobytes() + image.transpose(1, 2, 0).tobytes())


def _read(path: Path) -> Array:
    data = path.read_bytes()
    magic, width, height, planes, _, kind = np.frombuffer(data[:24], "<u4").tolist()
    names = {number: name for name, number in TYPES.items()}
    if magic != MAGIC or kind not in names:
        raise ValueError("no file of libvips, or of samples that are no floats")
    pixels = np.frombuffer(data, names[kind], width * height * planes, HEADER)
    return pixels.reshape(height, width, planes).transpose(2, 0, 1)


PEERS = (Program("vips conv", lambda: shutil.which("vips"), _lay_out, ("VIPS_CONCURRENCY",)),)
