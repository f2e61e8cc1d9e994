"""Follow a schedule: fetch what each tile needs, let the backend compute it, and store the result."""

from __future__ import annotations

import functools
import itertools
import math
import operator
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from convcli import backends
from convcli.arrays import device
from convcli.arrays.device.kernels import nonfinite_flag
from convcli.arrays.gathering import NonFiniteError, Window, rows_contiguous
from convcli.arrays.library import HOST, Array, ArrayLib, array_module
from convcli.backends import Apply
from convcli.engine.chunks import Chunk, chunks, needed
from convcli.engine.planner import Plan
from convcli.engine.schedule import Schedule, Tile, schedule
from convcli.engine.separable import Vector
from convcli.spec import ceil_div
from convcli.system import threads

Action = tuple[tuple[int, ...], tuple[int, ...], Apply]
Items = int | slice
Finish = Callable[[Array, Array], int]
MOST_SHARES = 4**5  # that the free memory of a GPU is divided by before it is given up


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """All that a schedule is applied to; all arrays of one library."""

    plan: Plan
    kernels: Array  # (groups, outputs, channels, *taps), not flipped; item b meets group b mod groups
    terms: tuple[tuple[Vector, ...], ...]  # separable form, needed where the schedule has a rank
    fill: float  # value outside the image for border ``constant``
    image: Array  # (batch, channels, *spatial)
    indices: list[NDArray[np.intp]]  # position in `image` of each sample of the padded image, per axis
    result: Array  # (batch, outputs, *output), of any real type; integers are stored as they are
    finish: Finish | None = None  # brings a tile of results, which it may overwrite, into its place
    region: tuple[slice, ...] | None = None  # outputs that `result` holds; all by default
    nonfinite: Array | None = None  # as of `Window`


def execute(run: Run) -> int:
    """Fill the result; return the sum of what `finish` returned.

    A NaN or an infinity raises `NonFiniteError`: backends differ in how far those spread.
    """
    on_device = backends.on_device(backends.load(run.plan.backend))
    return _on_device(run) if on_device else _compute(run, run.plan.schedule)


def _compute(run: Run, plan: Schedule) -> int:
    """Fill the result tile by tile."""
    spec, image, result = run.plan.spec, run.image, run.result
    module = backends.load(plan.backend)
    lib = backends.library(module)
    clipped: list[int] = []
    scratch = Scratch(lib)
    room = functools.partial(scratch, "source")

    @np.errstate(all="ignore")  # what overflows is infinite; a helper thread knows no other state
    def compute(actions: list[Action], items: Items, tile: Tile) -> None:
        kept, place = _placed(tile, run.region)
        if place is None:
            return
        target: Array = result[items][place]
        # Where the result is of the right type, and whole, nothing lies between the backend and it.
        direct = len(actions) == 1 and target.dtype == spec.dtype and run.finish is None and kept is None
        if direct and rows_contiguous(target):
            total = target
        else:
            total = scratch("total", (*target.shape[: -len(tile.shape)], *tile.shape), spec.dtype)
        for number, (offset, taps, apply) in enumerate(actions):
            firsts = map(operator.add, tile.phase.offset, offset)
            lengths = (n + t - 1 for n, t in zip(tile.shape, taps, strict=True))
            per_axis = zip(run.indices, firsts, plan.steps, tile.corner, lengths, strict=True)
            sample_index = [index[first::step][c : c + n] for index, first, step, c, n in per_axis]
            term = scratch("part", total.shape, spec.dtype) if number else total
            window = Window(image[items], spec.dtype, sample_index, plan.steps, run.fill, room, run.nonfinite)
            with device.phase("kernel"):
                apply(window, term)
            if number:
                total += term
        if total is target:
            return
        wanted = total if kept is None else total[kept]
        if run.finish is not None:
            clipped.append(run.finish(wanted, target))
        else:
            lib.xp.copyto(target, wanted, casting="unsafe")

    def jobs() -> Iterator[functools.partial[None]]:
        """Prepare every group once, when the threads have come to it; they draw one at a time."""
        groups = len(run.kernels)
        for group in range(min(groups, len(image))):
            with np.errstate(all="ignore"):
                actions = list(_prepared(run, plan, module, run.kernels[group]))
            members = range(group, len(image), groups)
            items: list[Items] = [slice(group, None, groups)] if backends.batched(module) else list(members)
            for item, tile in itertools.product(items, plan.tiles()):
                yield functools.partial(compute, actions, item, tile)

    threads.run(jobs(), plan.threads, one_blas_thread=module.USES_BLAS)
    return sum(clipped)


def _placed(
    tile: Tile, region: tuple[slice, ...] | None
) -> tuple[tuple[Any, ...] | None, tuple[Any, ...] | None]:
    """Index the part of a tile that a region holds, None for all, and its place there, None for nowhere."""
    kept, place = [], []
    outputs = zip(tile.phase.outputs, tile.corner, tile.shape, strict=True)
    for axis, (of_phase, corner, count) in enumerate(outputs):
        first, step = of_phase.start, of_phase.step
        start, stop = corner, corner + count
        begin = 0
        if region is not None:
            begin = region[axis].start
            start = max(start, ceil_div(begin - first, step))
            stop = min(stop, ceil_div(region[axis].stop - first, step))
            if start >= stop:
                return None, None
        kept.append(slice(start - corner, stop - corner))
        place.append(slice(first + step * start - begin, first + step * (stop - 1) - begin + 1, step))
    whole = all(part.stop - part.start == n for part, n in zip(kept, tile.shape, strict=True))
    return None if whole else (..., *kept), (..., *place)


def _on_device(run: Run) -> int:
    """Compute on a GPU: chunk by chunk, as large as its memory allows, unless all of it is there already."""
    share = 1
    spec, cost = run.plan.spec, run.plan.cost
    # Temporaries take their part of the memory: as large a part of a chunk's as of all.
    samples = spec.batch * spec.channels * math.prod(spec.padded_shape) + spec.samples
    weight = 1 + cost.memory_bytes / max(1, samples * spec.itemsize)
    while True:
        least = clipped = 0
        try:
            with device.errors(), np.errstate(all="ignore"):
                nonfinite = nonfinite_flag()
                free = device.free_bytes() / weight / share
                for chunk in chunks(spec, run.image.dtype.itemsize, free, len(run.kernels)):
                    least = max(least, chunk.bytes)
                    clipped += _chunk(run, chunk, nonfinite)
                if run.image.dtype.kind == "f" and device.to_host(nonfinite)[0]:
                    raise NonFiniteError
        except device.OutOfDeviceMemoryError:
            # What CuPy keeps may be in the way, or the backend takes more than was thought.
            device.release()
            if share >= MOST_SHARES:
                raise device.out_of_memory(least) from None
            share *= 4
        else:
            return clipped


def _chunk(run: Run, chunk: Chunk, nonfinite: Array) -> int:
    """Bring what a chunk needs to the GPU, compute it there, and take the result to its place."""
    lib = backends.library(backends.load(run.plan.backend))
    indices = [index[padded] for index, padded in zip(run.indices, chunk.padded, strict=True)]
    image = run.image[chunk.items]
    if array_module(image) is HOST:
        image, indices = needed(image, indices)
        image = lib.to_device(np.ascontiguousarray(image))
    target = run.result[(chunk.items, slice(None), *chunk.outputs)]
    there = array_module(target) is not HOST
    assert run.finish is None or not there  # pixels are finished on the host
    result = target if there else lib.xp.empty(target.shape, chunk.spec.dtype)
    part = replace(run, image=image, indices=indices, result=result, finish=None, nonfinite=nonfinite)
    _compute(part, schedule(run.plan.backend, chunk.spec, run.plan.chosen.rank))
    if there:
        return 0
    values = lib.to_host(result)
    if run.finish is not None:
        return sum(run.finish(item, place) for item, place in zip(values, target, strict=True))
    np.copyto(target, values, casting="unsafe")
    return 0


class Scratch:
    """Memory that a thread uses again for every tile: fresh pages would cost more than what fills them."""

    def __init__(self, lib: ArrayLib) -> None:
        self.lib = lib
        self.kept = threading.local()

    def __call__(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return the thread's array called `name`, of any content."""
        found: Array | None = getattr(self.kept, name, None)
        size = math.prod(shape)
        if found is None or found.size < size:
            found = self.lib.xp.empty(size, dtype)
            setattr(self.kept, name, found)
        return found[:size].reshape(shape)


def _prepared(run: Run, plan: Schedule, module: backends.Backend, kernels: Array) -> Iterator[Action]:
    """Every piece of the kernel: where it acts, its shape, and the function that applies it."""
    spec, terms = run.plan.spec, run.terms
    lib = backends.library(module)
    if spec.op == "convolve":
        kernels = np.flip(kernels, tuple(range(-len(spec.kernel_shape), 0)))
        terms = tuple(tuple(v[::-1] for v in term) for term in terms)
    for piece in plan.pieces():
        block = kernels[(slice(None), slice(None), *piece.cells)]
        sliced = [tuple(v[c] for v, c in zip(term, piece.cells, strict=True)) for term in terms]
        if not plan.rank:
            cells = lib.to_device(np.ascontiguousarray(block, dtype=spec.dtype))
            apply = module.prepare(cells, plan.part, plan.tile)
        elif plan.fused:
            apply = backends.prepare_fused(module, sliced, plan.part)
        else:
            apply = _in_passes(module, sliced, plan)
        yield piece.offset, block.shape[2:], apply


def _in_passes(module: backends.Backend, terms: list[tuple[Vector, ...]], plan: Schedule) -> Apply:
    """Apply 1-D kernels one after the other, and add the terms."""
    part = plan.part
    # Axes that are still to be passed over keep the margin that they need.
    reach = tuple(n + t - 1 for n, t in zip(plan.tile, part.kernel_shape, strict=True))
    axes = len(part.kernel_shape)
    lib = backends.library(module)
    specs = {p.kernel_shape.index(max(p.kernel_shape)): p for p in plan.passes}
    chains: list[list[tuple[Apply, int, int]]] = []
    for term in terms:
        chain = []
        for axis in reversed(range(axes)):
            shape = [1] * (axes + 2)
            shape[axis + 2] = taps = len(term[axis])
            kernel = np.ascontiguousarray(term[axis], dtype=part.dtype).reshape(shape)
            step = module.prepare(lib.to_device(kernel), specs.get(axis, part), reach)
            chain.append((step, axis - axes, taps))
        chains.append(chain)

    def apply(window: Window, out: Array) -> None:
        if lib is HOST:  # where it is read again while it is in cache
            window = Window(window.samples(), part.dtype)
        padded = window.image.shape[-axes:] if window.indices is None else map(len, window.indices)
        padded_shape = (*window.image.shape[:-axes], *padded)
        for number, chain in enumerate(chains):
            source, shape = window, list(padded_shape)
            for step, axis, taps in chain:
                shape[axis] -= taps - 1
                last = axis == -axes and number == 0
                following = out if last else lib.xp.empty(shape, part.dtype)
                step(source, following)
                source = Window(following, part.dtype)
            if number:
                out += source.image

    return apply
