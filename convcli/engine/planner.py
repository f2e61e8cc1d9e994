"""Which backend computes a convolution, and why: estimates of every candidate, compared."""

from __future__ import annotations

import functools
import importlib.util
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

from convcli import backends
from convcli.engine import rates as profile
from convcli.engine.polyphase import piece_spec, pieces
from convcli.errors import LimitError, unusable
from convcli.spec import ConvSpec, Cost, choose, per_axis
from convcli.system.resources import cpu_count
from convcli.text import bytes_text

BUDGET_BYTES = 48 << 20
"""What the temporaries of all threads may take together, beyond twice the image and result."""

PASS_SAMPLES = 1 << 17


@dataclass(frozen=True)
class Candidate:
    """One way to compute a convolution.

    Attributes
    ----------
    backend : str
    rank : int
        Separable terms run as 1-D passes; 0 for the kernel as a whole.
    cost : Cost or None
        Over all threads; None if it cannot be used.
    threads : int
        That it can keep busy, within the bounds on memory.
    reason : str or None
        Why it cannot be used.
    """

    backend: str
    rank: int
    cost: Cost | None
    threads: int = 1
    reason: str | None = None

    @property
    def name(self) -> str:
        """Backend and passes, as shown to people."""
        if not self.rank:
            return self.backend
        return f"{self.backend}, " + ("1-D passes" if self.rank == 1 else f"1-D passes of rank {self.rank}")


@dataclass(frozen=True)
class Plan:
    """A decision: print it, or run it.

    Attributes
    ----------
    spec : ConvSpec
    chosen : Candidate
    candidates : tuple of Candidate
        All that were considered, the chosen one too.
    why : str
        One sentence.
    """

    spec: ConvSpec
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    why: str

    @property
    def backend(self) -> str:
        """Name of the chosen backend."""
        return self.chosen.backend

    @property
    def cost(self) -> Cost:
        """Estimate for the chosen candidate."""
        assert self.chosen.cost is not None
        return self.chosen.cost


def plan(
    spec: ConvSpec,
    backend: str = "auto",
    *,
    threads: int | None = None,
    max_memory: int | None = None,
    resident: bool = False,
) -> Plan:
    """Choose how to compute `spec`.

    Parameters
    ----------
    spec : ConvSpec
    backend : str
        A name of `convcli.backends.names`; of several that it stands for, and of all for ``"auto"``,
        the one of least estimated time.
    threads : int, optional
        All that this process may use by default.
    max_memory : int, optional
        Bytes that temporaries may take.
    resident : bool
        The image lies on the GPU, and the result is to lie there.

    Returns
    -------
    Plan

    Raises
    ------
    UsageError
        If the backend is unknown.
    BackendError
        If it cannot run here or cannot compute `spec`.
    LimitError
        If it would take more than `max_memory`.

    Examples
    --------
    >>> plan(ConvSpec((512, 512), (3, 3)), "im2col").backend
    'im2col'
    """
    threads = cpu_count() if threads is None else per_axis(threads, 1, "threads", 1)[0]
    choose(backend, ["auto", *backends.names()], "backend")
    found = list(_found(backend, spec, threads, resident))
    usable = [c for c in found if c.cost is not None]
    if not usable:
        raise unusable(found[0].backend, str(found[0].reason))
    fitting = [c for c in usable if max_memory is None or (c.cost and c.cost.memory_bytes <= max_memory)]
    if not fitting:
        needed = min(c.cost.memory_bytes for c in usable if c.cost)
        raise LimitError(
            f"backend {usable[0].backend} needs {bytes_text(needed)} of memory, more than the "
            f"{bytes_text(max_memory or 0)} allowed; raise --max-memory, or use another backend"
        )
    chosen = min(fitting, key=lambda c: c.cost.seconds if c.cost else math.inf)
    others = len({c.backend for c in usable}) - 1
    several = backend == "auto" or backends.is_family(backend)
    why = f"least estimated time of {others + 1} backends" if several else "asked for"
    return Plan(spec, chosen, tuple(found), why)


def _found(backend: str, spec: ConvSpec, threads: int, resident: bool) -> Iterator[Candidate]:
    """Every way to use what the name of a backend, or ``auto``, stands for."""
    auto = backend == "auto"
    best = math.inf
    # The host comes first: where it is done before a GPU has woken up, nobody need wake it.
    for head in _order() if auto else (backend,):
        reason = None
        if _elsewhere(head):
            if auto and not resident and best <= (wait := _start_seconds(head)):
                reason = f"not looked for: a GPU takes longer to start, about {wait:.1f} s"
            elif backends.is_family(head):
                reason = backends.load(head).unavailable()
        elif resident:
            reason = "the image lies on the GPU; copy it to the host with .get()"
        if reason is not None:
            yield Candidate(head, 0, None, reason=reason)
            continue
        for member in backends.members(head):
            for candidate in _candidates(member, spec, threads, resident):
                best = min(best, candidate.cost.seconds if candidate.cost else math.inf)
                yield candidate


@functools.cache
def _order() -> tuple[str, ...]:
    return tuple(sorted(backends.heads(), key=_elsewhere))


@functools.cache
def _elsewhere(name: str) -> bool:
    """Whether a backend, or a family, works on a GPU."""
    return backends.on_device(backends.load(name))


def _start_seconds(name: str) -> float:
    """What has to be imported first takes at least so long; nothing, if it is not there to be imported."""
    imports = [what for what in backends.load(name).RATES if what.startswith("import ")]
    missing = [what for what in imports if what.removeprefix("import ") not in sys.modules]
    missing = [what for what in missing if _installed(what.removeprefix("import "))]
    return sum(profile.rates(name)[what] for what in missing)


@functools.cache
def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _candidates(name: str, spec: ConvSpec, threads: int, resident: bool) -> tuple[Candidate, ...]:
    loaded = tuple(what.removeprefix("import ") in sys.modules for what in backends.load(name).RATES)
    return _considered(name, spec, threads, resident, loaded, profile.current())


@functools.lru_cache(maxsize=256)
def _considered(
    name: str,
    spec: ConvSpec,
    threads: int,
    resident: bool,
    *state: object,  # noqa: ARG001 - what else it depends on
) -> tuple[Candidate, ...]:
    """Estimate every way to use a backend; whoever filters many small images pays once."""
    module = backends.load(name)
    part = piece_spec(spec)
    reason = module.unavailable() or module.unsupported(part)
    if reason is not None:
        return (Candidate(name, 0, None, reason=reason),)
    count = len(pieces(spec))
    busy = 1 if backends.on_device(module) else threads
    carried = backends.on_device(module) and not resident
    found = [Candidate(name, 0, *_on_threads(name, part, [part] * count, 0, busy, carried))]
    if part.rank and module.IN_PASSES:
        together = backends.fused(module, part) is not None
        passes = [part] * count if together else pass_specs(part) * count * part.rank
        found.append(Candidate(name, part.rank, *_on_threads(name, part, passes, part.rank, busy, carried)))
    return tuple(found)


def tile_shape(module: backends.Backend, part: ConvSpec, rank: int) -> tuple[int, ...]:
    """Return the shape of the pieces of output that are computed at a time.

    In 1-D passes, one after the other, a tile is at least as large as the overlap that its neighbours
    compute again, and it and the intermediate result stay in cache.
    """
    if not rank or backends.fused(module, part) or backends.on_device(module):
        return module.tile(part)
    shape = [min(axis.output, max(32, 2 * axis.taps)) for axis in part.axes]
    room = PASS_SAMPLES // math.prod(shape)
    if room > 1:
        shape[-1] = min(part.axes[-1].output, shape[-1] * room)
    return tuple(shape)


def pass_specs(spec: ConvSpec) -> list[ConvSpec]:
    """Return the 1-D passes of a separable kernel, the last axis first."""
    axes = range(len(spec.kernel_shape))
    shapes = [
        tuple(n if a == axis else 1 for a, n in enumerate(spec.kernel_shape)) for axis in reversed(axes)
    ]
    return [replace(spec, kernel_shape=s, taps=None, rank=0, origin=None) for s in shapes if math.prod(s) > 1]


def _on_threads(
    name: str, part: ConvSpec, steps: list[ConvSpec], rank: int, threads: int, carried: bool
) -> tuple[Cost, int]:
    """Estimate all steps that `part` takes, on as many threads as it can use.

    Where the data are `carried`, they have to be brought to a GPU and back.
    """
    module = backends.load(name)
    fused = backends.fused(module, part) if rank else None
    costs = {step: fused[0] if fused else module.cost(step) for step in set(steps)}
    rates = profile.rates(name)
    tile = tile_shape(module, part, rank)
    items = 1 if backends.batched(module) else part.batch
    tiles = items * math.prod(-(-n // t) for n, t in zip(part.output_shape, tile, strict=True))
    source = part.channels * math.prod(t + k - 1 for t, k in zip(tile, part.kernel_shape, strict=True))
    held = (source + 2 * part.outputs * math.prod(tile)) * part.itemsize
    peak = held + max(cost.peak_bytes for cost in costs.values())
    image = part.batch * part.channels * math.prod(part.image_shape)
    kept = sum(costs[step].kept_bytes for step in steps)
    room = BUDGET_BYTES + 2 * (image + part.samples) * part.itemsize - kept
    most = max(1, min(threads, tiles, int(room // max(1, peak))))
    moved = (image + part.samples) * part.itemsize
    between = part.samples * part.itemsize * (len(steps) - 1)
    work: dict[str, float] = {"step": len(steps), "tile": tiles, "memory": moved, "between": between}
    for step in steps:
        for what, count in costs[step].work.items():
            work[what] = work.get(what, 0) + count
    alone = sum(rates[what] * count for what, count in work.items())
    useful = min(range(1, most + 1), key=lambda n: alone / n + rates["thread"] * (n - 1))
    work = {what: count / useful for what, count in work.items()}
    start: dict[str, float] = {"thread": useful - 1}
    if carried:
        work["transfer"] = moved
    for cost in costs.values():
        start |= cost.start
    total = Cost(
        multiply_adds=sum(costs[step].multiply_adds for step in steps),
        kept_bytes=kept,
        peak_bytes=peak * useful,
        work=work,
        start=start,
        seconds=sum(rates[what] * count for what, count in (*work.items(), *start.items())),
    )
    return total, useful
