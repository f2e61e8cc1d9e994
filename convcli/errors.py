"""Every way convcli refuses, and the exit status that goes with it.

Messages are one or two lines: the value, the rule, the way out.
"""


class ConvcliError(Exception):
    """Base of all errors raised on purpose; `exit_status` is what the shell sees."""

    exit_status = 1


class FileError(ConvcliError, OSError):
    """A file could not be read or written although its name and content may be fine."""


class UsageError(ConvcliError, ValueError):
    """Options or arguments that make no sense, alone or together."""

    exit_status = 2


class InputError(ConvcliError, ValueError):
    """An input that is missing, unreadable, damaged or not of a kind convcli takes."""

    exit_status = 3


class BackendError(ConvcliError, RuntimeError):
    """A backend that cannot run here, or cannot do what was asked."""

    exit_status = 4


class LimitError(ConvcliError, MemoryError):
    """Work refused before it began, because it is over a memory, pixel or output limit."""

    exit_status = 5


class VerificationError(ConvcliError):
    """A result that is not what an independent computation says it should be."""

    exit_status = 6


class ConvcliWarning(UserWarning):
    """Something that was ignored, and is worth a look."""


def unusable(backend: str, reason: str) -> BackendError:
    """Say why a backend cannot be used, and what to do about it.

    >>> print(unusable("cuda", "there is no driver; install one"))
    backend "cuda" cannot be used: there is no driver; install one; or use -b auto
    """
    other = "or use" if ";" in reason else "use"
    return BackendError(f'backend "{backend}" cannot be used: {reason}; {other} -b auto')


def sentence(error: Exception) -> str:
    """Say what went wrong; a bug is named as one."""
    if isinstance(error, ConvcliError):
        return str(error)
    if isinstance(error, MemoryError):
        return "out of memory; use a smaller image, or --max-memory to be told before"
    return f"internal error: {type(error).__name__}: {error}; --debug shows where"
