"""Files: opened with errors in words, and written whole or not at all."""

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from convcli.errors import ConvcliError, FileError, InputError, LimitError, UsageError
from convcli.text import bytes_text, printable

# Each of these names a file that is open already, whatever it is.
STREAMS = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/")


def shown(path: str | bytes | os.PathLike[str]) -> str:
    r"""Write a file name so that any terminal can print it, on one line.

    Bytes that are not UTF-8 and control characters become escapes.

    >>> shown("caf\udce9\n.png")
    'caf\\xe9\\n.png'
    """
    return printable(os.fsencode(path).decode("utf-8", "backslashreplace"))


def open_input(path: Path) -> BinaryIO:
    """Open a file for reading, or say in an `InputError` that it is missing, a folder, or not readable."""
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise InputError(f"{shown(path)} does not exist") from None
    except IsADirectoryError:
        raise InputError(f"{shown(path)} is a folder; name a file in it") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"{shown(path)} cannot be read: {_reason(error)}") from None


def read_bounded(file: BinaryIO, name: str, limit: int | None) -> bytes:
    """Read a stream to its end, but not more than memory is allowed for."""
    parts, size = [], 0
    try:
        while part := file.read(1 << 20):
            parts.append(part)
            size += len(part)
            if limit is not None and size > limit:
                raise LimitError(f"{name} has more than {bytes_text(limit)}; raise --max-memory")
    except OSError as error:
        raise InputError(f"{name} cannot be read: {_reason(error)}") from None
    return b"".join(parts)


@contextmanager
def stdout_stream() -> Iterator[BinaryIO]:
    """Open standard output for data; unbuffered, ``sys.stdout.buffer`` may stop half way through a write."""
    if sys.__stdout__ is None:
        raise FileError("standard output is closed; use -o with a file")
    with write_errors(None), open(sys.stdout.fileno(), "wb", closefd=False) as file:
        yield file


@contextmanager
def write_errors(target: Path | None) -> Iterator[None]:
    """Turn the system's refusals to write into words; None is standard output."""
    try:
        yield
    except (ConvcliError, BrokenPipeError):  # a closed pipe has an exit status of its own
        raise
    except OSError as error:
        name = "standard output" if target is None else shown(target)
        kept = target is not None and not is_stream(target) and os.path.isfile(target)
        old = "; the old file is unchanged" if kept else ""
        raise FileError(f"cannot write {name}: {_reason(error)}{old}") from error


def check_target(target: Path, *, force: bool, inputs: Sequence[Path] = ()) -> None:
    """Refuse what cannot be written, before any work; `force` allows a file that exists, be it an input."""
    if is_stream(target):
        return
    name = shown(target)
    with write_errors(target):
        folder = Path(os.path.realpath(target)).parent
        if not os.path.isdir(folder):
            raise UsageError(f"folder {shown(folder)} does not exist; make it first, or name another")
        try:
            status = os.stat(target)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(status.st_mode):
            raise UsageError(f"{name} is a folder; name a file in it")
        if force:
            return
        for path in inputs:
            if os.path.exists(path) and os.path.samestat(status, os.stat(path)):
                raise UsageError(
                    f"{name} is the input {shown(path)} itself; use -f to overwrite it, or another name"
                )
    raise _exists(target)


@contextmanager
def atomic_write(target: Path, *, force: bool) -> Iterator[BinaryIO]:
    """Write a file that appears whole, or not at all.

    The bytes go to a temporary file in the target's folder, which takes the target's name once they
    are on the disk. A failure at any point, the end of the process included, leaves under that name
    either the old file, byte for byte, or the new one. A symbolic link is followed, permissions of
    a replaced file are kept, and what is not a regular file (a pipe, ``/dev/null``) is written directly.
    Without `force` a file that exists is not replaced, not even one that appears meanwhile.
    """
    with write_errors(target):
        if is_stream(target):
            with open(target, "wb") as stream:
                yield stream
            return
        final = Path(os.path.realpath(target))
        if final.exists() and not force:
            raise _exists(target)
        temporary = final.parent / f".convcli-{os.urandom(8).hex()}.tmp"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o666), "wb") as file:
                _keep_permissions(file.fileno(), final)
                yield file
                file.flush()
                os.fsync(file.fileno())
            _publish(temporary, final, target, force=force)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


def _publish(temporary: Path, final: Path, target: Path, *, force: bool) -> None:
    if force:
        os.replace(temporary, final)
    else:
        try:
            os.link(temporary, final)
            temporary.unlink()
        except FileExistsError:
            raise _exists(target) from None
        except OSError:  # a file system without hard links: no test-and-set, the test must do
            if os.path.lexists(final):
                raise _exists(target) from None
            os.rename(temporary, final)
    with suppress(OSError):  # the file is whole already; some file systems cannot sync a folder
        folder = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _keep_permissions(descriptor: int, final: Path) -> None:
    with suppress(FileNotFoundError):
        old = final.stat()
        with suppress(OSError):  # only root can give a file away
            os.fchown(descriptor, old.st_uid, old.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def is_stream(target: Path) -> bool:
    """Whether a path is a pipe, a device or the like: read or written once, front to back."""
    if str(target).startswith(STREAMS):
        return True
    try:
        mode = target.stat().st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _exists(target: Path) -> UsageError:
    return UsageError(f"{shown(target)} exists; use -f to overwrite it, or another name")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
