"""The compiler's library: its errors."""


class NVRTCError(RuntimeError):
    """An error of the compiler's library."""

    def __init__(self, status):
        super().__init__(f"NVRTC_ERROR_COMPILATION ({status})")
        self.status = status
