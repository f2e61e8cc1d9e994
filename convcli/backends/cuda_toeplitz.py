"""`toeplitz` on a GPU: the product is cuBLAS's."""

import functools

from convcli.backends import cuda, cuda_im2col, toeplitz

SUMMARY = "banded Toeplitz blocks times strips of the image, as GEMM, on a GPU"
USES_BLAS = False  # not the host's
IN_PASSES = True

# Assumed, as in `cuda`.
RATES = cuda.RATES | {"multiply_add": 1.5e-13, "integer": 2e-12, "byte": 5e-12, "band": 5e-12, "call": 2e-4}
TILE_BYTES = 1 << 28

unavailable = cuda.unavailable
unsupported = cuda_im2col.unsupported
device_library = cuda.device_library
tile = functools.partial(toeplitz.tile, tile_bytes=TILE_BYTES)
cost = cuda.on_gpu(functools.partial(toeplitz.cost, tile_bytes=TILE_BYTES))
prepare = toeplitz.prepare
