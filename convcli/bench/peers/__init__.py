"""Peers: each file of this folder is a library or a program that convcli can be timed against.

A new peer is a new file that defines ``PEERS``, a tuple of `Library` or `Program` (of ``bench/library`` and
``bench/program``, which say what each field takes); ``opencv`` is a short example. Nothing else lists it.
"""

from __future__ import annotations

import importlib
import pkgutil

from convcli.bench.library import Library
from convcli.bench.program import Program

# Order in tables; any others follow by name.
FIRST = ("scipy", "opencv", "torch", "pillow", "astropy", "vips", "magick", "gmic")


def peers() -> list[Library | Program]:
    """Return every peer, installed or not; none is imported before it is asked whether it refuses.

    >>> [peer.name for peer in peers()][:4]
    ['ndimage.correlate', 'signal.convolve2d', 'signal.fftconvolve', 'signal.oaconvolve']
    """
    found = {module.name for module in pkgutil.iter_modules(__path__)}
    names = [*FIRST, *sorted(found.difference(FIRST))]
    return [peer for name in names for peer in importlib.import_module(f"{__name__}.{name}").PEERS]


def libraries() -> list[Library]:
    """Return the peers that are imported."""
    return [peer for peer in peers() if isinstance(peer, Library)]


def programs() -> list[Program]:
    """Return the peers that run in a process of their own.

    >>> [program.name for program in programs()]
    ['vips conv', 'magick -morphology', 'gmic -convolve']
    """
    return [peer for peer in peers() if isinstance(peer, Program)]
