"""The program as its users see it: global options, and one command per file."""

import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any

import typer

from convcli.cli.options import Debug, Quiet, Verbose
from convcli.version import __version__

# Modules of this package, each with the function of the same name.
COMMANDS = ("convolve", "toeplitz", "unroll", "bench", "deconvolve", "shape", "kernels", "backends")
# Without arguments these do their work, and the others show their help.
NEED_NO_ARGUMENTS = ("bench", "kernels", "backends")


def _typer(**options: Any) -> typer.Typer:
    return typer.Typer(
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **options,
    )


app = _typer(name="convcli", no_args_is_help=True)


def _version(value: bool) -> None:
    if value:
        print(f"convcli {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Filter images from the shell, and see convolution as the matrix multiplication it is.

    \b
    Examples:
      convcli convolve photo.jpg -k gaussian:3 -o soft.jpg
      convcli kernels sobel-x
      convcli convolve --help
    """


class Commands(Mapping[str, Any]):
    """The commands by name, each imported and built when it is looked up: a run needs one of them."""

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        single = _typer(add_completion=False)
        function = getattr(import_module(f"convcli.cli.{name}.command"), name)
        single.command(name, no_args_is_help=name not in NEED_NO_ARGUMENTS)(function)
        return typer.main.get_command(single)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def invoke(arguments: list[str]) -> int:
    """Run a command line; return its status, or raise what went wrong.

    typer's own main would turn Ctrl-C and a closed pipe into statuses of its choice.
    """
    program: Any = typer.main.get_command(app)
    program.commands = Commands()
    if "_CONVCLI_COMPLETE" in os.environ:  # the shell asks for completions
        program(prog_name="convcli")
    with program.make_context("convcli", arguments) as context:
        status = program.invoke(context)
    return status if isinstance(status, int) else 0
