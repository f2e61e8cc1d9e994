"""A stand-in for CuPy that keeps the arrays of the device in the memory of the host.

It serves the tests on machines without a GPU, and refuses what CuPy refuses: above all, arrays of the host
where arrays of the device belong. `cupy._state.state` says what the pretended machine is like,
and what it did.
"""

from . import cuda as cuda
from . import fft as fft
from . import lib as lib
from ._core import ndarray as ndarray
from ._core import ufunc as ufunc
from ._functions import GENERATED, HANDMADE
from ._raw import RawKernel as RawKernel
from ._raw import RawModule as RawModule
from .cuda import is_available as is_available

__version__ = "14.2.0"
globals().update(GENERATED)
globals().update({function.__name__: function for function in HANDMADE})
ndarray.__module__ = ufunc.__module__ = "cupy"
del GENERATED, HANDMADE

_pool = cuda.MemoryPool()


def get_default_memory_pool():
    """The pool that all memory comes from."""
    return _pool
