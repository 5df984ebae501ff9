"""TypeScript types of the live protocol."""

from __future__ import annotations

import json
from typing import Any

from gateway import calls, wire
from readingroom.codegen.schema import Schema, components

_WIDTH = 121
_HEAD = """\
// The live protocol, version 1. Made by `python -m readingroom.codegen` from gateway/wire.py,
// gateway/calls.py and gateway/shapes.py: change those.
"""

_TAIL = """
/** One event of a stream. Types that are not here are applied by their row, and otherwise ignored. */
export type LiveEvent = {
  [T in keyof EventData]: Omit<Ev, 'type' | 'data'> & { type: T; data: EventData[T] };
}[keyof EventData];

/** What a command is answered; `error` tells them apart. */
export type Answer = Done | Refused;

/** Whether a command took effect. */
export function isDone(answer: Answer): answer is Done {
  return !('error' in answer);
}
"""


def _type(schema: Schema) -> str:
    options = schema.get("anyOf") or schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    if options:
        return " | ".join(_type(option) if isinstance(option, dict) else _literal(option) for option in options)
    match schema:
        case {"$ref": name}:
            return str(name)
        case {"type": "array"}:
            inner = _type(schema.get("items", {}))
            return f"({inner})[]" if "|" in inner else f"{inner}[]"
        case {"type": "object"}:
            return f"Record<string, {_type(_values(schema))}>"
        case {"type": "integer" | "number"}:
            return "number"
        case _:
            return str(schema.get("type", "unknown"))


def _values(schema: Schema) -> Schema:
    values: Any = schema.get("additionalProperties", {})
    return values if isinstance(values, dict) else {}


def _literal(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else json.dumps(value)


def _comment(schema: Schema) -> str:
    text = " ".join(str(schema.get("description", "")).split()).replace("``", "`")
    return f"/** {text} */\n" if text else ""


def _declare(name: str, schema: Schema) -> str:
    if "enum" in schema:
        line = f"export type {name} = {_type(schema)};\n"
        if len(line) > _WIDTH:  # as the formatter of the extension breaks it
            line = f"export type {name} =\n  | {_type(schema).replace(' | ', chr(10) + '  | ')};\n"
        return _comment(schema) + line
    required = set(schema.get("required", ()))
    fields = (
        f"  {field}{'' if field in required else '?'}: {_type(kind)};\n"
        for field, kind in schema.get("properties", {}).items()
    )
    return f"{_comment(schema)}export interface {name} {{\n{''.join(fields)}}}\n"


def _map(comment: str, name: str, members: dict[str, str]) -> str:
    lines = "".join(f"  {key}: {value};\n" for key, value in members.items())
    return f"/** {comment} */\nexport interface {name} {{\n{lines}}}\n"


def typescript() -> str:
    """Return the module."""
    parts = [_declare(name, schema) for name, schema in sorted(components().items())]
    events = {name: kind.__name__ for name, kind in wire.EVENTS.items()}
    commands = {name: f"Omit<{kind.__name__}, 'idem' | 'deadline_ms'>" for name, kind in calls.COMMANDS.items()}
    parts.append(_map("The data of each event type.", "EventData", events))
    parts.append(_map("The fields of each command; the client adds idem and deadline_ms.", "Commands", commands))
    constants = f"export const PROTO = {wire.PROTO};\nexport const DEADLINE_MS = {calls.DEADLINE_MS};\n"
    return "\n".join([_HEAD, constants, *parts]) + _TAIL
