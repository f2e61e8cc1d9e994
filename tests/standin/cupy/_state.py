"""What the pretended machine is and has done, in one place: tests set it, and read it afterwards."""

import threading
import time
import weakref


class State:
    """The devices there are, the memory in use, and a log of transfers, allocations and launches."""

    def __init__(self):
        self._lock = threading.RLock()  # a finalizer may run while its own thread holds the lock
        self._live = {}  # id of the host array that owns memory -> its bytes
        self.used_bytes = 0
        self.reset()

    def reset(self):
        """Back to one device in good order, with an empty log. Memory in use stays in use."""
        self.devices = 1
        self.driver = 13000
        self.runtime = 13000
        self.total_bytes = 16 << 30
        self.limit = 0
        self.error = None
        self.delay = 0.0
        self.current = 0
        self.log = []
        self.peak_bytes = self.used_bytes

    def count(self):
        """The number of devices, or the error that asking for it meets."""
        time.sleep(self.delay)
        self._require()
        return self.devices

    def _require(self):
        if self.error is not None:
            raise self.error
        if not self.devices:
            from .cuda.runtime import CUDARuntimeError

            raise CUDARuntimeError(100)

    def check(self, nbytes):
        """Raise if so much more memory is not to be had, or if there is no device to have it."""
        self._require()
        limit = min(self.total_bytes, self.limit or self.total_bytes)
        if self.used_bytes + nbytes > limit:
            from .cuda.memory import OutOfMemoryError

            raise OutOfMemoryError(nbytes, self.used_bytes, self.limit)

    def adopt(self, host, nbytes):
        """Count memory as the device's for as long as the host array that owns it lives."""
        with self._lock:
            if id(host) in self._live:
                return
            self.check(nbytes)
            self._live[id(host)] = nbytes
            self.used_bytes += nbytes
            self.peak_bytes = max(self.peak_bytes, self.used_bytes)
            self.log.append(("alloc", nbytes))
            weakref.finalize(host, self._release, id(host)).atexit = False

    def _release(self, key):
        with self._lock:
            self.used_bytes -= self._live.pop(key)


state = State()
