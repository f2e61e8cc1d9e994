"""`fft` on a GPU: the transforms are cuFFT's."""

import functools

from convcli.backends import cuda, fft

SUMMARY = "overlap-save on tiles, real transforms, kernel transformed once, on a GPU"
USES_BLAS = False
IN_PASSES = False

# Assumed, as in `cuda`.
RATES = cuda.RATES | {"pass": 1.6e-11, "product": 2.4e-11, "call": 2e-4}
SIZES = fft.Sizes(cache_bytes=1 << 40, largest_bytes=1 << 31, overhead=1e8, threads=1, signal_samples=1 << 24)

unavailable = cuda.unavailable
device_library = cuda.device_library
unsupported = functools.partial(fft.unsupported, sizes=SIZES)
tile = functools.partial(fft.tile, sizes=SIZES)
cost = cuda.on_gpu(functools.partial(fft.cost, sizes=SIZES))
prepare = fft.prepare
