"""Start-up without the garbage collector."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Look for no garbage while modules are loaded, nor ever again among what they made: that stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
