"""The same algorithms on a GPU: the backends ``cuda:…`` by their common name, for the fastest of them.

An algorithm that is written for any library of arrays becomes one of them by a file of its own, which
imports it and defines the differences: how much to do at a time, and the rates.
"""

import sys
from collections.abc import Callable
from dataclasses import replace

from convcli.arrays import device
from convcli.arrays.library import gpu
from convcli.spec import ConvSpec, Cost

SUMMARY = "the fastest of the same algorithms on a GPU, by CuPy"
FAMILY = True

unavailable = device.unavailable
device_library = gpu

# Assumed, for a card with 1 TB/s, 10 T multiply-adds/s and 6 GB/s from the host; `bench --calibrate`
# measures what is there. Per byte from and to the host; per byte of image and result; between two passes;
# per step and per tile; to import CuPy and to wake up the GPU.
RATES = {
    "transfer": 1.6e-10,
    "memory": 1.5e-12,
    "between": 3e-12,
    "step": 1e-4,
    "tile": 1e-4,
    "import cupy": 0.7,
}


def on_gpu(cost: Callable[[ConvSpec], Cost]) -> Callable[[ConvSpec], Cost]:
    """Count the work as `cost` does; in place of the imports of the host it takes that of CuPy."""
    return lambda spec: replace(cost(spec), start={} if "cupy" in sys.modules else {"import cupy": 1.0})
