"""Run a plan: cut the output into tiles, fetch what each needs, let the backend compute it."""

from __future__ import annotations

import functools
import itertools
import math
import threading
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import DTypeLike

from convcli import backends, threads
from convcli.arrays import Array, Window, border_indices, in_rows
from convcli.backends import Apply, fused
from convcli.pieces import Phase, phases, piece_spec, pieces, steps
from convcli.planner import BUDGET_BYTES, Plan, pass_specs, tile_shape
from convcli.separable import Vector
from convcli.spec import ConvSpec

Part = tuple[tuple[int, ...], tuple[int, ...], Apply]
Finish = Callable[[Array, Array], int]


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
    spec = plan.spec
    module = backends.load(plan.backend)
    largest = piece_spec(spec)
    tile = tile_shape(module, largest, plan.chosen.rank)
    banks = kernels.reshape(-1, spec.outputs, *kernels.shape[1:])
    tiles = list(_tiles(spec, tile, len(banks)))
    workers = max(1, min(plan.chosen.threads, len(tiles)))
    if len(banks) > 1:  # with few tiles to a group every thread keeps another one's kernels
        most = int(BUDGET_BYTES // max(1, plan.cost.kept_bytes))
        workers = max(1, min(workers, max(len(tiles) // len(banks), most)))
    indices, distances = border_indices(spec), steps(spec)
    clipped: list[int] = []
    scratch = Scratch()
    room = functools.partial(scratch, "source")

    @np.errstate(all="ignore")  # what overflows is infinite; a helper thread knows no other state
    def compute(
        parts: list[Part], item: int, phase: Phase, corner: tuple[int, ...], shape: tuple[int, ...]
    ) -> None:
        target: Array = result[item][(slice(None), *phase.outputs)]
        target = target[(slice(None), *(slice(c, c + n) for c, n in zip(corner, shape, strict=True)))]
        # Where the result is of the right type, and whole, nothing lies between the backend and it.
        whole = len(parts) == 1 and target.dtype == spec.dtype and finish is None
        total = target if whole and in_rows(target) else scratch("total", target.shape, spec.dtype)
        for number, (offset, taps, apply) in enumerate(parts):
            lattice = [
                index[p + o :: d][c : c + n + t - 1]
                for index, p, o, d, c, n, t in zip(
                    indices, phase.offset, offset, distances, corner, shape, taps, strict=True
                )
            ]
            part = scratch("part", total.shape, spec.dtype) if number else total
            apply(Window(image[item], spec.dtype, lattice, distances, fill, room), part)
            if number:
                total += part
        if finish is not None:
            clipped.append(finish(total, target))
        elif total is not target:
            np.copyto(target, total, casting="unsafe")

    def jobs() -> Iterator[functools.partial[None]]:
        """Prepare every group once, when the threads have come to it; they draw one at a time."""
        for group, members in itertools.groupby(tiles, lambda t: t[0] % len(banks)):
            with np.errstate(all="ignore"):
                parts = list(_prepared(plan, module, largest, banks[group], terms, tile))
            yield from (functools.partial(compute, parts, *t) for t in members)

    threads.run(jobs(), workers, one_blas_thread=module.USES_BLAS)
    return sum(clipped)


class Scratch:
    """Memory that a thread uses again for every tile: fresh pages would cost more than what fills them."""

    def __init__(self) -> None:
        self.kept = threading.local()

    def __call__(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return the thread's array called `name`, of any content."""
        found: Array | None = getattr(self.kept, name, None)
        size = math.prod(shape)
        if found is None or found.size < size:
            found = np.empty(size, dtype)
            setattr(self.kept, name, found)
        return found[:size].reshape(shape)


def _tiles(
    spec: ConvSpec, tile: tuple[int, ...], groups: int
) -> Iterator[tuple[int, Phase, tuple[int, ...], tuple[int, ...]]]:
    """Every tile as batch item, phase, first output and shape, the items of one group together."""
    items = (item for group in range(groups) for item in range(group, spec.batch, groups))
    for item, phase in itertools.product(items, phases(spec)):
        sizes = [len(range(a.output)[s]) for a, s in zip(spec.axes, phase.outputs, strict=True)]
        for cut in itertools.product(*(_cuts(n, t) for n, t in zip(sizes, tile, strict=True))):
            corner, shape = zip(*cut, strict=True)
            yield item, phase, corner, shape


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
) -> Iterator[Part]:
    """Every piece of the kernel: where it acts, its shape, and the function that applies it."""
    spec = plan.spec
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
            apply = module.prepare(np.ascontiguousarray(block, dtype=spec.dtype), part, tile)
        yield piece.offset, block.shape[2:], apply


def _in_passes(
    module: backends.Backend, terms: list[tuple[Vector, ...]], part: ConvSpec, tile: tuple[int, ...]
) -> Apply:
    """Apply 1-D kernels one after the other, and add the terms."""
    # Axes that are still to be passed over keep the margin that they need.
    reach = tuple(n + t - 1 for n, t in zip(tile, part.kernel_shape, strict=True))
    axes = len(part.kernel_shape)
    specs = {p.kernel_shape.index(max(p.kernel_shape)): p for p in pass_specs(part)}
    chains: list[list[tuple[Apply, int, int]]] = []
    for term in terms:
        chain = []
        for axis in reversed(range(axes)):
            shape = [1] * (axes + 2)
            shape[axis + 2] = taps = len(term[axis])
            kernel = np.ascontiguousarray(term[axis], dtype=part.dtype).reshape(shape)
            chain.append((module.prepare(kernel, specs.get(axis, part), reach), axis + 1, taps))
        chains.append(chain)

    def apply(window: Window, out: Array) -> None:
        image = window.samples()
        for number, chain in enumerate(chains):
            partial = image
            for step, axis, taps in chain:
                shape = list(partial.shape)
                shape[axis] -= taps - 1
                last = axis == 1 and number == 0
                following = out if last else np.empty(shape, part.dtype)
                step(Window(partial, part.dtype), following)
                partial = following
            if number:
                out += partial

    return apply
