"""The sum as it is written, by a kernel of our own: every sample is read once for many outputs.

A block of threads brings the samples that it needs into shared memory, once; each thread keeps a few
outputs in registers; the cells of the kernel lie in constant memory.
"""

import math

import numpy as np

from convcli.arrays.device.kernels import CONSTANT_BYTES, Correlation
from convcli.arrays.gathering import Window
from convcli.arrays.library import Array
from convcli.backends import Apply, cuda, no_reason
from convcli.spec import ConvSpec, Cost, Shape

SUMMARY = "one multiplication and addition per kernel cell and pixel, on a GPU"
USES_BLAS = False
IN_PASSES = True
BATCHED = True

# Per cell and output, of 4 bytes: at 60 % of what the card's arithmetic could do. Assumed, as in `cuda`.
RATES = cuda.RATES | {"cell": 1.7e-13, "launch": 1e-5}

unavailable = cuda.unavailable
unsupported = no_reason
device_library = cuda.device_library


@cuda.on_gpu
def cost(spec: ConvSpec) -> Cost:
    """Count every cell, zeros too."""
    cells = math.prod(spec.kernel_shape)
    multiply_adds = spec.samples * spec.channels * cells
    kept = spec.channels * spec.outputs * cells * spec.itemsize
    work = {"cell": multiply_adds * spec.itemsize / 4, "launch": math.ceil(kept / CONSTANT_BYTES)}
    return Cost(multiply_adds, kept, 0, work)


def tile(spec: ConvSpec) -> Shape:
    """All at once: the GPU cuts it up."""
    return spec.output_shape


def prepare(kernels: Array, spec: ConvSpec, tile: Shape) -> Apply:
    """Cut the kernels into blocks."""
    correlate = Correlation(kernels)

    def apply(window: Window, out: Array) -> None:
        indices, steps = window.indices, window.steps
        if indices is None:
            indices, steps = [np.arange(n) for n in window.image.shape[2:]], (1,)
        correlate(window.image, out, indices, steps, window.fill, window.nonfinite)

    return apply
