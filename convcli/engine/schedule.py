"""How one candidate is carried out: pieces of the kernel, phases and tiles of the output, passes, threads.

The planner makes a schedule once, its estimates follow from it, and `execute` follows it to the letter.
Nothing here touches an array.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from convcli import backends
from convcli.engine.polyphase import (
    Phase,
    Piece,
    phases,
    piece_count,
    piece_spec,
    pieces,
    reduced,
    runs,
    steps,
)
from convcli.spec import ConvSpec, ceil_div
from convcli.text import shape_text

PASS_SAMPLES = 1 << 17
FEW = 16  # tiles or pieces


class Tile(NamedTuple):
    """Outputs that are computed at a time: first output and number of outputs per axis, in a phase."""

    phase: Phase
    corner: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Schedule:
    """Every decision on how a backend computes a convolution.

    Tiles lie on a grid that begins with the first output, which for mode ``same`` is the first sample of the
    image. The grid does not depend on the batch, on threads or on which outputs are asked for, so any part
    has the same bits, computed alone or with the rest.
    """

    backend: str
    spec: ConvSpec
    part: ConvSpec  # the largest piece, as the backend sees it: a plain `valid` correlation
    steps: tuple[int, ...]  # distance in the padded image of neighbouring samples, per axis
    tile: tuple[int, ...]  # outputs per axis
    rank: int = 0  # separable terms run as 1-D passes; 0 for the kernel as a whole
    fused: bool = False  # all passes are computed in one go
    passes: tuple[ConvSpec, ...] = ()  # of a term, one after the other, if they are not fused
    threads: int = 1

    def _kept(self, name: str, count: int, made: Iterable[Any]) -> Iterable[Any]:
        """Keep what is made if there are but a few: small images are computed again and again."""
        if count <= FEW:
            self.__dict__[name] = made = tuple(made)
        return made

    def tiles(self) -> Iterable[Tile]:
        """Every tile of one item of the batch."""
        return self.__dict__.get("few_tiles") or self._kept("few_tiles", self.tile_count, self._tiles())

    def _tiles(self) -> Iterator[Tile]:
        for phase in phases(self.spec):
            cuts = [range(0, n, t) for n, t in zip(phase.sizes, self.tile, strict=True)]
            for corner in itertools.product(*cuts):
                limits = zip(phase.sizes, corner, self.tile, strict=True)
                yield Tile(phase, corner, tuple(min(t, n - c) for n, c, t in limits))

    def pieces(self) -> Iterable[Piece]:
        """Parts of the kernel, computed one after the other and added."""
        return self.__dict__.get("few_pieces") or self._kept(
            "few_pieces", piece_count(self.spec), pieces(self.spec)
        )

    @property
    def phase_count(self) -> int:
        """Lattices that the outputs are split by."""
        return math.prod(min(n, axis.output) for n, axis in zip(self._dilations, self.spec.axes, strict=True))

    @property
    def tile_count(self) -> int:
        """Tiles of one item of the batch."""
        return math.prod(map(runs, self.spec.output_shape, self._dilations, self.tile))

    @property
    def _dilations(self) -> list[int]:
        return [reduced(axis)[1] for axis in self.spec.axes]

    def reach(self, axis: int, outputs: slice) -> tuple[int, int]:
        """Return the outputs, from first to last and one, of the tiles that hold some of `outputs`."""
        first, last = outputs.stop, outputs.start
        step, tile, size = self._dilations[axis], self.tile[axis], self.spec.axes[axis].output
        for phase in range(min(step, size)):
            start = max(0, ceil_div(outputs.start - phase, step))
            stop = max(0, ceil_div(outputs.stop - phase, step))
            if start < stop:
                start = start // tile * tile
                stop = min(ceil_div(size - phase, step), ceil_div(stop, tile) * tile)
                first = min(first, phase + step * start)
                last = max(last, phase + step * (stop - 1) + 1)
        return first, last

    def lines(self) -> list[tuple[str, str]]:
        """Put every decision into words."""
        passes = "fused 1-D passes" if self.fused else "1-D passes one after the other"
        terms = f", {self.rank} terms" if self.rank > 1 else ""
        passes = passes + terms if self.rank else "as a whole"
        kernel = f"{passes}, {shape_text(self.part.kernel_shape)}"
        if (count := piece_count(self.spec)) > 1:
            kernel += f" at most, in {count} pieces"
        tiles = f"{self.tile_count} of {shape_text(self.tile)}"
        if self.phase_count > 1:
            tiles += f", in {self.phase_count} phases of {shape_text(self.part.output_shape)} at most"
        if self.spec.batch > 1:
            tiles += f"; {self.spec.batch} planes"
        return [("kernel", kernel), ("tiles", tiles), ("threads", str(self.threads))]


def schedule(name: str, spec: ConvSpec, rank: int, part: ConvSpec | None = None) -> Schedule:
    """Decide how a backend computes `spec` on one thread, in 1-D passes if `rank` is not 0."""
    module = backends.load(name)
    part = part or piece_spec(spec)
    fused = bool(rank) and backends.fused_cost(module, part) is not None
    passes = pass_specs(part) if rank and not fused else ()
    tile = module.tile(part)
    if passes and not backends.on_device(module):
        tile = _pass_tile(part)
    return Schedule(name, spec, part, steps(spec), tile, rank, fused, passes)


def _pass_tile(part: ConvSpec) -> tuple[int, ...]:
    """Return a tile for 1-D passes that stays in cache, no smaller than the overlap with its neighbours."""
    shape = [min(axis.output, max(32, 2 * axis.taps)) for axis in part.axes]
    width = PASS_SAMPLES // math.prod(shape)
    if width > 1:
        shape[-1] = min(part.axes[-1].output, shape[-1] * width)
    return tuple(shape)


def pass_specs(spec: ConvSpec) -> tuple[ConvSpec, ...]:
    """Return the 1-D passes of a separable kernel, the last axis first."""
    axes = range(len(spec.kernel_shape))
    shapes = (tuple(n if a == axis else 1 for a, n in enumerate(spec.kernel_shape)) for axis in axes[::-1])
    return tuple(
        replace(spec, kernel_shape=s, taps=None, rank=0, origin=None) for s in shapes if math.prod(s) > 1
    )
