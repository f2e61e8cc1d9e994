"""What ``convcli unroll --fold`` does: the image from the matrix of its patches."""

from __future__ import annotations

import itertools
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from convcli.arrays.borders import refuse_wide_borders
from convcli.arrays.library import Array
from convcli.cli import report, settings
from convcli.cli.io.files import NPY, Files, Source
from convcli.cli.io.targets import STREAM, refuse_terminal
from convcli.cli.report.matrices import show
from convcli.cli.unroll.options import Patches, PatchesFile, Task
from convcli.errors import InputError, UsageError
from convcli.filtering.options import Filter
from convcli.images import check_holds
from convcli.matrices.files import read_matrix, recognised
from convcli.matrices.footprint import covers
from convcli.matrices.matrix import Dense, Rows
from convcli.matrices.unroll import REDUCTIONS, folded, unrolled
from convcli.options import axes
from convcli.spec import ConvSpec, choose, per_axis
from convcli.system.files import check_target, is_stream, open_input, shown
from convcli.system.resources import available_memory, check_memory
from convcli.text import shape_text

if TYPE_CHECKING:
    from io import BufferedReader

DTYPES = ("uint8", "uint16", "float32")
SAMPLE_BYTES = 40  # of memory, for each sample of the image: sums, counts, their quotient, the result


def fold_back(task: Task, patches: Patches, file: PatchesFile) -> None:
    """Read a matrix of patches, and make the image of them."""
    source, shape, dtype, output = task.source, task.shape, task.dtype, file.output
    reduce = task.reduce or "mean"
    if source is None or shape is None:
        what = "the file of a matrix" if source is None else "--shape HxW of the image"
        raise UsageError(f"--fold needs {what}: convcli unroll patches.csv --fold --shape 256x256 -s 3x3")
    choose(reduce, REDUCTIONS, "reduction")
    if dtype is not None:
        choose(dtype, DTYPES, "dtype")
    files = Files(format=file.format, force=file.force, max_memory=file.max_memory)
    if output is None:
        for name, given in (("dtype", dtype), ("format", file.format)):
            if given is not None:
                raise UsageError(f"--{name} has no effect for want of -o; add -o FILE, or leave it out")
    sizes = axes(shape, "shape")
    spatial = (sizes,) if isinstance(sizes, int) else sizes
    spatial = per_axis(spatial, len(spatial), "shape", 1)
    planes = 1 if task.channels is None else per_axis(task.channels, 1, "channels", 1)[0]
    if output is not None:
        _check_output(output, source, files, spatial, planes, dtype)
    limit = file.max_memory if file.max_memory is not None else available_memory() or 2**62
    image_bytes = SAMPLE_BYTES * planes * math.prod(spatial)
    check_memory(image_bytes, limit, f"the image {shape_text(spatial)}", "a smaller shape")
    spec = _spec(spatial, patches)
    refuse_wide_borders(spec)
    expected = math.prod(spec.output_shape), planes * math.prod(spec.kernel_shape)
    if choose(patches.layout, ("rows", "columns"), "layout") == "columns":
        expected = expected[::-1]
    matrix = _read(source, limit, expected)
    name = "standard input" if source == STREAM else shown(source)
    _check_fit(name, matrix.shape, expected, spatial, planes, patches)
    dense_bytes = math.prod(expected) * matrix.dtype.itemsize
    check_memory(image_bytes + dense_bytes, limit, "the image with the matrix, dense,", "a smaller shape")
    matrix = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
    image_shape = (planes, *spatial) if planes > 1 else spatial
    image = folded(matrix, image_shape, patches.taps, reduce=reduce, **patches.options)
    if output is None:
        _print(image, len(spatial))
    else:
        _write(image, output, files, dtype or ("uint16" if matrix.dtype == np.uint16 else "uint8"), dtype)
    if not settings.quiet:
        _say_uncovered(planes, spatial, patches)


def _spec(spatial: tuple[int, ...], patches: Patches) -> ConvSpec:
    """Describe how patches lie in the image."""
    blank = np.broadcast_to(np.uint8(0), spatial)
    if len(patches.taps) != len(spatial):
        raise UsageError(
            f"--shape {shape_text(spatial)} has {len(spatial)} axes and -s {shape_text(patches.taps)} has "
            f"{len(patches.taps)}; write as many numbers in both (--channels says how many channels)"
        )
    return unrolled(blank, patches.taps, **patches.options).spec


def _read(source: str, limit: int, expected: tuple[int, int]) -> Rows:
    """Read the matrix; of a stream, the content decides what it is."""
    if source != STREAM and not is_stream(Path(source)):
        return read_matrix(Path(source), max_bytes=limit, shape=expected)
    if source == STREAM and sys.__stdin__ is None:
        raise InputError("standard input is closed; name a file")
    with sys.stdin.buffer if source == STREAM else open_input(Path(source)) as file:
        name = None if source == STREAM else shown(source)
        extension = recognised(cast("BufferedReader", file).peek(64))
        return read_matrix(file, max_bytes=limit, extension=extension, name=name, shape=expected)


def _check_fit(
    name: str,
    given: tuple[int, ...],
    expected: tuple[int, int],
    spatial: tuple[int, ...],
    planes: int,
    patches: Patches,
) -> None:
    """Refuse a matrix that cannot have come from such an image."""
    if given == expected:
        return
    other = "columns" if patches.layout == "rows" else "rows"
    way = (
        f"use --layout {other}" if given == expected[::-1] else "check -s, --shape, --channels and the others"
    )
    of = f" of {planes} channels" if planes > 1 else ""
    raise UsageError(
        f"{name} is a matrix {shape_text(given)}, and patches {shape_text(patches.taps)} of an image "
        f"{shape_text(spatial)}{of} are {shape_text(expected)} with --layout {patches.layout}; {way}"
    )


def _say_uncovered(planes: int, spatial: tuple[int, ...], patches: Patches) -> None:
    """Tell how many samples no patch covers: what they were is not in the matrix."""
    missing = planes * _uncovered(spatial, patches)
    if not missing:
        return
    modes = [mode for mode in ("same", "full") if not _uncovered(spatial, _in_mode(patches, mode))]
    report.note(
        f"{missing} of {planes * math.prod(spatial)} samples lie under no patch and became 0; "
        + (f"--mode {' or '.join(modes)}" if modes else "a smaller --stride")
        + ", when unrolling, covers all"
    )


def _in_mode(patches: Patches, mode: str) -> Patches:
    return replace(patches, mode=mode, origin=patches.origin if mode == "same" else None, padding=None)


def _uncovered(spatial: tuple[int, ...], patches: Patches) -> int:
    covered = math.prod(int((covers(axis) > 0).sum()) for axis in _spec(spatial, patches).axes)
    return math.prod(spatial) - covered


def _print(image: Array, axes: int) -> None:
    """Print plane after plane; whole numbers as such."""
    if image.dtype.kind == "f" and np.isfinite(image).all() and np.abs(image).max() < 2**53:
        whole = np.rint(image)
        image = whole.astype(np.int64) if (whole == image).all() else image
    leading = image.shape[: image.ndim - min(axes, 2)]
    words = ("channel", "plane")[-len(leading) :] if axes == 3 else ("channel",)
    for number, index in enumerate(itertools.product(*map(range, leading))):
        if leading:
            label = ", ".join(f"{word} {i + 1}" for word, i in zip(words, index, strict=True))
            print("\n" * (number > 0) + f"{label}:")
        show(Dense(np.atleast_2d(image[index])))


def _check_output(
    output: str, source: str, files: Files, spatial: tuple[int, ...], planes: int, dtype: str | None
) -> None:
    """Refuse a target that cannot be written, before any work."""
    if not output:
        raise UsageError("the output has no name; use -o FILE, or -o - for standard output")
    if output != STREAM:
        check_target(Path(output), force=files.force, inputs=[Path(source)] if source != STREAM else [])
    else:
        refuse_terminal()
    kind = files.kind(output, NPY)
    if kind == NPY:
        return
    if len(spatial) > 2:
        raise UsageError(f"a volume {shape_text(spatial)} is no image; write it to a .npy file")
    check_holds(kind, (*(1, *spatial)[-2:], planes), dtype or "uint8", planes="channel")


def _write(image: Array, output: str, files: Files, dtype: str, asked: str | None) -> None:
    """Write the image: as it is to .npy unless a type was asked for, in a type for images to others."""
    kind = files.kind(output, NPY)
    if asked or kind != NPY:
        image = _in_type(image, np.dtype(dtype))
    shape = shape_text(image.shape)
    if kind != NPY:
        image = image[None] if image.ndim < 3 else image
        height, width = np.atleast_2d(image[0]).shape
        check_holds(kind, (height, width, len(image)), image.dtype, planes="channel")
    if not settings.quiet:
        name = "standard output" if output == STREAM else shown(output)
        report.note(f"writing {name}: {shape}, {image.dtype}")
    for note in files.write(output, image, Source(image), Filter()):
        report.note(note)


def _in_type(image: Array, dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return image.astype(dtype)
    rounded = np.rint(image)
    top = np.iinfo(dtype).max
    low, high = rounded.min(), rounded.max()
    if not (low >= 0 and high <= top):
        wider = "--dtype float32 with .tif, or " if len(image.shape) == 2 else ""
        if low >= 0 and top < high <= 65535 and len(image.shape) == 2:
            wider = f"--dtype uint16, {wider}"
        raise UsageError(
            f"the image has samples from {low:g} to {high:g}, beyond {dtype}; use {wider}-o with .npy"
        )
    return rounded.astype(dtype)
