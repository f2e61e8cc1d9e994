"""Every way convcli refuses, and the exit status that goes with it.

Messages are one or two lines: the value, the rule, the way out.
"""


class ConvcliError(Exception):
    """Base of all errors raised on purpose; `exit_status` is what the shell sees."""

    exit_status = 1


class FileError(ConvcliError, OSError):
    """A file could not be read or written although its name and content may be fine."""

    exit_status = 1


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


class VerificationError(ConvcliError, ArithmeticError):
    """A result that disagrees with its reference."""

    exit_status = 6
