"""Arrays of the host and of the GPU, and the library that computes with each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.arrays import device

Array = NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class ArrayLib:
    """Where arrays lie, and the library that computes with them."""

    xp: Any  # NumPy, or CuPy, which has the same functions for arrays in the memory of a GPU
    to_device: Callable[[Array], Array]  # copies an array from the host to there; for NumPy it does nothing
    to_host: Callable[[Array], Array]


HOST = ArrayLib(np, np.asarray, np.asarray)


def gpu() -> ArrayLib:
    """CuPy and the GPU; imports it."""
    return ArrayLib(device.cupy(), device.to_device, device.to_host)


def array_module(array: Array) -> ArrayLib:
    """Return the library that an array belongs to."""
    return HOST if isinstance(array, np.ndarray) else gpu()
