"""What this process may use: processors and memory, by affinity and control group."""

import functools
import os
import re
from pathlib import Path

from convcli.errors import LimitError
from convcli.text import bytes_text


def cpu_count() -> int:
    """Processors this process may keep busy, by its affinity and its control group's quota; at least 1."""
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
        for limit, usage in (("max", "current"), ("limit_in_bytes", "usage_in_bytes")):
            ceiling, used = (_read(folder / f"memory.{name}").strip() for name in (limit, usage))
            if ceiling.isdigit() and used.isdigit():
                cached = re.search(r"^(?:total_)?inactive_file (\d+)", _read(folder / "memory.stat"), re.M)
                limits.append(max(0, int(ceiling) - int(used) + (int(cached[1]) if cached else 0)))
    return min(limits, default=None)


def check_memory(needed: float, limit: int | None, what: str, way: str) -> None:
    """Refuse work before it is begun, if it needs more than `limit` bytes, or than the system has.

    `what` needs them, and `way` takes less.
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
