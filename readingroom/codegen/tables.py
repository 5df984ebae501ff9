"""The generated parts of ``docs/wire.md``, between ``<!-- made: NAME -->`` and ``<!-- end -->``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from gateway import calls, shapes, wire

if TYPE_CHECKING:
    from collections.abc import Iterable

_PART = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _sentence(kind: type[msgspec.Struct]) -> str:
    return " ".join((kind.__doc__ or "").split()).replace("``", "`").replace("|", "\\|")


def _fields(kind: type[msgspec.Struct], *, without: Iterable[str] = ()) -> str:
    """Return the names of a struct's fields, ``?`` behind those that may be absent."""
    shown = [f"{f.name}{'' if f.required else '?'}" for f in msgspec.structs.fields(kind) if f.name not in set(without)]
    return f"`{', '.join(shown)}`" if shown else "-"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (f"| {' | '.join(row)} |\n" for row in (head, ("---",) * len(head), *rows))
    return "".join(lines)


def parts() -> dict[str, str]:
    """Return each generated part by name."""
    server = ((f"`{name}`", _fields(kind), _sentence(kind)) for name, kind in wire.SERVER_EVENTS.items())
    states = ((f"`{name}:`", _fields(kind)) for name, kind in wire.SNAPSHOTS.items())
    always = ("study_uid", "row")
    events = ((f"`{name}`", _fields(kind, without=always), _sentence(kind)) for name, kind in wire.EVENTS.items())
    sends: dict[str, type[msgspec.Struct]] = {**calls.CALLS, "ack": calls.Ack}
    asked = ((f"`{name}`", _fields(kind), _sentence(kind)) for name, kind in sends.items())
    extra = ("idem", "deadline_ms")
    commands = ((f"`{n}`", _fields(kind, without=extra), _sentence(kind)) for n, kind in calls.COMMANDS.items())
    objects = (shapes.Row, shapes.Readiness, shapes.Clock, shapes.Offer, shapes.AiResult, shapes.ReportRef,
               shapes.Critical, shapes.Reader, shapes.Counters, shapes.Lock, shapes.Message)  # fmt: skip
    shown = ((kind.__name__, _fields(kind), _sentence(kind)) for kind in objects)
    return {
        "server": _table(("event", "fields", ""), server),
        "snapshots": _table(("stream", "data"), states),
        "events": _table(("type", "extra data", ""), events),
        "calls": _table(("call", "fields", ""), asked),
        "commands": _table(("command", "fields", ""), commands),
        "objects": _table(("object", "fields", ""), shown),
    }


def filled(page: str) -> str:
    """Return the page with its generated parts made anew.

    Raises:
        KeyError: the page asks for a part that is not made.
    """
    made = parts()
    return _PART.sub(lambda found: found[1] + made[found[2]] + found[3], page)
