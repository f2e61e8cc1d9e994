"""The architecture as the README draws it: every module imports only from the layers before its own."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import convcli

ROOT = Path(convcli.__file__).parent
# fmt: off
LAYERS = [
    "version", "errors", "spec", "arithmetic", "machine", "threads", "atomic", "native", "device", "arrays",
    "npyfile", "pixels", "images", "kernels", "separable", "matrices", "transforms", "backends", "profile",
    "pieces", "planner", "slabs", "execute", "problem", "verification", "convolution", "layers",
    "deconvolution", "options", "response", "filtering", "banks", "timing", "report", "cli",
]
# fmt: on
ONLY = {"PIL": "images", "rich": "report", "cupy": "device"}


@functools.cache
def modules() -> list[tuple[str, ast.Module]]:
    """Every module of the package by its layer, but for the lazy façade and ``python -m``."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        layer = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if layer not in ("__init__", "__main__"):
            found.append((layer, ast.parse(path.read_text(encoding="utf-8"))))
    return found


def imported(tree: ast.Module) -> set[str]:
    """Full names of all imports, those inside functions too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "convcli":
            names.update(f"convcli.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    return names


def test_every_module_has_a_layer():
    assert {layer for layer, _ in modules()} == set(LAYERS)


def test_imports_point_to_earlier_layers():
    wrong = [
        (layer, name)
        for layer, tree in modules()
        for name in imported(tree)
        if name.startswith("convcli.") and LAYERS.index(name.split(".")[1]) > LAYERS.index(layer)
    ]
    assert wrong == []


def test_pillow_rich_and_cupy_have_one_user_each():
    for package, layer in ONLY.items():
        users = {
            where for where, tree in modules() if any(n.split(".")[0] == package for n in imported(tree))
        }
        assert users == {layer}
