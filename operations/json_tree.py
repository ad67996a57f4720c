"""JSON as it was written: numbers keep their digits, and objects their order and their repeated names.

A plain dict would show `19.990` as 19.99, and only the last of two fields with one name.
"""

import json
from dataclasses import dataclass
from typing import TypeAlias


class Number(str):
    """A number, as its digits."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Object:
    """An object, as pairs of a name and a value."""

    fields: "list[tuple[str, Json]]"


Json: TypeAlias = "Object | list[Json] | Number | str | bool | None"

INDENT = "  "


def parse(text: str | bytes) -> Json:
    """Return the tree. Raise ValueError if it is not JSON, or nested deeper than this program can go."""
    try:
        tree: Json = json.loads(
            text, object_pairs_hook=Object, parse_int=Number, parse_float=Number, parse_constant=Number
        )
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return tree


def write(value: Json, *, pretty: bool = False) -> str:
    """Return the text, on one line or on many. Raise ValueError for a tree that is nested too deep."""
    parts: list[str] = []
    try:
        _write(value, parts, "\n" if pretty else "")
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return "".join(parts)


def _write(value: Json, parts: list[str], line: str) -> None:
    """Append the text of a value. `line` begins a line: a line break and the indent, or nothing."""
    match value:
        case Object():
            _write_items(
                [(f"{json.dumps(name, ensure_ascii=False)}: ", each) for name, each in value.fields], "{}", parts, line
            )
        case list():
            _write_items([("", each) for each in value], "[]", parts, line)
        case Number():
            parts.append(value)
        case _:
            parts.append(json.dumps(value, ensure_ascii=False))


def _write_items(items: "list[tuple[str, Json]]", brackets: str, parts: list[str], line: str) -> None:
    if not items:
        parts.append(brackets)
        return
    inner = line and line + INDENT
    for number, (name, value) in enumerate(items):
        parts.append(f"{',' if number else brackets[0]}{inner or (' ' if number else '')}{name}")
        _write(value, parts, inner)
    parts.append(f"{line}{brackets[1]}")
