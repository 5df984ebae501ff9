"""Images as rows: what ingest writes, before a sender hears "success"."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from actors.domain.identity import apart_study_uid, study_key
from actors.domain.patient import patient_id
from storage.alike import Alike
from storage.faults import AWAY
from storage.pool import literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.alike import DataSet
    from storage.line import Line
    from storage.objects import Stored
    from storage.pool import Connection


class Away(Exception):
    """The database is away; whether the last group was stored is unknown, and sending it again is safe."""


class NotStorable(Exception):
    """The database refuses this image's rows; none of the group was stored."""


class Going(NotStorable):
    """The image's study is just being erased; none of the group was stored, and this one may be sent again later."""

    sqlstate = "RR002"


class _NotWhole(NotStorable):
    """The image that another one is alike is not there, as its study was erased; none of the group was stored."""

    sqlstate = "RR003"


@dataclass(frozen=True, slots=True)
class Person:
    """Demographics as an image carries them; ``birth_date`` is ISO or empty."""

    issuer: str  # the site's when the image names none
    mrn: str
    name: str
    birth_date: str
    sex: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """One instance on disk, ready for its rows; ``header`` is DICOM JSON (PS3.18 F.2), not to be changed any more."""

    tenant_id: str
    site_id: str
    study_uid: str  # as in the header
    series_uid: str
    sop_uid: str
    sop_class: str
    transfer_syntax: str
    stored: Stored
    header: DataSet
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


def _place(tenant_id: str, study_uid: str, who: Person, *, apart: bool) -> dict[str, Any]:
    return {
        "study_uid": study_uid,
        "shard": study_key(tenant_id, study_uid).shard,
        "patient_id": patient_id(tenant_id, who.issuer, who.mrn, study_uid),
        "apart": apart,
    }


@lru_cache(maxsize=256)
def _whose(tenant_id: str, site_id: str, study_uid: str, who: Person) -> dict[str, Any]:
    """Return where images of a study may stand: its own UID, apart for its site, apart for its patient; and who she is."""
    patient = f"{site_id}\x1f{who.issuer}\x1f{who.mrn}\x1f{who.birth_date}\x1f{who.sex}"
    uids = [study_uid, *(apart_study_uid(tenant_id, owner, study_uid) for owner in (site_id, patient))]
    places = [_place(tenant_id, uid, who, apart=uid != study_uid) for uid in uids]
    demographics = {
        "patient_id": patient_id(tenant_id, who.issuer, who.mrn),
        "issuer": who.issuer, "mrn": who.mrn, "name": who.name, "birth_date": who.birth_date, "sex": who.sex,
    }  # fmt: skip
    return {
        "tenant_id": tenant_id,
        "site_id": site_id,
        "header_study_uid": study_uid,
        "shard": places[0]["shard"],
        "places": msgspec.Raw(msgspec.json.encode(places)),
        "patient": msgspec.Raw(msgspec.json.encode(demographics)),
    }


def _item(n: int, arrival: Arrival) -> dict[str, Any]:
    stored = arrival.stored
    header, alike = _alike.own(arrival)
    return _whose(arrival.tenant_id, arrival.site_id, arrival.study_uid, arrival.person) | {
        "n": n,
        "series_uid": arrival.series_uid,
        "sop_uid": arrival.sop_uid,
        "sop_class": arrival.sop_class,
        "transfer_syntax": arrival.transfer_syntax,
        "path": stored.path,
        "size": stored.size,
        "sha256": _bytea(stored.sha256),
        "header": header,
        **({"alike": alike.sop_uid, "alike_sha256": _bytea(alike.sha256)} if alike else {}),
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
            **({"trace": arrival.trace} if arrival.trace else {}),
        },
    }


def _bytea(raw: bytes) -> str:
    return f"\\x{raw.hex()}"


def _packed(arrivals: Sequence[Arrival]) -> tuple[str, list[int]]:
    """Return what the database is given, and the numbers of the images whose header it is given whole."""
    seen: set[tuple[str, str]] = set()
    items = []
    for n, arrival in enumerate(arrivals):
        named = arrival.tenant_id, arrival.sop_uid
        items.append(_item(n, arrival) | {"again": named in seen})  # an earlier one of the group decides
        seen.add(named)
    return msgspec.json.encode(items).decode(), [item["n"] for item in items if "alike" not in item]


_STORE = "SELECT rr.store_images($1, $2::jsonb)"
_TRIES = 3
_alike = Alike()


async def _committed(conn: Connection | Line, scope: str, items: str, tried: int = 1) -> str:
    try:
        answer = await conn.fetchval(_STORE, scope, items)
    except asyncpg.TransactionRollbackError as exc:  # deadlock: nothing happened
        if tried == _TRIES:
            raise Away(type(exc).__name__) from exc
        return await _committed(conn, scope, items, tried + 1)
    except AWAY as exc:
        raise Away(type(exc).__name__) from exc
    except asyncpg.PostgresError as exc:
        named = next((each for each in (Going, _NotWhole) if each.sqlstate == exc.sqlstate), NotStorable)
        raise named(type(exc).__name__) from exc
    return str(answer)


async def store_images(conn: Connection | Line, arrivals: Sequence[Arrival]) -> list[Outcome]:
    """Write the rows and inbox entries of a group of images in one transaction, one outcome for each.

    Raises:
        Away: no connection, or it broke; or deadlock.
        NotStorable: the database refuses something about the group.
    """
    scope = literal(sorted({arrival.tenant_id for arrival in arrivals}))
    items, whole = _packed(arrivals)
    try:
        answer = await _committed(conn, scope, items)
    except _NotWhole:
        _alike.forget(arrivals)
        items, whole = _packed(arrivals)
        answer = await _committed(conn, scope, items)
    outcomes = sorted(_OUTCOMES.decode(answer), key=lambda outcome: outcome.n)
    for n in whole:
        if outcomes[n].outcome == "stored":
            _alike.learn(arrivals[n])
    return outcomes
