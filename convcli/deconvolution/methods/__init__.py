"""Methods: each file of this folder restores an image in its own way; a new one is a new file here.

It defines the names of `convcli.deconvolution.method.Method`, as ``wiener`` does in a few lines.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, cast

from convcli.spec import choose

if TYPE_CHECKING:
    from convcli.deconvolution.method import Method


def names() -> list[str]:
    """Every method by name, without importing any."""
    return [module.name for module in pkgutil.iter_modules(__path__)]


def load(name: str) -> Method:
    """Import the method called `name`; `UsageError` if there is none."""
    choose(name, ["auto", *names()], "method")
    return cast("Method", importlib.import_module(f"{__name__}.{name}"))
