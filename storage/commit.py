"""Packs what commands change and commits a batch of it in one round trip."""

from __future__ import annotations

import re
from time import time
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
from uuid_utils import uuid7

from actors.domain.identity import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from actors.domain.unit import ReaderDelta, Unit

Rows = list[dict[str, Any]]

COMMIT = "SELECT rr.commit_batch($1::jsonb)"

_FENCED = "23505"
_DEPOSED = "RR001"
_AGAIN = frozenset({"40001", "40P01"})  # serialization, deadlock: nothing happened
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # a real \u0000, not an escaped backslash before u0000


class Fenced(Exception):
    """Another owner wrote this version first, or this command has its answer already."""


class Deposed(Exception):
    """Another decider has taken over the tenant."""


class Late(Exception):
    """A command's deadline has passed; nothing of the batch happened."""


class Refused(Exception):
    """The database refused the batch; nothing of it happened."""

    @property
    def for_good(self) -> bool:
        """Whether it refuses what was in it (SQLSTATE classes 21, 22, 23), and would again."""
        return str(self).startswith(("21", "22", "23"))


class Lost(Exception):
    """The connection broke during the commit; it may or may not have happened."""


class Away(Exception):
    """There is no connection; nothing was sent."""


def _encode(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return _NUL.sub(r"\1", text) if "\\u0000" in text else text  # jsonb holds no NUL


def _fold(deltas: Iterable[tuple[str, ReaderDelta]]) -> Rows:
    """Return one row a reader: what several units of a batch make of her, in their order."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for tenant_id, delta in deltas:
        row = rows.setdefault(
            (tenant_id, delta.user_id),
            {
                "tenant_id": tenant_id,
                "user_id": delta.user_id,
                "id": str(uuid7()),
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


def _feed(units: Sequence[Unit]) -> Rows:
    """Return one row an event and content; the streams that get the same content share it."""
    rows: Rows = []
    for unit in units:
        for item in unit.feed:
            last = rows[-1] if rows else None
            if last is not None and last["id"] == item.id and last["data"] == item.data:
                last["streams"].append(item.stream)
            else:
                rows.append(
                    {
                        "tenant_id": unit.key.tenant_id,
                        "id": item.id,
                        "type": item.type,
                        "streams": [item.stream],
                        "data": item.data,
                    }
                )
    return rows


def _counters(units: Sequence[Unit]) -> Rows:
    sums: dict[tuple[str, str], dict[str, int]] = {}
    for unit in units:
        for stream, delta in unit.counters.items():
            total = sums.setdefault((unit.key.tenant_id, stream), {})
            for name, n in delta.items():
                total[name] = total.get(name, 0) + n
    return [
        {"tenant_id": tenant_id, "stream": stream, "id": str(uuid7()), "delta": total}
        for (tenant_id, stream), total in sums.items()
        if any(total.values())
    ]


def pack(units: Sequence[Unit]) -> str:
    """Return the JSON that ``rr.commit_batch`` takes; units of a batch stand in key order."""
    units = sorted(units, key=lambda u: (u.key.tenant_id, u.key.entity))
    lists: dict[str, Rows] = {}

    def put(kind: str, unit: Unit, **row: object) -> None:
        lists.setdefault(kind, []).append({"tenant_id": unit.key.tenant_id, **row})

    for unit in units:
        _pack_study(unit, put)
        entity = unit.key.entity
        for name in unit.disarm:
            put("disarm", unit, entity=entity, name=name)
        for arm in unit.arm:
            put("arm", unit, entity=entity, name=arm.name, shard=unit.key.shard, version=arm.version, due_at=arm.due_at)
        for inbox_id in unit.inbox_ids:
            put("inbox", unit, inbox_id=inbox_id)
        if unit.epoch is not None:
            put("epochs", unit, epoch=unit.epoch)
        if unit.explanation is not None:
            study_uid, offer_id, body = unit.explanation
            put("explanations", unit, study_uid=study_uid, offer_id=offer_id, body=body)
        if unit.answer is not None:
            user_id, idem, digest, answer = unit.answer
            put("answers", unit, user_id=user_id, idem=idem, digest=digest.hex(), answer=answer)
    lists["feed"] = _feed(units)
    lists["counters"] = _counters(units)
    lists["readers"] = _fold((u.key.tenant_id, delta) for u in units for delta in u.readers)
    batch = {kind: rows for kind, rows in lists.items() if rows}
    return _encode({"tenants": sorted({u.key.tenant_id for u in units}), **batch})


def _pack_study(unit: Unit, put: Any) -> None:
    for event in unit.events:
        put(
            "events",
            unit,
            entity=event.entity,
            version=event.version,
            type=event.type,
            body=event.body,
            by=event.by,
            idem=event.idem,
            at=event.at,
        )
    for kind, patients in (("patients", unit.patients), ("corrections", unit.corrections)):
        for patient in patients:
            put(kind, unit, **{name: getattr(patient, name) for name in patient.__slots__})
    for patient_id, into in unit.merges:
        put("merges", unit, patient_id=patient_id, survivor=into)
    for row in unit.studies:
        put("studies", unit, **{name: getattr(row, name) for name in row.__slots__})
    for write in unit.orders:
        order = write.order
        body = {name: getattr(order, name) for name in order.__slots__ if name != "patient"}
        put(
            "orders",
            unit,
            site_id=order.site_id,
            accession_number=order.accession_number,
            study_uid=write.study_uid,
            patient_id=order.patient.patient_id,
            body=body,
            cancelled=write.cancelled,
        )
    for report in unit.reports:
        put("reports", unit, **{name: getattr(report, name) for name in report.__slots__})
    for message in unit.outbox:
        put("outbox", unit, **{name: getattr(message, name) for name in message.__slots__})
    for job in unit.jobs:
        put("jobs", unit, **{name: getattr(job, name) for name in job.__slots__})


class Lane:
    """One connection of ``rr_host`` that commits batches, one after the other."""

    def __init__(self, dsn: str, *, timeout_s: float = 10) -> None:
        self._dsn, self._timeout_s = dsn, timeout_s
        self._conn: asyncpg.Connection[Any] | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            Away: the database does not answer.
        """
        if self._conn is None or self._conn.is_closed():
            try:
                self._conn = await asyncpg.connect(self._dsn, timeout=3)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
                raise Away(type(exc).__name__) from exc

    async def close(self) -> None:
        """Disconnect."""
        if self._conn is not None:
            await self._conn.close(timeout=2)
            self._conn = None

    async def commit(self, units: Sequence[Unit]) -> dict[str, int]:
        """Commit them all or none; return the feed position of each tenant whose feed grew.

        Raises:
            Fenced: one of them is stale, or repeats a command that has its answer.
            Deposed: one of them carries the epoch of a former decider.
            Late: one of them is past its deadline: a host that was frozen after it had decided, say.
            Refused: nothing happened.
            Lost: the outcome is unknown.
            Away: nothing was sent.
        """
        document = pack(units)
        await self.open()
        assert self._conn is not None  # noqa: S101 - open() either connects or raises
        now = time()  # after connecting, which may take seconds, and right before it becomes true
        if any(unit.deadline is not None and now > unit.deadline for unit in units):
            raise Late
        try:
            grown = await self._conn.fetchval(COMMIT, document, timeout=self._timeout_s)
        except asyncpg.PostgresError as exc:
            raise self._translate(exc) from exc
        except (OSError, TimeoutError, asyncpg.InterfaceError) as exc:
            self._forget()
            raise Lost(type(exc).__name__) from exc
        positions: dict[str, int] = msgspec.json.decode(grown)
        return positions

    def _forget(self) -> None:
        if self._conn is not None:
            self._conn.terminate()
            self._conn = None

    def _translate(self, exc: asyncpg.PostgresError) -> Exception:
        state = exc.sqlstate or ""
        if state == _FENCED:
            return Fenced(exc.constraint_name or "")
        if state == _DEPOSED:
            return Deposed()
        if state in _AGAIN or not state.startswith(("57", "08")):
            return Refused(f"{state} {type(exc).__name__}")
        self._forget()  # the server goes down, or cut the connection: it may have committed first
        return Lost(state)


def entities(unit: Unit) -> set[Key]:
    """Return every entity whose journal the unit appends to."""
    return {Key.of(unit.key.tenant_id, event.entity) for event in unit.events} | {unit.key}
