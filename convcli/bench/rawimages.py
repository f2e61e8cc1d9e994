"""Plain image files that other programs read and write without loss: vips's .v, Netpbm, CImg's .cimg."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from convcli.arrays.library import Array

V_HEADER = 64  # bytes
V_MAGIC = 0x08F2A6B6
V_TYPES = {"uint8": 0, "float32": 6, "float64": 8}


def write_v(path: Path, image: Array) -> None:
    """Write libvips' own format: a header of 32-bit words, then the pixels, their planes interleaved."""
    planes, height, width = image.shape
    header = np.zeros(V_HEADER // 4, "<u4")
    header[:6] = V_MAGIC, width, height, planes, 0, V_TYPES[image.dtype.name]
    header.view("<f4")[8:10] = 1.0  # pixels per millimetre
    path.write_bytes(header.tobytes() + image.transpose(1, 2, 0).tobytes())


def read_v(path: Path) -> Array:
    """Read libvips' own format."""
    data = path.read_bytes()
    magic, width, height, planes, _, kind = np.frombuffer(data[:24], "<u4").tolist()
    names = {number: name for name, number in V_TYPES.items()}
    if magic != V_MAGIC or kind not in names:
        raise ValueError("no file of libvips, or of samples that are no floats")
    pixels = np.frombuffer(data, names[kind], width * height * planes, V_HEADER)
    return pixels.reshape(height, width, planes).transpose(2, 0, 1)


def write_pnm(path: Path, image: Array) -> None:
    """Write 8-bit PGM or PPM."""
    planes, height, width = image.shape
    header = f"P{5 if planes == 1 else 6}\n{width} {height}\n255\n"
    path.write_bytes(header.encode() + image.transpose(1, 2, 0).tobytes())


def read_pnm(path: Path) -> Array:
    """Read PGM or PPM as fractions of white."""
    data = path.read_bytes()
    found = re.match(rb"P([56])\s+(\d+)\s+(\d+)\s+(\d+)\s", data)
    if not found:
        raise ValueError("no PGM or PPM")
    kind, width, height, white = map(int, found.groups())
    pixels = np.frombuffer(data, ">u2" if white > 255 else "u1", offset=found.end())
    return pixels.reshape(height, width, 1 if kind == 5 else 3).transpose(2, 0, 1) / white


CIMG_TYPES = {"uint8": "unsigned_char", "float32": "float"}  # the names that every version knows


def write_cimg(path: Path, image: Array) -> None:
    """Write CImg's own format: two lines of text, then plane after plane."""
    planes, height, width = image.shape
    header = f"1 {CIMG_TYPES[image.dtype.name]} little_endian\n{width} {height} 1 {planes}\n"
    path.write_bytes(header.encode() + image.tobytes())


def read_cimg(path: Path) -> Array:
    """Read CImg's own format, float samples only."""
    data = path.read_bytes()
    found = re.match(rb"1 float(?:32)? little_endian\s*\n(\d+) (\d+) 1 (\d+)\s*\n", data)
    if not found:
        raise ValueError("no file of CImg, or of samples that are no floats")
    width, height, planes = map(int, found.groups())
    return np.frombuffer(data, "<f4", offset=found.end()).reshape(planes, height, width)
