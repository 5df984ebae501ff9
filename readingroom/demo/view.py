"""The state of one stream, and how events change it: pure, and the same as ``view.ts``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """What one stream shows; ``seq`` is the last event applied, None before a snapshot."""

    seq: int | None = None
    rows: dict[str, Row] = field(default_factory=dict)
    readers: dict[str, Row] = field(default_factory=dict)
    counters: dict[str, int] | None = None
    lock: Row | None = None
    report: Row | None = None
    messages: tuple[Row, ...] = ()


class Gap(Exception):
    """An event is missing before this one: subscribe again from ``view.seq``."""


def view_of(snapshot: dict[str, Any]) -> View:
    """Return the view that a ``snapshot`` message describes."""
    data = snapshot["data"]
    rows = [data["row"]] if data.get("row") else data.get("rows", [])
    return View(
        seq=snapshot["as_of_seq"],
        rows={row["study_uid"]: row for row in rows},
        readers={reader["radiologist_id"]: reader for reader in data.get("readers", [])},
        counters=data.get("counters"),
        lock=data.get("lock"),
        report=data.get("report"),
        messages=tuple(data.get("messages", [])),
    )


def apply(view: View, event: dict[str, Any]) -> View:
    """Return the view after an ``ev``; the same view when it was applied before.

    Raises:
        Gap: an event before it is missing.
    """
    if view.seq is not None and event["seq"] <= view.seq:
        return view
    if view.seq is None or event["seq"] != view.seq + 1:
        raise Gap
    data, changes = event["data"], {"seq": event["seq"]}
    if "row" in data:
        rows = {uid: row for uid, row in view.rows.items() if uid != data["study_uid"]}
        if data["row"] is not None:
            rows[data["row"]["study_uid"]] = data["row"]
            if event["s"].startswith("study:"):
                changes["report"] = data["row"]["report"]
        changes["rows"] = rows
    if "reader" in data:
        changes["readers"] = view.readers | {data["reader"]["radiologist_id"]: data["reader"]}
    if "message" in data:
        changes["messages"] = (*view.messages, data["message"])
    changes |= {name: data[name] for name in ("counters", "lock") if name in data}
    return replace(view, **changes)
