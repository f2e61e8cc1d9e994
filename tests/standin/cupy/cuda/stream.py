"""Streams and events. All work is done when the call that orders it returns."""
# ruff: noqa: ARG002

import time

from cupy._state import state

from . import runtime


class Event:
    """A moment in the order of work."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        state.check(0)
        self._timing, self._moment = not disable_timing, None

    @property
    def done(self):
        """Whether the work before it is done."""
        return True

    def record(self, stream=None):
        """Let now be the moment."""
        self._moment = time.perf_counter()

    def synchronize(self):
        """Wait for the work before it."""


def get_elapsed_time(start_event, end_event):
    """The milliseconds between two events."""
    if None in (start_event._moment, end_event._moment) or not (start_event._timing and end_event._timing):
        raise runtime.CUDARuntimeError(400)
    return 1e3 * (end_event._moment - start_event._moment)


class Stream:
    """An order of work."""

    _stack = []  # noqa: RUF012

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.ptr = 0 if null else 2 if ptds else id(self)
        self.is_non_blocking = non_blocking
        self.done = True

    def __enter__(self):
        self._stack.append(self)
        return self

    def __exit__(self, *_):
        self._stack.pop()

    def use(self):
        """Make it the current stream."""
        self._stack[:] = [self]
        return self

    def record(self, event=None):
        """Record an event, a new one if none is given."""
        event = event or Event()
        event.record(self)
        return event

    def synchronize(self):
        """Wait for the work so far."""
        state.check(0)

    def wait_event(self, event):
        """Let later work wait for an event."""


Stream.null, Stream.ptds = Stream(null=True), Stream(ptds=True)


def get_current_stream(device_id=-1):  # noqa: ARG001
    """The stream that work goes to."""
    return Stream._stack[-1] if Stream._stack else Stream.null
