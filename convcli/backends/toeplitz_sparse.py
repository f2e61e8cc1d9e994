"""The whole matrix, stored: one sparse row per output pixel. For teaching and for checks."""

import math
import sys
import threading
from dataclasses import replace
from typing import Any

from convcli.arrays.gathering import Window
from convcli.arrays.library import Array
from convcli.backends import Apply, no_reason
from convcli.spec import ConvSpec, Cost, Shape

SUMMARY = "the doubly blocked Toeplitz matrix, stored as CSR and multiplied"
USES_BLAS = False
IN_PASSES = False  # the matrix is to be the whole one

RATES = {"nonzero": 4e-10, "multiply_add": 7.5e-10, "import scipy.sparse": 0.15}  # of the matrix, built


unavailable = unsupported = no_reason  # SciPy is always installed; memory is the planner's business


def cost(spec: ConvSpec) -> Cost:
    """Every non-zero is built once and multiplied once per plane."""
    rows = spec.outputs * math.prod(spec.output_shape)
    nonzeros = rows * spec.channels * (spec.taps or 0)
    matrix = nonzeros * (spec.itemsize + 8) + 8 * rows
    work = {"nonzero": float(nonzeros), "multiply_add": float(nonzeros * spec.batch)}
    start = {} if "scipy.sparse" in sys.modules else {"import scipy.sparse": 1.0}
    return Cost(nonzeros * spec.batch, matrix, 0, work, start)


def tile(spec: ConvSpec) -> Shape:
    """The image in one piece: the matrix is meant to be the whole one."""
    return spec.output_shape


def prepare(kernels: Array, spec: ConvSpec, tile: Shape) -> Apply:
    """Build the matrix when the first plane shows its size."""
    from convcli.matrices.convolution_matrix import ConvolutionMatrix

    taps = kernels.shape[2:]
    built: dict[Shape, Any] = {}
    lock = threading.Lock()

    def apply(window: Window, out: Array) -> None:
        image = window.samples()
        with lock:  # two threads must not both build gigabytes
            if image.shape not in built:
                whole = replace(spec, image_shape=image.shape[1:], kernel_shape=taps, origin=None, taps=None)
                built[image.shape] = ConvolutionMatrix(kernels, whole).tocsr()
        product: Array = built[image.shape] @ image.reshape(-1)
        out[...] = product.reshape(out.shape)

    return apply
