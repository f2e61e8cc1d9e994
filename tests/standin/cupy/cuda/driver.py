"""The CUDA driver: its errors."""

_ERRORS = {
    1: "CUDA_ERROR_INVALID_VALUE: invalid argument",
    2: "CUDA_ERROR_OUT_OF_MEMORY: out of memory",
    500: "CUDA_ERROR_NOT_FOUND: named symbol not found",
    700: "CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered",
    701: "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES: too many resources requested for launch",
}


class CUDADriverError(RuntimeError):
    """An error of the driver."""

    def __init__(self, status):
        super().__init__(_ERRORS.get(status, "CUDA_ERROR_UNKNOWN: unknown error"))
        self.status = status
