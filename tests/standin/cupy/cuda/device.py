"""The devices."""

from cupy._state import state

from . import runtime


class Device:
    """A device, by number; as a context, the current one."""

    __hash__ = None

    def __init__(self, device=None):
        self.id = runtime.getDevice() if device is None else int(device)

    def __repr__(self):
        return f"<CUDA Device {self.id}>"

    def __int__(self):
        return self.id

    def __eq__(self, other):
        return isinstance(other, Device) and self.id == other.id

    def __enter__(self):
        self._before = runtime.getDevice()
        self.use()
        return self

    def __exit__(self, *_):
        state.current = self._before

    def use(self):
        """Make it the current device."""
        runtime.setDevice(self.id)

    def synchronize(self):
        """Wait for all work on it."""
        runtime.deviceSynchronize()

    @property
    def attributes(self):
        """Numbers about it."""
        properties = runtime.getDeviceProperties(self.id)
        return {
            "MultiProcessorCount": properties["multiProcessorCount"],
            "MaxSharedMemoryPerBlock": properties["sharedMemPerBlock"],
            "MaxSharedMemoryPerBlockOptin": properties["sharedMemPerBlockOptin"],
            "MaxSharedMemoryPerMultiprocessor": properties["sharedMemPerMultiprocessor"],
            "MaxThreadsPerBlock": properties["maxThreadsPerBlock"],
            "MaxThreadsPerMultiProcessor": properties["maxThreadsPerMultiProcessor"],
            "WarpSize": properties["warpSize"],
            "L2CacheSize": properties["l2CacheSize"],
            "ClockRate": 1980000,
            "MemoryClockRate": 3201000,
            "GlobalMemoryBusWidth": properties["memoryBusWidth"],
        }

    @property
    def compute_capability(self):
        """The two digits of its architecture."""
        properties = runtime.getDeviceProperties(self.id)
        return f"{properties['major']}{properties['minor']}"

    @property
    def mem_info(self):
        """The bytes of memory that are free, and all."""
        return runtime.memGetInfo()
