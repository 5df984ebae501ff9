"""Commands over the socket: role, view, form, then the entity's answer or its refusal."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain import commands as told
from actors.domain.errors import BadPayload, NotFound
from actors.domain.identity import radiologist_key, study_key, tenant_key
from actors.domain.permissions import check
from actors.domain.words import SignKind
from gateway import calls
from gateway.problems import bad_payload
from storage import feed, studies_read

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.domain.commands import Command
    from actors.domain.identity import Key, Principal
    from gateway.deps import Deps

_CALL = {"pause_clock": "clock", "resume_clock": "clock"}  # the others are named like their permission

_VIEW_S, _LATE_S = 5.0, 2.0

_TOLD: dict[type[calls.Command], Callable[[Any], Command]] = {
    calls.Accept: lambda a: told.Accept(a.offer_id),
    calls.Decline: lambda a: told.Decline(a.offer_id, a.reason, a.note),
    calls.StartReading: lambda a: told.StartReading(a.tab),
    calls.Release: lambda a: told.Release(a.reason),
    calls.SaveDraft: lambda a: told.SaveDraft(a.base_version, a.sections),
    calls.Sign: lambda a: told.Sign(a.kind, a.report_version, a.version, a.confirm, a.text),
    calls.Settle: lambda a: told.Settle(a.version, a.outcome, a.note),
    calls.NextCase: lambda a: told.NextCase(a.study_uid),
    calls.SetPresence: lambda a: told.SetPresence(a.state, a.study_uid),
    calls.Assign: lambda a: told.AssignStudy(a.study_uid, a.radiologist_id, a.version, a.reason, a.override),
    calls.PauseClock: lambda a: told.PauseClock(a.version, a.reason),
    calls.ResumeClock: lambda a: told.ResumeClock(a.version, a.reason),
}


def parse(kind: type[Any], payload: object) -> Any:
    """Return the struct of a payload.

    Raises:
        BadPayload: naming the field.
    """
    if not isinstance(payload, dict):
        raise BadPayload("Send one object.", {"field": ""})
    try:
        if b"\\u0000" in msgspec.json.encode(payload):
            raise BadPayload("Text may not hold the character NUL.", {"field": ""})
        return msgspec.convert(payload, kind)
    except UnicodeEncodeError:
        raise BadPayload("Text must be Unicode without lone surrogates.", {"field": ""}) from None
    except msgspec.ValidationError as exc:
        raise bad_payload(exc, kind) from None


def _key(name: str, who: Principal, study_uid: str | None) -> Key:
    if name in {"next_case", "assign"}:
        return tenant_key(who.tenant_id)
    if name == "set_presence":
        return radiologist_key(who.tenant_id, who.user_id)
    return study_key(who.tenant_id, study_uid or "")


async def _seen(deps: Deps, who: Principal, name: str, payload: dict[str, Any]) -> None:
    """Refuse what names a study or a person outside the view, whatever else is wrong.

    Raises:
        NotFound: existing or not.
    """
    study_uid, reader = payload.get("study_uid"), payload.get("radiologist_id") if name == "assign" else None
    if not isinstance(study_uid, str) or (name == "next_case" and not study_uid):
        return
    async with asyncio.timeout(_VIEW_S), deps.app_db.view(who) as conn:
        if await studies_read.seen(conn, who, study_uid) is None:
            raise NotFound
        if isinstance(reader, str) and not await feed.member(conn, who.tenant_id, reader):
            raise NotFound


async def run(deps: Deps, who: Principal, name: str, payload: object) -> dict[str, Any]:
    """Return the answer of a command.

    Raises:
        ReadingRoomError: the refusal.
    """
    received = time.time()
    fields = payload if isinstance(payload, dict) else {}
    addendum = name == "sign" and fields.get("kind") == SignKind.ADDENDUM
    check(who, "addenda" if addendum else _CALL.get(name, name))
    await _seen(deps, who, name, fields)
    asked = parse(calls.COMMANDS[name], payload)
    envelope = told.Envelope(_TOLD[type(asked)](asked), who, asked.idem, received + asked.deadline_ms / 1000)
    async with asyncio.timeout(asked.deadline_ms / 1000 + _LATE_S):  # beyond it the outcome is asked for by idem
        answer = await deps.refs.ask(_key(name, who, fields.get("study_uid")), envelope)
    return {"ok": True, **answer}
