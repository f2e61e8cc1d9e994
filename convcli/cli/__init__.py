"""The command line: from ``sys.argv`` to an exit status.

``app`` has the global options and finds the commands; each has a folder: ``command`` (its help) and, if it is
more than a few lines, ``options`` (groups of options: dataclasses), ``run`` and ``summary``. ``io`` reads and
writes, ``report`` prints; ``settings`` has the options about messages.

A new option is one field of a dataclass that the command takes, and the code that uses it. The field
``tint: Annotated[str, Option("Samples", "Colour of the result.", "NAME")] = ""`` makes an option ``--tint``;
`convcli.options` says what an `Option` can have: a converter, words for the shell, the circumstances in which
it has no meaning. Options of several commands are in ``options``, those of filters in
`convcli.filtering.options`. A new command is a folder with a function that `command.command` decorates, and
its name in ``app.COMMANDS``. All rooms may be imported, heavy ones inside functions only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from types import FrameType
from typing import Any

INTERRUPTED, BROKEN_PIPE = 130, 141


class TerminatedError(BaseException):
    """A signal to end was received: unwind, so that temporary files are removed."""

    def __init__(self, number: int) -> None:
        self.status = 128 + number


def main() -> None:
    """Run the program and end the process with its status.

    At once: to take apart all that was loaded would be a tenth of a short run.
    """
    os._exit(run())


def run() -> int:
    """Run the program; return its exit status.

    Every error ends here, and as one line on stderr: the commands merely raise.
    """
    try:
        _prepare()
        from convcli.cli.loading import loading

        with loading():
            from convcli.cli.app import invoke

        status = invoke(sys.argv[1:])
    except KeyboardInterrupt:
        status = _ended("interrupted", INTERRUPTED)
    except TerminatedError as error:
        status = _ended("terminated", error.status)
    except Exception as error:
        status = _failed(error)
    return _flushed(status)


def _prepare() -> None:
    for name in ("SIGTERM", "SIGHUP"):  # the latter is what a closed terminal sends
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminate)
    sys.unraisablehook = _unraisable
    warnings.showwarning = _warn
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # the shell closed it: no file may get its number
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    # The tool has threads of its own; BLAS would start as many again, each time it is imported.
    for library in ("OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")


def _terminate(number: int, frame: FrameType | None) -> None:
    raise TerminatedError(number)


def _warn(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Print our own warnings as a line, like everything else."""
    from convcli.cli import settings
    from convcli.errors import ConvcliWarning

    if issubclass(category, ConvcliWarning):
        if settings.quiet:
            return
        _say(f"convcli: {_one_line(str(message))}")
    else:
        print(warnings.formatwarning(message, category, *where[:2]), file=sys.stderr, end="")


def _unraisable(lost: Any) -> None:
    """Raise again, a moment later, what a signal raised where it is lost.

    The callback of a weak reference is such a place, and every import has some.
    """
    error = lost.exc_value
    if not isinstance(error, KeyboardInterrupt | TerminatedError):
        sys.__unraisablehook__(lost)
    elif hasattr(signal, "setitimer"):

        def again(number: int, frame: FrameType | None) -> None:
            raise error

        signal.signal(signal.SIGALRM, again)
        signal.setitimer(signal.ITIMER_REAL, 0.01)


def _ended(word: str, status: int) -> int:
    _say(f"convcli: {word}; no file was left half written")
    return status


def _failed(error: Exception) -> int:
    """Print an error as its line, and return its status; a bug is named as one."""
    from convcli.cli import settings
    from convcli.errors import ConvcliError, sentence

    if settings.debug:
        import traceback

        traceback.print_exc()
    if hasattr(error, "format_message"):  # the option parser's own errors
        text = error.format_message()
        _say(text if text.startswith("Usage:") else f"convcli: {_one_line(text)}")
        return 2
    if hasattr(error, "exit_code"):  # --help, --version
        return int(error.exit_code)
    if isinstance(error, BrokenPipeError):  # whoever read our output has seen enough
        return BROKEN_PIPE
    if isinstance(error, OSError) and not isinstance(error, ConvcliError) and error.filename is None:
        # Files have errors of their own.
        _say(f"convcli: cannot write standard output: {error.strerror or error}")
        return 1
    _say(f"convcli: {_one_line(sentence(error))}")
    if isinstance(error, ConvcliError):
        return error.exit_status
    return 5 if isinstance(error, MemoryError) else 1


def _one_line(text: str) -> str:
    """Escape what a value in a message could do to the terminal."""
    from convcli.text import printable

    return printable(text)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody listens
        print(text, file=sys.stderr, flush=True)


def _flushed(status: int) -> int:
    """Flush stdout; what cannot be flushed must not be tried again at exit."""
    if hasattr(signal, "setitimer") and signal.setitimer(signal.ITIMER_REAL, 0)[0]:
        status = INTERRUPTED  # a lost signal was about to come again
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            if number == 1 and status == 0:
                status = _failed(error)
    return status
