"""`im2col` on a GPU: the product is cuBLAS's."""

import functools
import os

from convcli.backends import cuda, im2col
from convcli.spec import ConvSpec

SUMMARY = "patches unrolled into columns, one GEMM for a bank of kernels, on a GPU"
USES_BLAS = False  # not the host's
IN_PASSES = True

# Assumed, as in `cuda`: the patches are written, and read by cuBLAS.
RATES = cuda.RATES | {"byte": 4e-12, "multiply_add": 1.5e-13, "integer": 2e-12, "call": 1e-4}
STRIP_BYTES = 1 << 28

unavailable = cuda.unavailable
device_library = cuda.device_library
tile = functools.partial(im2col.tile, strip_bytes=STRIP_BYTES)
cost = cuda.on_gpu(functools.partial(im2col.cost, strip_bytes=STRIP_BYTES))
prepare = im2col.prepare


def unsupported(spec: ConvSpec) -> str | None:
    """Refuse products that were told to round their factors to 11 bits."""
    if spec.dtype == "float32" and os.environ.get("CUPY_TF32", "0") not in ("", "0"):
        return "CUPY_TF32 lets cuBLAS round to 11 bits; unset it"
    return None
