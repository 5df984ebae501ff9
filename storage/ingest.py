"""Images as rows: what ingest writes, before a sender hears "success"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from actors.domain.identity import apart_study_uid, study_key
from actors.domain.patient import patient_id
from storage.faults import AWAY
from storage.pool import literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.objects import Stored
    from storage.pool import Connection


class Away(Exception):
    """The database is away; whether the last group was stored is unknown, and sending it again is safe."""


class NotStorable(Exception):
    """The database refuses this image's rows; none of the group was stored."""


class Going(NotStorable):
    """The image's study is just being erased; none of the group was stored, and this one may be sent again later."""

    sqlstate = "RR002"


@dataclass(frozen=True, slots=True)
class Person:
    """Demographics as an image carries them; ``birth_date`` is ISO or empty."""

    issuer: str
    issuer_sent: bool  # else it is the site's
    mrn: str
    name: str
    birth_date: str
    sex: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """One instance on disk, ready for its rows; ``header`` is DICOM JSON (PS3.18 F.2)."""

    tenant_id: str
    site_id: str
    study_uid: str  # as in the header
    series_uid: str
    sop_uid: str
    sop_class: str
    transfer_syntax: str
    stored: Stored
    header: msgspec.Raw
    person: Person
    accession_number: str
    study_date: str
    study_time: str
    modality: str
    study_modality: str  # empty for what is made from images
    body_part: str
    laterality: str
    procedure: str
    priority: str
    setting: str = ""  # emergency | inpatient | outpatient, as far as the header tells
    phantom: bool = False  # of a quality control subject: nobody's to read
    trace: str = ""  # W3C traceparent


class Outcome(msgspec.Struct, frozen=True):
    """What became of one instance; ``study_uid`` is ours."""

    n: int
    outcome: str  # stored | duplicate | conflict
    study_uid: str
    shard: int


_OUTCOMES = msgspec.json.Decoder(list[Outcome])


def _place(arrival: Arrival, study_uid: str, *, apart: bool) -> dict[str, Any]:
    who = arrival.person
    return {
        "study_uid": study_uid,
        "shard": study_key(arrival.tenant_id, study_uid).shard,
        "patient_id": patient_id(arrival.tenant_id, who.issuer, who.mrn, study_uid),
        "apart": apart,
    }


def _places(arrival: Arrival) -> list[dict[str, Any]]:
    """Return where the image may stand: its own UID, apart for its site, apart for its patient."""
    who, tenant, site = arrival.person, arrival.tenant_id, arrival.site_id
    patient = f"{site}\x1f{who.issuer}\x1f{who.mrn}\x1f{who.birth_date}\x1f{who.sex}"
    return [
        _place(arrival, arrival.study_uid, apart=False),
        _place(arrival, apart_study_uid(tenant, site, arrival.study_uid), apart=True),
        _place(arrival, apart_study_uid(tenant, patient, arrival.study_uid), apart=True),
    ]


def _item(n: int, arrival: Arrival) -> dict[str, Any]:
    who, stored = arrival.person, arrival.stored
    return {
        "n": n,
        "tenant_id": arrival.tenant_id,
        "site_id": arrival.site_id,
        "places": _places(arrival),
        "header_study_uid": arrival.study_uid,
        "series_uid": arrival.series_uid,
        "sop_uid": arrival.sop_uid,
        "sop_class": arrival.sop_class,
        "transfer_syntax": arrival.transfer_syntax,
        "path": stored.path,
        "size": stored.size,
        "sha256": stored.sha256.hex(),
        "header": arrival.header,
        "patient": {
            "patient_id": patient_id(arrival.tenant_id, who.issuer, who.mrn),
            "issuer": who.issuer, "mrn": who.mrn, "name": who.name, "birth_date": who.birth_date, "sex": who.sex,
        },
        "accession_number": arrival.accession_number,
        "study_date": arrival.study_date,
        "study_time": arrival.study_time,
        "modality": arrival.modality,
        "body": {
            "site_id": arrival.site_id,
            "accession_number": arrival.accession_number,
            "modality": arrival.study_modality,
            "body_part": arrival.body_part,
            "laterality": arrival.laterality,
            "procedure": arrival.procedure,
            "priority": arrival.priority,
            **({"setting": arrival.setting} if arrival.setting else {}),
            **({"phantom": True} if arrival.phantom else {}),
        }
        | ({"trace": arrival.trace} if arrival.trace else {}),
    }  # fmt: skip


_STORE = "SELECT rr.store_images($1, $2::jsonb)"
_TRIES = 3


async def _committed(conn: Connection, scope: str, items: str, tried: int = 1) -> str:
    try:
        answer: str = await conn.fetchval(_STORE, scope, items)
    except asyncpg.TransactionRollbackError as exc:  # deadlock: nothing happened
        if tried == _TRIES:
            raise Away(type(exc).__name__) from exc
        return await _committed(conn, scope, items, tried + 1)
    except AWAY as exc:
        raise Away(type(exc).__name__) from exc
    except asyncpg.PostgresError as exc:
        if exc.sqlstate == Going.sqlstate:
            raise Going(type(exc).__name__) from exc
        raise NotStorable(type(exc).__name__) from exc
    return answer


async def store_images(conn: Connection, arrivals: Sequence[Arrival]) -> list[Outcome]:
    """Write the rows and inbox entries of a group of images in one transaction, one outcome for each.

    Raises:
        Away: no connection, or it broke; or deadlock.
        NotStorable: the database refuses something about the group.
    """
    items = msgspec.json.encode([_item(n, arrival) for n, arrival in enumerate(arrivals)]).decode()
    scope = literal(sorted({arrival.tenant_id for arrival in arrivals}))
    answer = await _committed(conn, scope, items)
    return sorted(_OUTCOMES.decode(answer), key=lambda outcome: outcome.n)
