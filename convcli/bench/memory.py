"""How much memory a call takes at its peak, beyond what is in use before."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable


def measured(call: Callable[[], object]) -> tuple[object, int, int | None]:
    """Call; return the result, and the bytes that were allocated and that became resident at the peak.

    Python and NumPy allocate the former, the result included. The latter, None where the system does not
    tell, is the growth of the process's resident memory, by libraries in other languages too.

    >>> result, allocated, resident = measured(lambda: bytearray(10**6))
    >>> len(result), allocated >= 10**6
    (1000000, True)
    """
    before = _status("VmRSS") if _forget_peak() else None
    running = tracemalloc.is_tracing()
    if not running:
        tracemalloc.start()
    tracemalloc.reset_peak()
    base = tracemalloc.get_traced_memory()[0]
    try:
        result = call()
        allocated = tracemalloc.get_traced_memory()[1] - base
    finally:
        if not running:
            tracemalloc.stop()
    after = _status("VmHWM")
    resident = None if before is None or after is None else max(0, after - before)
    return result, allocated, resident


def _forget_peak() -> bool:
    """Let the peak of resident memory begin anew (Linux, proc(5): clear_refs)."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return False
    return True


def _status(name: str) -> int | None:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            found = re.search(rf"^{name}:\s+(\d+) kB", file.read(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
