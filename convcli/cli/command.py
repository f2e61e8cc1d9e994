"""The decorator that makes a command of a function of option groups: dataclasses as in `convcli.options`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, get_args, get_origin

from typer.core import TyperArgument, TyperCommand, TyperOption

from convcli.cli import settings
from convcli.cli.loading import loading
from convcli.options import PANELS, Option, declared

CONTEXT = {"help_option_names": ["-h", "--help"]}


class Command(TyperCommand):
    """A command whose help has a section for each panel; `groups` are the dataclasses that it takes."""

    groups: dict[str, type]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, and then the options by their panels."""
        records: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            panel = getattr(parameter, "rich_help_panel", None) or "General"
            if record := parameter.get_help_record(ctx):
                records.setdefault(panel, []).append(record)
        for panel in ("Arguments", *PANELS):
            if panel in records:
                with formatter.section(panel):
                    formatter.write_dl(records[panel])


def command(*messages: type, needs_arguments: bool = True) -> Callable[[Callable[..., int | None]], Command]:
    """Make a command of a function whose parameters are dataclasses of options.

    `messages` are dataclasses whose options become `settings`. A command that `needs_arguments` shows its
    help without them.
    """

    def decorate(function: Callable[..., int | None]) -> Command:
        talk = (*messages, settings.Debug)
        groups = {name: kind for name, kind in function.__annotations__.items() if name != "return"}

        def callback(**values: Any) -> int | None:
            for group in talk:
                settings.apply(fill(group, values))
            with loading():
                filled = {name: fill(group, values) for name, group in groups.items()}
            return function(**filled)

        made = Command(
            name=function.__name__,
            callback=callback,
            params=parameters(*groups.values(), *talk),
            help=inspect.getdoc(function),
            no_args_is_help=needs_arguments,
            context_settings=CONTEXT,
            rich_markup_mode=None,
        )
        made.groups = groups | {group.__name__: group for group in talk}
        return made

    return decorate


def parameters(*groups: type) -> list[Any]:
    """Return the parameters of a command for the options of its groups, each once, arguments first."""
    found = {}
    for group in groups:
        for field in fields(group):
            assert not isinstance(field.type, str), f"{group.__name__} has annotations that are strings"
            if field.name not in found and getattr(field.type, "__metadata__", None):
                found[field.name] = _parameter(field)
    return sorted(found.values(), key=lambda parameter: isinstance(parameter, TyperOption))


def _parameter(field: Any) -> Any:
    annotation, option = field.type.__origin__, field.type.__metadata__[0]
    required = field.default is MISSING and field.default_factory is MISSING
    several, flag = get_origin(annotation) is list, annotation is bool and not option.parse
    number = not option.parse and int in (annotation, *get_args(annotation))
    common = {
        "type": None if flag else int if number else str,
        "required": required,
        "metavar": option.metavar,
        "help": option.help + _default_text(field, option),
        "rich_help_panel": option.panel,
        "show_default": False,
        "autocompletion": _completion(option),
    }
    if option.is_argument:
        return TyperArgument(param_decls=[field.name], nargs=-1 if several else None, **common)
    flags = [field.name, *option.flags(field.name)]
    return TyperOption(param_decls=flags, is_flag=flag or None, multiple=several, **common)


def _default_text(field: Any, option: Option) -> str:
    if "[default:" in option.help or option.is_argument:
        return ""
    text = option.default
    if text is None and isinstance(field.default, str | int | float) and not isinstance(field.default, bool):
        text = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
    return f"  [default: {text}]" if text else ""


def _completion(option: Option) -> Callable[[Any, list[str], str], list[str]] | None:
    words = option.words
    if not words:
        return None
    return lambda _context, _arguments, incomplete: [
        word for word in (words() if callable(words) else words) if word.startswith(incomplete)
    ]


def fill(group: type, values: Mapping[str, Any]) -> Any:
    """Make a dataclass of the options that were given; the others have its defaults."""
    filled = {}
    for name, option in declared(group).items():
        value = values[name]
        if value is not None and value is not False and value != ():
            what = option.name(name).removeprefix("max-").replace("-", " ")
            filled[name] = option.parse(value, what) if option.parse else value
    return group(**filled)
