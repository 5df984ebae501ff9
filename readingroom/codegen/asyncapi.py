"""The AsyncAPI 3.0 document of the live protocol."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gateway import calls, wire
from readingroom.codegen.schema import Schema, components

if TYPE_CHECKING:
    import msgspec

_REF = "#/components/schemas/{name}"
_SOCKET = "#/channels/socket"


def _sentence(kind: type[msgspec.Struct]) -> str:
    return " ".join((kind.__doc__ or "").split()).replace("``", "`")


def _payload(kind: type[msgspec.Struct]) -> Schema:
    return {"$ref": _REF.format(name=kind.__name__)}


def _event(name: str, kind: type[msgspec.Struct]) -> Schema:
    """Return the envelope of one event type."""
    fixed = {"type": {"const": name}, "v": {"const": 1}, "data": _payload(kind)}
    return {"allOf": [_payload(wire.Ev), {"type": "object", "properties": fixed}]}


def _snapshot(kind: str, state: type[msgspec.Struct]) -> Schema:
    fixed = {"s": {"type": "string", "pattern": f"^{kind}:"}, "data": _payload(state)}
    return {"allOf": [_payload(wire.Snapshot), {"type": "object", "properties": fixed}]}


def _messages() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the server sends and what clients send, by message name."""
    sent: dict[str, Any] = {}
    for name, kind in wire.SERVER_EVENTS.items():
        if kind not in (wire.Ev, wire.Snapshot):
            sent[name] = {"name": name, "summary": _sentence(kind), "payload": _payload(kind)}
    for stream, state in wire.SNAPSHOTS.items():
        payload = _snapshot(stream, state)
        sent[f"snapshot.{stream}"] = {"name": "snapshot", "summary": _sentence(state), "payload": payload}
    for name, kind in wire.EVENTS.items():
        sent[f"ev.{name}"] = {"name": "ev", "summary": _sentence(kind), "payload": _event(name, kind)}
    asked: dict[str, Any] = {"ack": {"name": "ack", "summary": _sentence(calls.Ack), "payload": _payload(calls.Ack)}}
    for name, call in (calls.CALLS | calls.COMMANDS).items():
        asked[name] = {"name": name, "summary": _sentence(call), "payload": _payload(call)}
    return sent, asked


def _answers() -> dict[str, list[type[msgspec.Struct]]]:
    answers: dict[str, list[type[msgspec.Struct]]] = {name: [calls.Done, calls.Refused] for name in calls.COMMANDS}
    answers |= {name: [calls.Subscribed, calls.Refused] for name in ("subscribe", "unsubscribe")}
    return answers | {"reauth": [calls.Reauthed, calls.Refused], "time": [calls.TimeAnswer, calls.Refused]}


def asyncapi() -> str:
    """Return the document."""
    sent, asked = _messages()
    operations: dict[str, Any] = {
        "told": {
            "action": "send",
            "channel": {"$ref": _SOCKET},
            "summary": "What the server sends.",
            "messages": [{"$ref": f"{_SOCKET}/messages/{name}"} for name in sent],
        }
    }
    replies: dict[str, Any] = {}
    for name in asked:
        operation = {
            "action": "receive",
            "channel": {"$ref": _SOCKET},
            "messages": [{"$ref": f"{_SOCKET}/messages/{name}"}],
        }
        kinds = _answers().get(name)
        if kinds:
            replies[f"{name}.answer"] = {"name": name, "payload": {"anyOf": [_payload(kind) for kind in kinds]}}
            answer = {"$ref": f"{_SOCKET}/messages/{name}.answer"}
            operation["reply"] = {"channel": {"$ref": _SOCKET}, "messages": [answer]}
        operations[name] = operation
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "The reading room, live",
            "version": f"{wire.PROTO}.0.0",
            "description": "Socket.IO over WebSocket. How it is used: docs/wire.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "socket": {
                "address": "/socket.io/",
                "description": "One Socket.IO connection, namespace `/`; `auth` is ConnectAuth.",
                "messages": sent | asked | replies,
            }
        },
        "operations": operations,
        "components": {"schemas": components(_REF)},
    }
    return json.dumps(document, indent=1) + "\n"
