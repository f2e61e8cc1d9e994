"""The command line: from ``sys.argv`` to an exit status."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

INTERRUPTED, BROKEN_PIPE, TERMINATED = 130, 141, 143


class TerminatedError(BaseException):
    """SIGTERM was received: unwind, so that temporary files are removed."""


def main() -> None:
    """Run the program and exit with its status."""
    sys.exit(run())


def run() -> int:
    """Run the program; return its exit status.

    Every error ends here, and as one line on stderr: the commands merely raise.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, _terminate)
    # The tool has threads of its own; BLAS would start as many again, each time it is imported.
    for library in ("OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    try:
        from convcli.cli.app import app

        status = app(standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except KeyboardInterrupt:
        return _ended("interrupted", INTERRUPTED)
    except TerminatedError:
        return _ended("terminated", TERMINATED)
    except BrokenPipeError:
        # Whoever read our output has seen enough. Nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        return _failed(error)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise TerminatedError


def _ended(word: str, status: int) -> int:
    print(f"convcli: {word}; no file was left half written", file=sys.stderr)
    return status


def _failed(error: Exception) -> int:
    """Print an error as its line; a bug is named as one."""
    from convcli.cli import settings
    from convcli.errors import ConvcliError

    if settings.debug:
        import traceback

        traceback.print_exc()
    if isinstance(error, ConvcliError):
        print(f"convcli: {error}", file=sys.stderr)
        return error.exit_status
    if hasattr(error, "format_message"):  # the option parser's own errors
        text = error.format_message()
        print(text if text.startswith("Usage:") else f"convcli: {text}", file=sys.stderr)
        return 2
    if hasattr(error, "exit_code"):  # --help, --version
        return int(error.exit_code)
    if isinstance(error, MemoryError):
        print(
            "convcli: out of memory; use a smaller image, or --max-memory to be told before", file=sys.stderr
        )
        return 5
    print(f"convcli: internal error: {type(error).__name__}: {error}; --debug shows where", file=sys.stderr)
    return 1
