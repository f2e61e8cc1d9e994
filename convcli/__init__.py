"""Convolution is a matrix multiplication: filter with it, look at it, time it.

Everything public is imported when first used, so ``import convcli`` costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

from convcli.version import __version__

if TYPE_CHECKING:
    from convcli.deconvolution.restoration import DeconvolutionResult as DeconvolutionResult
    from convcli.deconvolution.restoration import deconvolve as deconvolve
    from convcli.engine.convolve import convolve as convolve
    from convcli.engine.planner import Plan as Plan
    from convcli.engine.planner import plan as plan
    from convcli.kernels import Kernel as Kernel
    from convcli.kernels import parse_kernel as parse_kernel
    from convcli.matrices.build import circulant_matrix as circulant_matrix
    from convcli.matrices.build import toeplitz_matrix as toeplitz_matrix
    from convcli.matrices.unroll import fold as fold
    from convcli.matrices.unroll import unroll as unroll
    from convcli.spec import ConvSpec as ConvSpec

_HOMES = {
    "ConvSpec": "convcli.spec",
    "DeconvolutionResult": "convcli.deconvolution.restoration",
    "Kernel": "convcli.kernels",
    "Plan": "convcli.engine.planner",
    "circulant_matrix": "convcli.matrices.build",
    "convolve": "convcli.engine.convolve",
    "deconvolve": "convcli.deconvolution.restoration",
    "fold": "convcli.matrices.unroll",
    "parse_kernel": "convcli.kernels",
    "plan": "convcli.engine.planner",
    "toeplitz_matrix": "convcli.matrices.build",
    "unroll": "convcli.matrices.unroll",
}

_MODULES = ("backends", "errors", "layers")

__all__ = [*sorted(_HOMES), "__version__"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"convcli.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'convcli' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
