"""A benchmark read back from JSON, of which nothing is taken on trust."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from convcli.bench.results import PHASES, Case, Phases, Report, Result
from convcli.errors import InputError, UsageError
from convcli.spec import LARGEST
from convcli.text import brief, printable

SHORTEST, LONGEST = 1e-12, 1e12  # seconds; quotients of such times are finite


class Rule(NamedTuple):
    """A test of a value in a document, and how the value must be, in words."""

    holds: Callable[[Any], bool]
    words: str


TEXT = Rule(lambda v: isinstance(v, str), "text")
REASON = Rule(lambda v: v is None or (isinstance(v, str) and v != ""), "text or null")
OBJECT = Rule(lambda v: isinstance(v, dict), "an object")
LIST = Rule(lambda v: isinstance(v, list), "a list")
SIZE = Rule(lambda v: type(v) is int and 1 <= v <= LARGEST, "a whole number from 1 to 2^60")
BYTES = Rule(lambda v: v is None or (type(v) is int and abs(v) <= LARGEST), "a whole number or null")
ERROR = Rule(lambda v: v is None or (_is_number(v) and 0 <= v < 1e300), "a number from 0 to 1e300, or null")
TIME = Rule(
    lambda v: _is_number(v) and SHORTEST <= v <= LONGEST, f"a time in seconds, {SHORTEST:g} to {LONGEST:g}"
)
PHASE = Rule(
    lambda v: v is None or (_is_number(v) and 0 <= v <= LONGEST), f"seconds from 0 to {LONGEST:g}, or null"
)


RESULT = {"name": TEXT, "kind": TEXT, "skipped": REASON, "plan": TEXT, "max_error": ERROR}
RESULT |= {"allocated_bytes": BYTES, "resident_bytes": BYTES}
CASE = {"image": TEXT, "planes": SIZE, "height": SIZE, "width": SIZE, "kernel": TEXT}
CASE |= {"kernel_height": SIZE, "kernel_width": SIZE, "dtype": TEXT, "threads": SIZE}


def from_json(text: str | bytes, name: str) -> Report:
    """Read what `to_json` wrote; figures that follow from the times are not looked at.

    Bytes are UTF-8. For anything else an `InputError` names the file, the place and the rule.
    """
    try:
        document = _load(text)
        if not isinstance(document, dict) or "convcli" not in document:
            raise UsageError("it is not a benchmark of convcli; write one with convcli bench --export-json")
        rows = _member(document, "results", LIST)
        return Report(
            machine=_member(document, "machine", OBJECT),
            settings=_member(document, "settings", OBJECT),
            results=[_result(row, f"results[{index}]") for index, row in enumerate(rows)],
            started=_member(document, "started", TEXT),
        )
    except UsageError as error:  # a rule that was broken in a file is the file's fault
        raise InputError(f"{printable(name)}: {error}") from None


def _load(text: str | bytes) -> Any:
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        return json.loads(text, object_pairs_hook=_object, parse_constant=_not_finite)
    except UsageError:
        raise
    except UnicodeDecodeError as error:
        raise UsageError(f"it is not UTF-8 text from byte {error.start} on") from None
    except json.JSONDecodeError as error:
        raise UsageError(f"line {error.lineno}, column {error.colno} is not JSON: {error.msg}") from None
    except RecursionError:
        raise UsageError("it is nested too deeply for a benchmark of convcli") from None
    except ValueError:  # the interpreter's limit on the digits of an integer
        raise UsageError("a number in it has too many digits") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise UsageError(f'the key "{brief(key)}" is written twice in one object')
        found[key] = value
    return found


def _not_finite(word: str) -> None:
    raise UsageError(f"{word} is not JSON; what is not known is null")


def _result(row: Any, place: str) -> Result:
    _check(row, place, OBJECT)
    times = _member(row, "times_seconds", LIST, place)
    for index, time in enumerate(times):
        _check(time, f"{place}.times_seconds[{index}]", TIME)
    case = _case(_member(row, "case", OBJECT, place), f"{place}.case")
    values = {key: _member(row, key, rule, place) for key, rule in RESULT.items()}
    result = Result(case, times=tuple(map(float, times)), phases=_phases(row, place), **values)
    if not times and result.skipped is None:
        raise UsageError(f"{place}.times_seconds is empty; what was not timed must say why under skipped")
    return result


def _phases(row: dict[str, Any], place: str) -> Phases | None:
    """Times on a GPU: four, or none. Files that are older have no word of them."""
    found = [_member({key: None} | row, key, PHASE, place) for key in PHASES]
    if None not in found:
        return Phases(*map(float, found))
    if found != [None] * len(PHASES):
        raise UsageError(f"{place} has some of {', '.join(PHASES)}; it must have all of them, or none")
    return None


def _case(holder: dict[str, Any], place: str) -> Case:
    found = {key: _member(holder, key, rule, place) for key, rule in CASE.items()}
    shape = found.pop("height"), found.pop("width")
    return Case(shape=shape, kernel_shape=(found.pop("kernel_height"), found.pop("kernel_width")), **found)


def _member(holder: dict[str, Any], key: str, rule: Rule, place: str = "") -> Any:
    where = f"{place}.{key}" if place else key
    if key not in holder:
        raise UsageError(f"{where} is missing; it must be {rule.words}")
    return _check(holder[key], where, rule)


def _check(value: Any, where: str, rule: Rule) -> Any:
    if not rule.holds(value):
        raise UsageError(f"{where} is {_spelled(value)}; it must be {rule.words}")
    return value


def _spelled(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return brief(json.dumps(value, ensure_ascii=False))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
