"""Run a plan: cut the output into tiles, fetch what each needs, let the backend compute it."""

from __future__ import annotations

import functools
import itertools
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from convcli import backends
from convcli.arrays import device
from convcli.arrays.borders import OUTSIDE, border_indices
from convcli.arrays.device.kernels import nonfinite_flag
from convcli.arrays.gathering import NonFiniteError, Window, rows_contiguous
from convcli.arrays.library import HOST, Array, ArrayLib, array_module
from convcli.backends import Apply, fused
from convcli.engine.chunks import Slab, slabs
from convcli.engine.planner import BUDGET_BYTES, Plan, pass_specs, tile_shape
from convcli.engine.polyphase import Phase, phases, piece_spec, pieces, steps
from convcli.engine.separable import Vector
from convcli.spec import ConvSpec
from convcli.system import threads

Action = tuple[tuple[int, ...], tuple[int, ...], Apply]
Items = int | slice
Finish = Callable[[Array, Array], int]
MOST_SHARES = 4**5  # that the free memory of a GPU is divided by before it is given up


def execute(
    plan: Plan,
    image: Array,
    kernels: Array,
    result: Array,
    *,
    fill: float = 0.0,
    terms: list[tuple[Vector, ...]] | None = None,
    finish: Finish | None = None,
) -> int:
    """Fill `result` with the convolution that `plan` describes.

    Parameters
    ----------
    plan : Plan
    image : (batch, channels, *spatial) array
    kernels : (groups * outputs, channels, *taps) array
        As the user wrote them; item b of the batch meets group b mod groups of them.
    result : (batch, outputs, *output) array
        Any real type; integers are stored as they are.
    fill : float
        Value outside the image for border ``constant``.
    terms : list of (one vector per axis), optional
        Separable form of the kernel, needed where ``plan.chosen.rank`` is not 0.
    finish : callable, optional
        Brings a tile of results, which it may overwrite, into its place in `result`.

    Returns
    -------
    int
        The sum of what `finish` returned.

    Raises
    ------
    NonFiniteError
        If the image holds a NaN or an infinity: backends differ in how far those spread.
    """
    module = backends.load(plan.backend)
    banks = kernels.reshape(-1, plan.spec.outputs, *kernels.shape[1:])
    whole = Part(plan, image, border_indices(plan.spec), result)
    if backends.on_device(module):
        return _on_device(whole, banks, fill, terms, finish)
    return _compute(whole, banks, fill, terms, finish)


@dataclass(frozen=True)
class Part:
    """A convolution, or the outputs of one that are computed at a time; all arrays of one library.

    Attributes
    ----------
    plan : Plan
    image : (batch, channels, *spatial) array
    indices : list of one int array per spatial axis
        Where in `image` every sample of the padded image comes from.
    result : (batch, outputs, *output) array
    gaps : (1,) array of int32, optional
        As of `Window`.
    """

    plan: Plan
    image: Array
    indices: list[NDArray[np.intp]]
    result: Array
    gaps: Array | None = None


def _compute(
    part: Part, banks: Array, fill: float, terms: list[tuple[Vector, ...]] | None, finish: Finish | None
) -> int:
    """Fill the result tile by tile, on as many threads as planned."""
    plan, image, result = part.plan, part.image, part.result
    spec = plan.spec
    module = backends.load(plan.backend)
    lib = backends.library(module)
    largest = piece_spec(spec)
    tile = tile_shape(module, largest, plan.chosen.rank)
    tiles = list(_tiles(spec, tile, len(banks), backends.batched(module)))
    workers = max(1, min(plan.chosen.threads, len(tiles)))
    if len(banks) > 1:  # with few tiles to a group every thread keeps another one's kernels
        most = int(BUDGET_BYTES // max(1, plan.cost.kept_bytes))
        workers = max(1, min(workers, max(len(tiles) // len(banks), most)))
    distances = steps(spec)
    clipped: list[int] = []
    scratch = Scratch(lib)
    room = functools.partial(scratch, "source")

    @np.errstate(all="ignore")  # what overflows is infinite; a helper thread knows no other state
    def compute(
        actions: list[Action], items: Items, phase: Phase, corner: tuple[int, ...], shape: tuple[int, ...]
    ) -> None:
        outputs = (slice(c, c + n) for c, n in zip(corner, shape, strict=True))
        target: Array = result[items][_last(phase.outputs)][_last(outputs)]
        # Where the result is of the right type, and whole, nothing lies between the backend and it.
        direct = len(actions) == 1 and target.dtype == spec.dtype and finish is None
        total = target if direct and rows_contiguous(target) else scratch("total", target.shape, spec.dtype)
        for number, (offset, taps, apply) in enumerate(actions):
            sample_index = [
                index[p + o :: d][c : c + n + t - 1]
                for index, p, o, d, c, n, t in zip(
                    part.indices, phase.offset, offset, distances, corner, shape, taps, strict=True
                )
            ]
            term = scratch("part", total.shape, spec.dtype) if number else total
            window = Window(image[items], spec.dtype, sample_index, distances, fill, room, part.gaps)
            with device.phase("kernel"):
                apply(window, term)
            if number:
                total += term
        if finish is not None:
            clipped.append(finish(total, target))
        elif total is not target:
            lib.xp.copyto(target, total, casting="unsafe")

    def jobs() -> Iterator[functools.partial[None]]:
        """Prepare every group once, when the threads have come to it; they draw one at a time."""
        for group, members in itertools.groupby(tiles, lambda t: t[0]):
            with np.errstate(all="ignore"):
                actions = list(_prepared(plan, module, largest, banks[group], terms, tile))
            yield from (functools.partial(compute, actions, *t[1:]) for t in members)

    threads.run(jobs(), workers, one_blas_thread=module.USES_BLAS)
    return sum(clipped)


def _on_device(
    whole: Part, banks: Array, fill: float, terms: list[tuple[Vector, ...]] | None, finish: Finish | None
) -> int:
    """Compute on a GPU: slab by slab, as large as its memory allows, unless all of it is there already.

    Raises
    ------
    BackendError
        If not even the smallest slab fits.
    """
    share = 1
    spec, cost = whole.plan.spec, whole.plan.cost
    # Temporaries take their part of the memory: as large a part of a slab's as of all.
    samples = spec.batch * spec.channels * math.prod(spec.padded_shape) + spec.samples
    weight = 1 + cost.memory_bytes / max(1, samples * spec.itemsize)
    while True:
        least = clipped = 0
        try:
            with device.errors(), np.errstate(all="ignore"):
                gaps = nonfinite_flag()
                room = device.free_bytes() / weight / share
                for slab in slabs(spec, whole.image.dtype.itemsize, room, len(banks)):
                    least = max(least, slab.bytes)
                    clipped += _slab(whole, slab, gaps, banks, fill, terms, finish)
                if whole.image.dtype.kind == "f" and device.to_host(gaps)[0]:
                    raise NonFiniteError
        except device.OutOfDeviceMemoryError:
            # What CuPy keeps may be in the way, or the backend takes more than was thought.
            device.release()
            if share >= MOST_SHARES:
                raise device.out_of_memory(least) from None
            share *= 4
        else:
            return clipped


def _slab(
    whole: Part,
    slab: Slab,
    gaps: Array,
    banks: Array,
    fill: float,
    terms: list[tuple[Vector, ...]] | None,
    finish: Finish | None,
) -> int:
    """Bring what a slab needs to the GPU, compute it there, and take the result to its place."""
    lib = backends.library(backends.load(whole.plan.backend))
    indices = [index[padded] for index, padded in zip(whole.indices, slab.padded, strict=True)]
    image = whole.image[slab.items]
    if array_module(image) is HOST:
        image, indices = _needed(image, indices)
        image = lib.to_device(np.ascontiguousarray(image))
    target = whole.result[(slab.items, slice(None), *slab.outputs)]
    there = array_module(target) is not HOST
    assert finish is None or not there  # pixels are finished on the host
    result = target if there else lib.xp.empty(target.shape, slab.spec.dtype)
    plan = replace(whole.plan, spec=slab.spec)
    _compute(Part(plan, image, indices, result, gaps), banks, fill, terms, None)
    if there:
        return 0
    values = lib.to_host(result)
    if finish is not None:
        return sum(finish(item, place) for item, place in zip(values, target, strict=True))
    np.copyto(target, values, casting="unsafe")
    return 0


def _needed(image: Array, indices: list[NDArray[np.intp]]) -> tuple[Array, list[NDArray[np.intp]]]:
    """Leave out the samples that no index speaks of."""
    first = image.ndim - len(indices)
    renumbered = []
    for axis, index in enumerate(indices, first):
        found = np.unique(index[index != OUTSIDE])
        if len(found) == 0:
            found = np.zeros(1, np.intp)  # nothing but border; there has to be something
        if found[-1] - found[0] == len(found) - 1:
            image = image[(slice(None),) * axis + (slice(found[0], found[-1] + 1),)]
        else:
            image = image.take(found, axis=axis)
        renumbered.append(np.where(index == OUTSIDE, OUTSIDE, np.searchsorted(found, index)))
    return image, renumbered


def _last(places: Iterable[slice]) -> tuple[Any, ...]:
    """An index of the last axes."""
    return (..., *places)


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


def _tiles(
    spec: ConvSpec, tile: tuple[int, ...], groups: int, batched: bool
) -> Iterator[tuple[int, Items, Phase, tuple[int, ...], tuple[int, ...]]]:
    """Every tile as group, items of the batch, phase, first output and shape, those of one group together."""
    for group in range(groups):
        members = range(group, spec.batch, groups)
        items: list[Items] = [slice(group, None, groups)] if batched and members else list(members)
        for item, phase in itertools.product(items, phases(spec)):
            sizes = [len(range(a.output)[s]) for a, s in zip(spec.axes, phase.outputs, strict=True)]
            for cut in itertools.product(*(_cuts(n, t) for n, t in zip(sizes, tile, strict=True))):
                corner, shape = zip(*cut, strict=True)
                yield group, item, phase, corner, shape


def _cuts(length: int, step: int) -> list[tuple[int, int]]:
    """Cut a range into runs: start and length of each."""
    return [(n, min(step, length - n)) for n in range(0, length, step)]


def _prepared(
    plan: Plan,
    module: backends.Backend,
    part: ConvSpec,
    kernels: Array,
    terms: list[tuple[Vector, ...]] | None,
    tile: tuple[int, ...],
) -> Iterator[Action]:
    """Every piece of the kernel: where it acts, its shape, and the function that applies it."""
    spec = plan.spec
    lib = backends.library(module)
    axes = tuple(range(-len(spec.kernel_shape), 0))
    if spec.op == "convolve":
        kernels = np.flip(kernels, axes)
        terms = terms and [tuple(v[::-1] for v in term) for term in terms]
    for piece in pieces(spec):
        block = kernels[(slice(None), slice(None), *piece.cells)]
        apply: Apply
        if plan.chosen.rank:
            assert terms is not None
            sliced = [tuple(v[c] for v, c in zip(term, piece.cells, strict=True)) for term in terms]
            together = fused(module, part)
            apply = together[1](sliced) if together else _in_passes(module, sliced, part, tile)
        else:
            apply = module.prepare(lib.to_device(np.ascontiguousarray(block, dtype=spec.dtype)), part, tile)
        yield piece.offset, block.shape[2:], apply


def _in_passes(
    module: backends.Backend, terms: list[tuple[Vector, ...]], part: ConvSpec, tile: tuple[int, ...]
) -> Apply:
    """Apply 1-D kernels one after the other, and add the terms."""
    # Axes that are still to be passed over keep the margin that they need.
    reach = tuple(n + t - 1 for n, t in zip(tile, part.kernel_shape, strict=True))
    axes = len(part.kernel_shape)
    lib = backends.library(module)
    specs = {p.kernel_shape.index(max(p.kernel_shape)): p for p in pass_specs(part)}
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
