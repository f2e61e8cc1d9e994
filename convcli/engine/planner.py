"""Which backend computes a convolution, and why: estimates of every candidate, compared."""

from __future__ import annotations

import functools
import importlib.util
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

from convcli import backends
from convcli.engine import rates
from convcli.engine.polyphase import piece_count, piece_spec
from convcli.engine.schedule import Schedule, schedule
from convcli.errors import LimitError, unusable
from convcli.spec import ConvSpec, Cost, choose, per_axis
from convcli.system.resources import cpu_count
from convcli.text import bytes_text, shape_text

BUDGET_BYTES = 48 << 20  # for the temporaries of all threads, beyond twice the image and result


@dataclass(frozen=True)
class Candidate:
    """One way to compute a convolution: its cost and every decision, or the reason why it cannot be used."""

    backend: str
    rank: int  # separable terms run as 1-D passes; 0 for the kernel as a whole
    cost: Cost | None  # over all threads
    reason: str | None = None
    schedule: Schedule | None = None

    @property
    def name(self) -> str:
        """Backend and passes, as shown to people."""
        passes = "1-D passes" if self.rank == 1 else f"1-D passes of rank {self.rank}"
        return f"{self.backend}, {passes}" if self.rank else self.backend


@dataclass(frozen=True)
class Plan:
    """A decision: print it, or run it. It holds no samples, and can be sent to another process.

    Attributes
    ----------
    spec : ConvSpec
    chosen : Candidate
    candidates : tuple of Candidate
        All that were considered, the chosen one too.
    why : str
        One sentence.

    Examples
    --------
    >>> print(plan(ConvSpec((480, 640), (3, 3), border="nearest"), "toeplitz:sparse"))  # doctest: +ELLIPSIS
    convolve   480×640 with 3×3, mode same, border nearest: 480×640
    arithmetic float32
    backend    toeplitz:sparse (asked for): about ...
    kernel     as a whole, 3×3
    tiles      1 of 480×640
    threads    1
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

    @property
    def schedule(self) -> Schedule:
        """Every decision on how it is carried out."""
        assert self.chosen.schedule is not None
        return self.chosen.schedule

    def __str__(self) -> str:
        spec, cost = self.spec, self.cost
        extent = f"mode {spec.mode}" if spec.padding is None else f"padding {spec.padding}"
        shapes = f"{shape_text(spec.image_shape)} with {shape_text(spec.kernel_shape)}"
        lines = [
            (spec.op, f"{shapes}, {extent}, border {spec.border}: {shape_text(spec.output_shape)}"),
            ("arithmetic", spec.dtype + (", exact integers" if spec.exact else "")),
            (
                "backend",
                f"{self.backend} ({self.why}): about {1e3 * cost.seconds:.3g} ms, "
                f"{bytes_text(cost.memory_bytes)} of memory",
            ),
            *self.schedule.lines(),
        ]
        return "\n".join(f"{name:10} {text}" for name, text in lines)


def plan(
    spec: ConvSpec,
    backend: str = "auto",
    *,
    threads: int | None = None,
    max_memory: int | None = None,
    resident: bool = False,
    groups: int = 1,
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
    groups : int
        Banks of kernels: item b of the batch meets bank b mod `groups`.

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
    several = backend == "auto" or backends.is_family(backend)
    count = len({c.backend for c in usable})
    why = f"least estimated time of {count} backends" if several else "asked for"
    return Plan(spec, _for_groups(chosen, groups), tuple(found), why)


def _for_groups(chosen: Candidate, groups: int) -> Candidate:
    """With few tiles to a group every thread keeps another one's kernels: as many threads as fit memory."""
    cost, made = chosen.cost, chosen.schedule
    if groups == 1 or cost is None or made is None:
        return chosen
    fitting = int(BUDGET_BYTES // max(1, cost.kept_bytes))
    tiles = made.tile_count * made.spec.batch
    threads = max(1, min(made.threads, max(tiles // groups, fitting)))
    return replace(chosen, schedule=replace(made, threads=threads))


def _found(backend: str, spec: ConvSpec, threads: int, resident: bool) -> Iterator[Candidate]:
    """Every way to use what the name of a backend, or ``auto``, stands for."""
    auto = backend == "auto"
    best = math.inf
    # The host comes first: where it is done before a GPU has started, none is started.
    for head in sorted(backends.heads(), key=_elsewhere) if auto else (backend,):
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
            for candidate in _considered(member, spec, threads, resident, state(member)):
                best = min(best, candidate.cost.seconds if candidate.cost else math.inf)
                yield candidate


@functools.cache
def _elsewhere(name: str) -> bool:
    """Whether a backend, or a family, works on a GPU."""
    return backends.on_device(backends.load(name))


def _start_seconds(name: str) -> float:
    """What has to be imported first takes at least so long; nothing, if it is not there to be imported."""
    missing = [module for module in _imports(name) if module not in sys.modules and _installed(module)]
    return sum(rates.rates(name)[f"import {module}"] for module in dict.fromkeys(missing))


@functools.cache
def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def state(backend: str) -> tuple[object, ...]:
    """Return all that estimates depend on besides the convolution: imports already made, and the rates."""
    return (rates.current(), *(module in sys.modules for module in _imports(backend)))


@functools.cache
def _imports(backend: str) -> tuple[str, ...]:
    """Return the modules that a backend, or all of them for ``auto``, import when they are first used."""
    choose(backend, ["auto", *backends.names()], "backend")
    names = backends.names() if backend == "auto" else backends.members(backend)
    found = (what for name in names for what in backends.load(name).RATES)
    return tuple(what.removeprefix("import ") for what in found if what.startswith("import "))


@functools.lru_cache(maxsize=256)
def _considered(
    name: str,
    spec: ConvSpec,
    threads: int,
    resident: bool,
    state: object,  # noqa: ARG001 - the estimates depend on it
) -> tuple[Candidate, ...]:
    """Estimate every way to use a backend; many small images filtered alike are estimated once."""
    module = backends.load(name)
    part = piece_spec(spec)
    reason = module.unavailable() or module.unsupported(part)
    if reason is not None:
        return (Candidate(name, 0, None, reason=reason),)
    threads = 1 if backends.on_device(module) else threads
    carried = backends.on_device(module) and not resident
    ranks = (0, part.rank) if part.rank and module.IN_PASSES else (0,)
    return tuple(_estimated(schedule(name, spec, rank, part), threads, carried) for rank in ranks)


def _estimated(found: Schedule, threads: int, carried: bool) -> Candidate:
    """Estimate a schedule, on as many threads as it can use; data are `carried` to a GPU and back."""
    module, part = backends.load(found.backend), found.part
    if found.fused:
        steps, whole = [part], backends.fused_cost(module, part)
        costs = {part: whole} if whole else {}
    else:
        steps = [*found.passes] * found.rank or [part]
        costs = {step: module.cost(step) for step in set(steps)}
    steps = steps * piece_count(found.spec)
    seconds = rates.rates(found.backend)
    items = 1 if backends.batched(module) else found.spec.batch
    tiles = items * found.tile_count
    source = part.channels * math.prod(t + k - 1 for t, k in zip(found.tile, part.kernel_shape, strict=True))
    held = (source + 2 * part.outputs * math.prod(found.tile)) * part.itemsize
    peak = held + max(cost.peak_bytes for cost in costs.values())
    image = part.batch * part.channels * math.prod(part.image_shape)
    kept = sum(costs[step].kept_bytes for step in steps)
    budget = BUDGET_BYTES + 2 * (image + part.samples) * part.itemsize - kept
    most = max(1, min(threads, tiles, int(budget // max(1, peak))))
    moved = (image + part.samples) * part.itemsize
    between = part.samples * part.itemsize * (len(steps) - 1)
    work: dict[str, float] = {"step": len(steps), "tile": tiles, "memory": moved, "between": between}
    for step in steps:
        for what, count in costs[step].work.items():
            work[what] = work.get(what, 0) + count
    alone = sum(seconds[what] * count for what, count in work.items())
    useful = min(range(1, most + 1), key=lambda n: alone / n + seconds["thread"] * (n - 1))
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
        seconds=sum(seconds[what] * count for what, count in (*work.items(), *start.items())),
    )
    return Candidate(found.backend, found.rank, total, schedule=replace(found, threads=useful))
