"""The same algorithms on a GPU: the backends ``cuda:…`` by their common name, for the fastest of them.

An algorithm that is written for any library of arrays becomes one of them by a file of its own, which
imports it and defines the differences: how much to do at a time, and the rates.
"""

import sys
from dataclasses import replace

from convcli.arrays import device
from convcli.arrays.library import gpu
from convcli.spec import Cost

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


def on_gpu(cost: Cost) -> Cost:
    """Replace the imports of the host by that of CuPy."""
    return replace(cost, start={} if "cupy" in sys.modules else {"import cupy": 1.0})
