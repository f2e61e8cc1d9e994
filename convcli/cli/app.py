"""The program as its users see it: global options, and one command per file."""

from typing import Annotated

import typer

from convcli.cli import backends, convolve, kernels
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


for command in (convolve, kernels, backends):
    name = command.__name__.rpartition(".")[2]
    app.command(name, no_args_is_help=name == "convolve")(getattr(command, name))
