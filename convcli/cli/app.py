"""The program as its users see it: global options, and one command per folder."""

import inspect
import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup, TyperOption

from convcli.cli.command import CONTEXT, fill, parameters
from convcli.cli.settings import Debug, Messages, apply
from convcli.version import __version__

# Folders of this package; each has a module `command` with the command of the same name.
COMMANDS = ("convolve", "toeplitz", "unroll", "bench", "deconvolve", "shape", "kernels", "backends")


class Commands(Mapping[str, Any]):
    """The commands by name, each imported and built when it is looked up: a run needs one of them."""

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        return getattr(import_module(f"convcli.cli.{name}.command"), name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def _version(context: Any, parameter: Any, value: bool) -> None:
    if value:
        print(f"convcli {__version__}")
        raise typer.Exit


def _globals(version: bool, **values: Any) -> None:
    """Filter images from the shell, and see convolution as the matrix multiplication it is.

    \b
    Examples:
      convcli convolve photo.jpg -k gaussian:3 -o soft.jpg
      convcli kernels sobel-x
      convcli convolve --help
    """
    for group in (Messages, Debug):
        apply(fill(group, values))


def program() -> Any:
    """Return the command that has all the others."""
    commands: Any = Commands()
    version = TyperOption(
        param_decls=["--version"], is_flag=True, is_eager=True, callback=_version, help="Print the version."
    )
    completion = typer.main.get_install_completion_arguments()
    return TyperGroup(
        name="convcli",
        commands=commands,
        callback=_globals,
        params=[version, *parameters(Messages, Debug), *completion],
        help=inspect.getdoc(_globals),
        no_args_is_help=True,
        context_settings=CONTEXT,
        rich_markup_mode=None,
    )


def invoke(arguments: list[str]) -> int:
    """Run a command line; return its status, or raise what went wrong.

    typer's own main would turn Ctrl-C and a closed pipe into statuses of its choice.
    """
    everything = program()
    if "_CONVCLI_COMPLETE" in os.environ:  # the shell asks for completions
        everything(prog_name="convcli")
    with everything.make_context("convcli", arguments) as context:
        status = everything.invoke(context)
    return status if isinstance(status, int) else 0
