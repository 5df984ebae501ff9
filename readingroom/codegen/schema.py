"""The structs of the live protocol as JSON Schema, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from gateway import calls, wire

if TYPE_CHECKING:
    from collections.abc import Iterable

Schema: TypeAlias = dict[str, Any]


def structs() -> list[type[msgspec.Struct]]:
    """Return every struct that crosses a socket, in the order of the protocol."""
    found: dict[type[msgspec.Struct], None] = {}
    groups: Iterable[Iterable[type[msgspec.Struct]]] = (
        (calls.ConnectAuth,),
        wire.SERVER_EVENTS.values(),
        wire.SNAPSHOTS.values(),
        wire.EVENTS.values(),
        calls.CALLS.values(),
        (calls.Ack, calls.Subscribed, calls.Reauthed, calls.TimeAnswer),
        calls.COMMANDS.values(),
        (calls.Done, calls.Refused),
    )
    for group in groups:
        found.update(dict.fromkeys(group))
    return list(found)


def components(ref_template: str = "{name}") -> dict[str, Schema]:
    """Return the schema of each struct and enum by name."""
    return msgspec.json.schema_components(structs(), ref_template=ref_template)[1]
