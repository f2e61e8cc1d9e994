"""What the options about messages say, for every command; set when the command line is parsed."""

from dataclasses import dataclass
from typing import Annotated, Any

from convcli.options import Option

quiet = False
verbose = False
debug = False


@dataclass(eq=False, repr=False)
class Debug:
    """The option that every command has."""

    debug: Annotated[bool, Option("General", "Show tracebacks.")] = False


@dataclass(eq=False, repr=False)
class Messages:
    """Options of the commands that say what they do."""

    quiet: Annotated[bool, Option("General", "Print errors only.", "--quiet", "-q")] = False
    verbose: Annotated[bool, Option("General", "Print more about what was done.", "--verbose", "-v")] = False


def apply(group: Any) -> None:
    """Set what is on in a group."""
    globals().update({name: True for name, value in vars(group).items() if value})
