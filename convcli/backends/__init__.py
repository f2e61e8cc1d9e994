"""Backends: each file of this folder computes the same primitive in its own way.

The primitive is the `valid` correlation of an already padded piece of image with a bank of kernels, at
stride 1 and dilation 1, on one thread. Everything else (borders, flipping, strides, NaN, threads) lives once,
in ``engine``. A new backend is a new file here that defines the names in `Backend`; ``im2col`` is a short
example. A backend that does more than add up products must respect ``spec.exact`` and ``spec.bound``, or
refuse in ``unsupported``: see ``fft``. An underscore in a file's name is a colon in the backend's, and
``cuda`` stands for all that begin so. Imports ``spec``, ``system``, ``arrays``, and ``matrices`` for one.
"""

import functools
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from convcli.arrays.gathering import Window
from convcli.arrays.library import HOST, Array, ArrayLib
from convcli.spec import ConvSpec, Cost, Shape, choose

Apply = Callable[[Window, Array], None]
Terms = tuple[Array, ...]


class Backend(Protocol):
    """Module-level names that a file of this folder defines.

    It may have more: `fused_cost` and `prepare_fused`, if it does all passes of a separable kernel in one;
    ``BATCHED = True``, if it takes all items of a batch in one, where window and output have an axis more,
    the first; `device_library`, the library of its kernels, windows and outputs, if not NumPy.
    """

    SUMMARY: str  # one line on the algorithm
    USES_BLAS: bool  # whether it spends its time in BLAS, which must then be held to one thread
    IN_PASSES: bool  # whether a separable kernel may be given to it as 1-D kernels, one after the other
    # Seconds for one of each thing that `cost` counts, on one thread, as shipped: a profile that was measured
    # takes their place. A rate called ``import x`` is the time to import the module x.
    RATES: dict[str, float]

    def unavailable(self) -> str | None:
        """Why it cannot run here, or None."""

    def unsupported(self, spec: ConvSpec) -> str | None:
        """Why it cannot compute `spec`, or None."""

    def cost(self, spec: ConvSpec) -> Cost:
        """Count the work, without touching data."""

    def tile(self, spec: ConvSpec) -> Shape:
        """Shape of the pieces of output it works best on."""

    def prepare(self, kernels: Array, spec: ConvSpec, tile: Shape) -> Apply:
        """Do once the work that depends on the kernels alone, and return a function for the rest.

        The kernels are (outputs, channels, *spatial) of the type of the arithmetic, `spec` has stride 1,
        dilation 1 and mode ``valid``, `tile` is the largest output that will be asked for. The function takes
        a `Window` (channels, *padded) and fills an array (outputs, *(padded - kernel + 1)) of the type of the
        arithmetic, whose rows have no gaps. It is called from several threads at once.
        """


def no_reason(*_: object) -> None:
    """Give no reason against a backend: the `unavailable` of one that is always there, and the like."""


def longest_rows(shape: Sequence[int], budget: int) -> Shape:
    """Return the shape of a part of so many samples at most: rows as long as possible, then more of them."""
    part: list[int] = []
    for n in reversed(shape):
        part.insert(0, max(1, min(n, budget)))
        budget //= part[0]
    return tuple(part)


def on_device(module: Backend) -> bool:
    """Whether a backend works on arrays that do not lie on the host."""
    return hasattr(module, "device_library")


def library(module: Any) -> ArrayLib:
    """Return the library of a backend's arrays."""
    return cast(ArrayLib, module.device_library()) if on_device(module) else HOST


def batched(module: Backend) -> bool:
    """Whether a backend takes all items of a batch at a time."""
    return getattr(module, "BATCHED", False)


def fused_cost(module: Any, spec: ConvSpec) -> Cost | None:
    """Cost of a kernel of rank ``spec.rank`` in one go; None where 1-D kernels are applied in turn."""
    return cast(Cost | None, module.fused_cost(spec)) if hasattr(module, "fused_cost") else None


def prepare_fused(module: Any, terms: list[Terms], spec: ConvSpec) -> Apply:
    """As `Backend.prepare`, in one go for a sum of outer products, each a vector per axis."""
    return cast(Apply, module.prepare_fused(terms, spec))


@functools.cache  # the folder is read once: it would take most of the time of a plan
def names() -> tuple[str, ...]:
    """Every backend and every family by name, without importing any."""
    return tuple(m.name.replace("_", ":") for m in pkgutil.iter_modules(__path__))


@functools.cache
def is_family(name: str) -> bool:
    """Whether a name stands for several backends, which have names of their own, as ``cuda`` does."""
    return hasattr(load(name), "FAMILY")


def members(name: str) -> list[str]:
    """Names that a name stands for: itself, or the backends of a family."""
    return [n for n in names() if n.startswith(f"{name}:")] if is_family(name) else [name]


@functools.cache
def heads() -> tuple[str, ...]:
    """Every backend and every family, without the members of families."""
    return tuple(n for n in names() if ":" not in n or not is_family(n.partition(":")[0]))


def listed() -> list[str]:
    """All backends, each once: the members of a family that cannot run here are not listed."""
    return [m for n in heads() for m in ([n] if is_family(n) and load(n).unavailable() else members(n))]


@functools.cache
def load(name: str) -> Backend:
    """Import the backend called `name`; `UsageError` if there is none."""
    choose(name, names(), "backend")
    return cast(Backend, importlib.import_module(f"{__name__}.{name.replace(':', '_')}"))
