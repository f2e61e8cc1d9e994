"""Kernels: named, written inline, or read from a file.

A named kernel is one function under ``@named``, or a `constant`, in `smoothing`, `sharpening`, `derivatives`
or `optics`, and nothing else; `registry` reads its parameters, `sampling` has what formulas share. `parse`
decides what a text is, `cells` reads rows of numbers, `files` and `jsonfile` read files: a new type is a
reader in `files.READERS`. `kernel` has the rules that hold for all. The room may import up to `images`.
"""

from convcli.kernels import derivatives, optics, sharpening, smoothing  # noqa: F401  (they register kernels)
from convcli.kernels.kernel import Kernel
from convcli.kernels.parse import parse_kernel
from convcli.kernels.registry import NamedKernel, named_kernels

__all__ = ["Kernel", "NamedKernel", "named_kernels", "parse_kernel"]
