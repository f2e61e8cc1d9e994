"""Convolution is a matrix multiplication: filter with it, look at it, time it.

Everything public is imported when first used, so ``import convcli`` costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

from convcli.version import __version__

if TYPE_CHECKING:
    from convcli.convolution import convolve as convolve
    from convcli.kernels import Kernel as Kernel
    from convcli.kernels import parse_kernel as parse_kernel
    from convcli.planner import Plan as Plan
    from convcli.planner import plan as plan
    from convcli.spec import ConvSpec as ConvSpec

_HOMES = {
    "ConvSpec": "convcli.spec",
    "Kernel": "convcli.kernels",
    "Plan": "convcli.planner",
    "convolve": "convcli.convolution",
    "parse_kernel": "convcli.kernels",
    "plan": "convcli.planner",
}

__all__ = ["ConvSpec", "Kernel", "Plan", "__version__", "convolve", "parse_kernel", "plan"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'convcli' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
