"""The program as its users see it: global options, and one command per file."""

import os
from typing import Annotated

import typer

from convcli.cli import backends, bench, convolve, deconvolve, kernels, shape, toeplitz, unroll
from convcli.cli.options import Debug, Quiet, Verbose
from convcli.version import __version__

app = typer.Typer(
    name="convcli",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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


for command in (convolve, toeplitz, unroll, bench, deconvolve, shape, kernels, backends):
    name = command.__name__.rpartition(".")[2]
    app.command(name, no_args_is_help=name in ("convolve", "toeplitz", "unroll", "deconvolve", "shape"))(
        getattr(command, name)
    )


def invoke(arguments: list[str]) -> int:
    """Run a command line; return its status, or raise what went wrong.

    typer's own main would turn Ctrl-C and a closed pipe into statuses of its choice.
    """
    if "_CONVCLI_COMPLETE" in os.environ:  # the shell asks for completions
        app(prog_name="convcli")
    command = typer.main.get_command(app)
    with command.make_context("convcli", arguments) as context:
        status = command.invoke(context)
    return status if isinstance(status, int) else 0
