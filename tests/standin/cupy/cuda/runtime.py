"""The CUDA runtime: what the state says, under the names of CUDA."""
# ruff: noqa: N802

from cupy._state import state

_ERRORS = {
    2: "cudaErrorMemoryAllocation: out of memory",
    35: "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version",
    46: "cudaErrorDevicesUnavailable: CUDA-capable device(s) is/are busy or unavailable",
    100: "cudaErrorNoDevice: no CUDA-capable device is detected",
    101: "cudaErrorInvalidDevice: invalid device ordinal",
    400: "cudaErrorInvalidResourceHandle: invalid resource handle",
    700: "cudaErrorIllegalAddress: an illegal memory access was encountered",
}


class CUDARuntimeError(RuntimeError):
    """An error of the runtime."""

    def __init__(self, status):
        super().__init__(_ERRORS.get(status, "cudaErrorUnknown: unknown error"))
        self.status = status


def getDeviceCount():
    """The number of devices."""
    return state.count()


def getDevice():
    """The current device."""
    state.check(0)
    return state.current


def setDevice(device):
    """Make a device the current one."""
    state.check(0)
    if not 0 <= device < state.devices:
        raise CUDARuntimeError(101)
    state.current = device


def driverGetVersion():
    """The version of CUDA that the driver is for: 0 without a driver."""
    return state.driver


def runtimeGetVersion():
    """The version of CUDA that the package is for."""
    return state.runtime


def getDeviceProperties(device):
    """What there is to know about a device."""
    state.check(0)
    if not 0 <= device < state.devices:
        raise CUDARuntimeError(101)
    return {
        "name": b"Stand-in",
        "totalGlobalMem": state.total_bytes,
        "sharedMemPerBlock": 48 << 10,
        "sharedMemPerBlockOptin": 227 << 10,
        "sharedMemPerMultiprocessor": 228 << 10,
        "regsPerBlock": 65536,
        "warpSize": 32,
        "maxThreadsPerBlock": 1024,
        "maxThreadsDim": (1024, 1024, 64),
        "maxGridSize": (2147483647, 65535, 65535),
        "maxThreadsPerMultiProcessor": 2048,
        "multiProcessorCount": 132,
        "l2CacheSize": 60 << 20,
        "major": 9,
        "minor": 0,
        "pciBusID": 1,
        "pciDeviceID": 0,
        "pciDomainID": 0,
        "ECCEnabled": 1,
        "integrated": 0,
        "memoryBusWidth": 6144,
    }


def memGetInfo():
    """The bytes of memory that are free, and all."""
    state.check(0)
    return max(0, state.total_bytes - state.used_bytes), state.total_bytes


def deviceSynchronize():
    """Wait for the device, which never lags here."""
    state.check(0)
