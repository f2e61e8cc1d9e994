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


def peers(*kinds: str) -> list[Library | Program]:
    """Return the peers of some kinds, or every one, installed or not.

    None is imported before it is asked whether it refuses.

    >>> [program.name for program in peers("process")]
    ['vips conv', 'magick -morphology', 'gmic -convolve']
    """
    files = {module.name for module in pkgutil.iter_modules(__path__)}
    names = [*FIRST, *sorted(files.difference(FIRST))]
    found = [peer for name in names for peer in importlib.import_module(f"{__name__}.{name}").PEERS]
    return [peer for peer in found if not kinds or peer.kind in kinds]
