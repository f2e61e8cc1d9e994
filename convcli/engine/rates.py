"""How long things take on this machine: the rates behind every estimate.

Each backend ships its own (`RATES`), measured on the machine that `SHIPPED` names. A profile that
``convcli bench --calibrate`` has measured here takes their place.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import platform
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from convcli import backends
from convcli.errors import ConvcliWarning
from convcli.system.files import atomic_write, shown, write_errors
from convcli.text import brief
from convcli.version import __version__

SHIPPED = "shipped, measured on 2 threads of a 2.6 GHz AMD Zen 5 server with NumPy 2.4 and OpenBLAS"

SHARED = {"thread": 4e-4, "step": 8.6e-5, "tile": 3e-5, "memory": 1e-11, "between": 7.8e-10}
"""Seconds for another thread, to prepare one step of a kernel, to fetch and store a tile,
for a byte of image or result, and for a byte between one step and the next."""

FORMAT = 1
LARGEST_FILE = 1 << 16  # bytes; ours are a hundredth of that


@dataclass(frozen=True, eq=False)
class Profile:
    """Rates that were measured together, in seconds by backend and name; ``shared`` are the planner's own."""

    rates: dict[str, dict[str, float]]
    cpu: str
    threads: int
    numpy: str
    date: str
    convcli: str = __version__
    format: int = FORMAT


def path() -> Path:
    """Where a measured profile is kept: the folder for settings that the system provides."""
    try:
        home = Path.home()
    except RuntimeError:  # a user without a name or a home, as in some containers: nothing is found there
        home = Path(os.devnull)
    folder = home / ".config"
    if sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA") or home)
    elif sys.platform == "darwin":
        folder = home / "Library" / "Application Support"
    elif os.path.isabs(os.environ.get("XDG_CONFIG_HOME", "")):  # the others are to be ignored, says XDG
        folder = Path(os.environ["XDG_CONFIG_HOME"])
    return folder / "convcli" / "profile.json"


@functools.cache
def cpu_name() -> str:
    """Name of the processor, as its maker calls it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"


_ignored = False


def current() -> Profile | None:
    """Return the profile that was measured on this machine; None if there is none to be used.

    One that is broken, or belongs to another machine or version, is ignored with one warning.
    """
    return None if _ignored else stored()


@contextlib.contextmanager
def ignored() -> Iterator[None]:
    """Go by the shipped rates meanwhile."""
    global _ignored
    _ignored, before = True, _ignored
    try:
        yield
    finally:
        _ignored = before


@functools.cache
def stored() -> Profile | None:
    """Read the profile, once."""
    file = path()
    try:
        if not file.exists():
            return None
        with open(file, "rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
        found = parse(data)
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error)
    else:
        reason = _stale(found)
        if not reason:
            return found
    text = f"profile {shown(file)} is ignored: {reason}; run `convcli bench --calibrate` again"
    warnings.warn(text, ConvcliWarning, stacklevel=2)
    return None


def parse(data: bytes) -> Profile:
    """Read a profile, or say in a `ValueError` what is wrong with it."""
    import json

    if len(data) > LARGEST_FILE:
        raise ValueError("it is too large to be one")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("it is not valid JSON") from None
    names = set(Profile.__dataclass_fields__)
    if not isinstance(document, dict) or set(document) != names:
        raise ValueError("it is not a profile of this version")
    rates, whole = document["rates"], ("threads", "format")
    if any(type(document[n]) is not (int if n in whole else str) for n in names - {"rates"}):
        raise ValueError("it is not a profile of this version")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}", document["date"]):
        raise ValueError("its date is none")
    if not isinstance(rates, dict) or not all(isinstance(group, dict) for group in rates.values()):
        raise ValueError("its rates are not given by backend")
    for name, group in rates.items():
        for what, seconds in group.items():
            if type(seconds) not in (int, float) or not 0 <= seconds < 1e3:
                place = brief(f"{name}.{what}")
                raise ValueError(f"rate {place} is {brief(repr(seconds))}, not a number of seconds")
    return Profile(**document)


def _stale(found: Profile) -> str:
    if found.format != FORMAT or found.convcli != __version__:
        return f"convcli {brief(found.convcli)} made it, and this is {__version__}"
    if found.cpu != cpu_name():
        return f'it was measured on another processor, "{brief(found.cpu)}"'
    return ""


def rates(name: str) -> dict[str, float]:
    """Return seconds by name of rate, for one backend.

    >>> sorted(rates("im2col"))
    ['between', 'byte', 'call', 'integer', 'memory', 'multiply_add', 'step', 'thread', 'tile']
    """
    found = current()
    measured = {} if found is None else found.rates
    return SHARED | backends.load(name).RATES | measured.get("shared", {}) | measured.get(name, {})


def describe() -> str:
    """Say which rates are in force."""
    found = current()
    if found is None:
        return SHIPPED
    return f"measured here on {found.date[:10]}, {found.threads} threads ({shown(path())})"


def check_writable() -> None:
    """Refuse, with a `FileError`, to measure what could not be kept."""
    file = path()
    with write_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not os.access(file.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def save(profile: Profile) -> Path:
    """Write a profile to where `current` finds it, whole or not at all; return where that is."""
    import json

    file = path()
    check_writable()
    with atomic_write(file, force=True) as stream:
        stream.write(json.dumps(asdict(profile), indent=2).encode() + b"\n")
    stored.cache_clear()
    return file
