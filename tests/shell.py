"""Run the real program as a process, and look at what it leaves."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import io
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from oracle import convolve_exactly
from PIL import Image as Pillow

from convcli.arrays import native

COMPILED = pytest.mark.skipif(
    not hasattr(native, "unfilter") or native.level() is None, reason="convcli was not compiled"
)

PROGRAM = (sys.executable, "-m", "convcli")
TIMEOUT = 60  # seconds; far from what any run takes

# What would change what is printed, and is not the same for everybody; and what makes a start slow.
UNWANTED = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS", "LINES")
UNWANTED += ("PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class Done:
    """What came of a run: exit status, bytes on stdout, text on stderr."""

    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self):
        """The document on stdout, which must hold one and nothing else."""
        assert self.out.count(b"\n") == 1
        return json.loads(self.out)


def environment(**changes) -> dict[str, str]:
    """Return the environment of a run: the tests' own, less what changes the output."""
    return {k: v for k, v in os.environ.items() if k not in UNWANTED} | changes


def convcli(*arguments, stdin=b"", cwd=None, wrapper=(), env=(), stdout=subprocess.PIPE) -> Done:
    """Run ``convcli`` to its end.

    Parameters
    ----------
    arguments : str, bytes or Path
    stdin : bytes
    cwd : Path, optional
    wrapper : sequence of str
        A command that runs the command after it, such as ``nice``.
    env : mapping
        Added to the environment.
    stdout : file, optional
        Where stdout goes instead of into the result.
    """
    done = subprocess.run(
        [*wrapper, *PROGRAM, *arguments],
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=environment(**dict(env)),
        timeout=TIMEOUT,
        check=False,
    )
    return Done(done.returncode, done.stdout or b"", done.stderr.decode())


def succeed(*arguments, **options) -> Done:
    """Run ``convcli`` and require exit status 0."""
    done = convcli(*arguments, **options)
    assert done.status == 0, done.err
    return done


def unobserved() -> dict[str, str]:
    """Return the environment of a run whose coverage is not measured, which starts twice as fast.

    It is the only one to send signals to: those that interrupt coverage's own code can leave a lock locked.
    """
    return {k: v for k, v in environment().items() if not k.startswith("COVERAGE_")}


def start(*arguments, cwd=None, **options) -> subprocess.Popen:
    """Start ``convcli`` and return the running process, for signals to be sent to."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    child = subprocess.Popen([*PROGRAM, *arguments], cwd=cwd, env=unobserved(), **options)
    atexit.register(child.kill)  # should its test fail, it must not outlive the tests
    return child


def on_terminal(*arguments, columns=80, cwd=None, env=()) -> tuple[int, str]:
    """Run ``convcli`` with stdout and stderr on a terminal; return its status and what is on it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = subprocess.Popen(
        [*PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        cwd=cwd,
        env=environment(**({"TERM": "xterm-256color"} | dict(env))),
    )
    os.close(theirs)
    printed = b""
    while True:
        try:
            block = os.read(ours, 65536)
        except OSError:  # how Linux says that the other end was closed
            break
        if not block:
            break
        printed += block
    os.close(ours)
    return child.wait(TIMEOUT), printed.decode()


def contents(folder) -> dict[str, bytes | None]:
    """Return every file below a folder with its bytes; None for folders."""
    found = sorted(Path(folder).rglob("*"))
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in found}


def save(path, pixels, mode=None, **options):
    """Write an image by Pillow; return its path."""
    picture = Pillow.fromarray(np.asarray(pixels))
    (picture if mode is None else picture.convert(mode)).save(path, **options)
    return path


def load(path) -> np.ndarray:
    """Read an image by Pillow; a palette as the colours it stands for."""
    with Pillow.open(path) as picture:
        return np.asarray(picture.convert("RGBA") if picture.mode == "P" else picture)


def exactly(image, kernel, *, divisor=1, bias=0, low=0, high=255, border="nearest", **options):
    """Filter by the oracle and round half to even: what the program must write, and what was clipped.

    Returns
    -------
    (array of int, int)
        The last two axes are those of the kernel; earlier ones are independent.
    """
    values = convolve_exactly(image, kernel, border=border, **options).values
    rounded = np.vectorize(lambda y: round(y / Fraction(divisor) + Fraction(bias)), otypes=[object])(values)
    clipped = int(((rounded < low) | (rounded > high)).sum())
    return np.clip(rounded, low, high).astype(np.int64), clipped


def within(*arguments, cwd) -> Done:
    """Run ``convcli`` in this process: for what a process of its own adds nothing to.

    Standard input is not to be read, and what goes to stdout is text.
    """
    from convcli.cli import _failed, settings
    from convcli.cli.app import invoke

    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = invoke([str(argument) for argument in arguments])
        except Exception as error:
            status = _failed(error)
        finally:
            settings.quiet = settings.verbose = settings.debug = False
    return Done(status, out.getvalue().encode(), err.getvalue())
