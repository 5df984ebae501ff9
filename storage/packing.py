"""Packs what commands change into the arguments of ``rr.commit_batch``."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from uuid_utils import uuid7

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from actors.domain.unit import ReaderDelta, Unit

Rows = list[dict[str, Any]]
Arguments = tuple[str | list[Any], ...]

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # a real \u0000, not an escaped backslash before u0000
_STUDY = (
    "study_uid", "site_id", "rev", "step", "status", "open", "priority", "reader", "patient_id", "accession_number",
    "flags", "referring",
)  # fmt: skip


_json = msgspec.json.Encoder()


def _encode(value: object) -> str:
    text = _json.encode(value).decode()
    return _NUL.sub(r"\1", text) if "\\u0000" in text else text  # jsonb holds no NUL


class _Docs:
    """JSON texts, each named by its place from 1."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def put(self, value: object) -> int:
        self.texts.append(_encode(value))
        return len(self.texts)


def pack(units: Sequence[Unit]) -> Arguments:
    """Return the arguments of ``rr.commit_batch``; units of a batch stand in key order."""
    units = sorted(units, key=lambda u: (u.key.tenant_id, u.key.entity))
    names = sorted({u.key.tenant_id for u in units})
    lists: dict[str, Rows] = {}
    docs, feed, counters = _Docs(), _Feed(), _counters(units)
    for unit in units:
        _pack_unit(unit, lists, docs)
        _pack_entity(unit, lists, docs)
        feed.say(unit, docs)
    lists["readers"] = _fold((u.key.tenant_id, delta) for u in units for delta in u.readers)
    for reader in lists["readers"]:
        feed.add(reader["tenant_id"], f"tenant:{reader['tenant_id']}", "reader_changed", reader["user_id"])
    for tenant_id, stream in sorted(counters):
        feed.add(tenant_id, stream, "counters_changed")
    lists["streams"], lists["heads"] = feed.streams(counters), feed.heads(names)
    batch = {kind: rows for kind, rows in lists.items() if rows}
    return _encode({"tenants": names, **batch}), docs.texts, *feed.columns()


def _pack_unit(unit: Unit, lists: dict[str, Rows], docs: _Docs) -> None:
    tenant_id, entity = unit.key.tenant_id, unit.key.entity

    def put(kind: str, **row: object) -> None:
        row["tenant_id"] = tenant_id
        lists.setdefault(kind, []).append(row)

    for name in unit.disarm:
        put("disarm", entity=entity, name=name)
    for arm in unit.arm:
        put("arm", entity=entity, name=arm.name, shard=unit.key.shard, version=arm.version, due_at=arm.due_at)
    for inbox_id in unit.inbox_ids:
        put("inbox", inbox_id=inbox_id)
    if unit.epoch is not None:
        put("epochs", epoch=unit.epoch)
    if unit.explanation is not None:
        study_uid, offer_id, body = unit.explanation
        put("explanations", study_uid=study_uid, offer_id=offer_id, doc=docs.put(body))
    if unit.answer is not None:
        user_id, idem, digest, answer = unit.answer
        put("answers", user_id=user_id, idem=idem, digest=digest.hex(), doc=docs.put(answer))
    for message in unit.outbox:
        put("outbox", **_row(message))
    for job in unit.jobs:
        put("jobs", **_row(job))


def _row(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}


def _pack_entity(unit: Unit, lists: dict[str, Rows], docs: _Docs) -> None:
    tenant_id = unit.key.tenant_id

    def put(kind: str, row: dict[str, Any]) -> None:
        row["tenant_id"] = tenant_id
        lists.setdefault(kind, []).append(row)

    for event in unit.events:
        put("events", _row(event))
    for kind, patients in (("patients", unit.patients), ("corrections", unit.corrections)):
        for patient in patients:
            put(kind, _row(patient))
    for patient_id, into in unit.merges:
        put("merges", {"patient_id": patient_id, "survivor": into})
    for study in unit.studies:
        put("studies", {name: getattr(study, name) for name in _STUDY} | {"doc": docs.put(study.doc)})
    for write in unit.orders:
        order = write.order
        body = {name: getattr(order, name) for name in order.__slots__ if name != "patient"}
        row = {"site_id": order.site_id, "accession_number": order.accession_number, "study_uid": write.study_uid}
        put("orders", row | {"patient_id": order.patient.patient_id, "body": body, "cancelled": write.cancelled})
    for report in unit.reports:
        put("reports", _row(report))


def _fold(deltas: Iterable[tuple[str, ReaderDelta]]) -> Rows:
    """Return one row a reader: what several units of a batch make of her, in their order."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for tenant_id, delta in deltas:
        row = rows.setdefault(
            (tenant_id, delta.user_id),
            {
                "tenant_id": tenant_id,
                "user_id": delta.user_id,
                "load": 0,
                "state": None,
                "rev": None,
                "reading": None,
                "cleared": False,
                "stopped": [],
            },
        )
        row["load"] += delta.load
        if delta.state is not None:
            row["state"] = delta.state
        if delta.rev is not None:
            row["rev"] = delta.rev
        if delta.stopped is not None:
            row["stopped"].append(delta.stopped)
            if row["reading"] == delta.stopped:
                row["reading"], row["cleared"] = None, True
        if delta.reading is not None:
            row["reading"] = delta.reading
    return list(rows.values())


def _counters(units: Sequence[Unit]) -> dict[tuple[str, str], dict[str, int]]:
    """Return how the counters of each stream move, without those that stay as they are."""
    sums: dict[tuple[str, str], dict[str, int]] = {}
    for unit in units:
        for stream, delta in unit.counters.items():
            total = sums.setdefault((unit.key.tenant_id, stream), {})
            for name, n in delta.items():
                total[name] = total.get(name, 0) + n
    return {where: total for where, total in sums.items() if any(total.values())}


class _Feed:
    """The rows of the feed by column, numbered within their tenant and their stream."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str]] = []  # tenant and stream of each
        self._ids: list[str] = []
        self._types: list[str] = []
        self._docs: list[int | None] = []
        self._who: list[str | None] = []

    def say(self, unit: Unit, docs: _Docs) -> None:
        """Add what a unit says; streams that get the same object share its text."""
        tenant_id, last, doc = unit.key.tenant_id, None, 0
        for item in unit.feed:
            if last is not item.data:
                last, doc = item.data, docs.put(item.data)
            self._add(tenant_id, item.stream, item.id, item.type, doc, None)

    def add(self, tenant_id: str, stream: str, kind: str, who: str | None = None) -> None:
        """Add a row that the database fills."""
        self._add(tenant_id, stream, str(uuid7()), kind, None, who)

    def _add(  # noqa: PLR0913, PLR0917 - a row
        self, tenant_id: str, stream: str, event_id: str, kind: str, doc: int | None, who: str | None
    ) -> None:
        self._rows.append((tenant_id, stream))
        self._ids.append(event_id)
        self._types.append(kind)
        self._docs.append(doc)
        self._who.append(who)

    def columns(self) -> tuple[list[Any], ...]:
        """Return the arrays in the order of the function's parameters."""
        left, ahead = Counter(self._rows), Counter[str]()
        nth, back = [], []
        for place in self._rows:
            ahead[place[0]] += 1
            left[place] -= 1
            nth.append(ahead[place[0]])
            back.append(left[place])
        tenants, streams = [t for t, _ in self._rows], [s for _, s in self._rows]
        return tenants, streams, nth, back, self._ids, self._types, self._docs, self._who

    def streams(self, counters: dict[tuple[str, str], dict[str, int]]) -> Rows:
        """Return how far each stream goes on, in key order: two batches lock them in one order."""
        return [
            {"tenant_id": place[0], "stream": place[1], "n": n, "delta": counters.get(place)}
            for place, n in sorted(Counter(self._rows).items())
        ]

    def heads(self, names: Sequence[str]) -> Rows:
        """Return how far each tenant goes on."""
        rows = Counter(tenant_id for tenant_id, _ in self._rows)
        return [{"tenant_id": tenant_id, "n": rows[tenant_id]} for tenant_id in names]
