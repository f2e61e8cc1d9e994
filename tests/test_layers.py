"""The house: rooms imported in one direction, no circles, small files and functions."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

import convcli

ROOT = Path(convcli.__file__).parent
# fmt: off
ROOMS = [
    "errors", "text", "spec", "arithmetic", "system", "arrays", "images", "kernels", "matrices", "backends",
    "options", "engine", "layers", "filtering", "deconvolution", "bench", "cli",
]
# fmt: on
MOST_ROOMS, MOST_LEVELS, MOST_ARROWS = 20, 12, 100
ONLY = {"PIL": "images", "rich": "cli/report", "cupy": "arrays/device"}


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its full name, but for the façade, ``python -m`` and the version."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(["convcli", *path.relative_to(ROOT).with_suffix("").parts])
        if name not in ("convcli.__init__", "convcli.__main__", "convcli.version"):
            found[name.removesuffix(".__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imported(tree: ast.Module) -> set[str]:
    """Full names of all imported modules, those inside functions and those for types too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                names.add(name if name in modules() else str(node.module))
    return names


@functools.cache
def arrows() -> dict[str, set[str]]:
    """The modules of the package that each of its modules imports."""
    return {name: imported(tree) & set(modules()) - {name} for name, tree in modules().items()}


def room(name: str) -> str:
    return name.split(".")[1]


@functools.cache
def room_arrows() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {name: set() for name in ROOMS}
    for name, others in arrows().items():
        found[room(name)] |= {room(other) for other in others} - {room(name)}
    return found


def level(name: str) -> int:
    """Rooms on the longest way down from this one, itself included."""
    return 1 + max((level(other) for other in room_arrows()[name]), default=0)


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Some names that need each other; none if there are no such."""
    left = dict(graph)
    while True:
        needed = set().union(*left.values())
        free = [name for name, others in left.items() if name not in needed or not others & set(left)]
        if not free:
            return sorted(left)
        for name in free:
            del left[name]


def test_every_module_has_a_room():
    assert {room(name) for name in modules()} == set(ROOMS)


def test_imports_point_to_earlier_rooms():
    wrong = [
        (name, other)
        for name, others in room_arrows().items()
        for other in others
        if ROOMS.index(other) > ROOMS.index(name)
    ]
    assert wrong == []


def test_rooms_levels_and_arrows_are_few():
    assert len(ROOMS) <= MOST_ROOMS
    assert max(map(level, ROOMS)) <= MOST_LEVELS
    assert sum(map(len, room_arrows().values())) <= MOST_ARROWS


def test_no_modules_import_each_other():
    assert circle(arrows()) == []


def test_circles_are_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c"]


@pytest.mark.parametrize(("package", "folder"), ONLY.items())
def test_pillow_rich_and_cupy_have_one_user_each(package, folder):
    users = {name for name, tree in modules().items() if package in {n.split(".")[0] for n in imported(tree)}}
    prefix = "convcli." + folder.replace("/", ".")
    assert {name for name in users if not name.startswith(prefix)} == set()
    assert users


LONGEST_FILE, LONGEST_FUNCTION, MOST_PARAMETERS = 400, 80, 12
PUBLIC = {"convolve", "deconvolve", "toeplitz_matrix", "unroll", "fold"}
"""The documented Python API may take more parameters."""


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for name, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                yield name, node


def lines_of_code(node: ast.FunctionDef) -> int:
    """Lines of a function that are neither blank nor comments, without its signature and docstring."""
    body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
    return len(
        set().union(
            *({n.lineno, n.end_lineno} for n in ast.walk(ast.Module(body, [])) if hasattr(n, "lineno"))
        )
    )


def test_files_are_small():
    long = {path.name: len(path.read_text().splitlines()) for path in ROOT.rglob("*.py")}
    assert {name: count for name, count in long.items() if count > LONGEST_FILE} == {}


def test_functions_are_short():
    long = {f"{name}.{node.name}": lines_of_code(node) for name, node in functions()}
    assert {name: count for name, count in long.items() if count > LONGEST_FUNCTION} == {}


def test_functions_have_few_parameters():
    wrong = []
    for name, node in functions():
        counted = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        if (
            len([a for a in counted if a.arg not in ("self", "cls")]) > MOST_PARAMETERS
            and node.name not in PUBLIC
        ):
            wrong.append(f"{name}.{node.name}")
    assert wrong == []


if __name__ == "__main__":  # the counts, room by room
    for name in ROOMS:
        lines = sum(
            len(p.read_text().splitlines())
            for p in ROOT.rglob("*.py")
            if p.relative_to(ROOT).parts[0].removesuffix(".py") == name
        )
        print(f"{level(name):2} {name:14} {lines:6}  {', '.join(sorted(room_arrows()[name]))}")
    print(
        len(ROOMS),
        "rooms,",
        max(map(level, ROOMS)),
        "levels,",
        sum(map(len, room_arrows().values())),
        "arrows",
    )
