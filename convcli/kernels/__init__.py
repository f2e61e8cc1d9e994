"""Kernels: named, written inline, or read from a file.

A named kernel is one function under ``@named`` in one of the modules imported here.
"""

from convcli.kernels import derivatives, optics, sharpening, smoothing  # noqa: F401  (they register kernels)
from convcli.kernels.kernel import Kernel
from convcli.kernels.parse import parse_kernel
from convcli.kernels.registry import NamedKernel, named_kernels

__all__ = ["Kernel", "NamedKernel", "named_kernels", "parse_kernel"]
