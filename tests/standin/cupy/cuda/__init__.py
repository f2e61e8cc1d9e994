"""The device, its memory and its order of work."""

from . import compiler as compiler
from . import driver as driver
from . import memory as memory
from . import nvrtc as nvrtc
from . import runtime as runtime
from . import stream as stream
from .device import Device as Device
from .memory import MemoryPointer as MemoryPointer
from .memory import MemoryPool as MemoryPool
from .memory import UnownedMemory as UnownedMemory
from .memory import alloc as alloc
from .stream import Event as Event
from .stream import Stream as Stream
from .stream import get_current_stream as get_current_stream
from .stream import get_elapsed_time as get_elapsed_time


def is_available():
    """Whether there is a device."""
    try:
        return runtime.getDeviceCount() > 0
    except runtime.CUDARuntimeError:
        return False
