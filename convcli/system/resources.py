"""What this process may use: processors and memory, by affinity and control group."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

from convcli.errors import LimitError
from convcli.text import bytes_text


def cpu_count() -> int:
    """Processors this process may keep busy, at least 1.

    The affinity mask and the CPU quota of the control group (version 1 or 2) are both respected.

    >>> cpu_count() >= 1
    True
    """
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        count = os.cpu_count() or 1
    quota = _cpu_quota()
    return max(1, min(count, round(quota) if quota else count))


@functools.cache
def _cpu_quota() -> float | None:
    quotas = []
    for folder in _control_groups("cpu"):
        words = _read(folder / "cpu.max").split()
        if len(words) == 2 and words[0] != "max":
            quotas.append(float(words[0]) / float(words[1]))
        quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        if quota.strip().isdigit() and period.strip().isdigit():
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def available_memory() -> int | None:
    """Bytes that can be allocated without swapping; None where the system does not tell."""
    limits = []
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            limits.append(int(line.split()[1]) * 1024)
    for folder in _control_groups("memory"):
        for limit, usage in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            ceiling, used = _read(folder / limit).strip(), _read(folder / usage).strip()
            if ceiling.isdigit() and used.isdigit():
                cached = re.search(
                    r"^(?:total_)?inactive_file (\d+)", _read(folder / "memory.stat"), re.MULTILINE
                )
                reclaimable = int(cached[1]) if cached else 0
                limits.append(max(0, int(ceiling) - int(used) + reclaimable))
    return min(limits, default=None)


def check_memory(needed: float, limit: int | None, what: str, way: str) -> None:
    """Refuse what would not fit in `limit`, or in what the system has, before it is begun.

    Both are in bytes; `what` needs them, and `way` takes less.

    >>> check_memory(1e3, 10**6, "the image", "a smaller shape")
    """
    limit = available_memory() if limit is None else limit
    if limit is not None and needed > limit:
        raise LimitError(
            f"{what} needs {bytes_text(needed)} of memory, more than the {bytes_text(limit)} allowed; "
            f"raise --max-memory, or use {way}"
        )


def _control_groups(controller: str) -> list[Path]:
    """Folders of this process's control group and of the groups around it."""
    folders = []
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, names, path = line.split(":", 2)
        if names == "" or controller in names.split(","):
            root = Path("/sys/fs/cgroup") / (names and controller)
            group = root / path.lstrip("/")
            folders += [group, *[p for p in group.parents if p.is_relative_to(root)]]
    return folders


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
