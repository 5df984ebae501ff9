"""What people and machines were told is true and stays true."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from actors.domain.words import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.checker.history import Attempt, History

_ON_THE_LIST_S = 5.0
_OWNS = frozenset({"accept", "next_case", "start_reading", "save_draft"})


def stored_studies_are_listed(history: History) -> Iterator[str]:
    """Whatever a sender was told is stored stands on the worklist 5 s after the last fault, open or ended."""
    healed = max((f.healed_at for f in history.faults), default=None)
    listed: dict[tuple[str, str], datetime] = {}
    for fed in history.feed:
        if fed.stream == f"tenant:{fed.tenant_id}" and (fed.data.get("row") or {}).get("images"):
            listed.setdefault((fed.tenant_id, fed.data["study_uid"]), fed.at)
    images: dict[tuple[str, str], dict[str, datetime]] = {}
    for stored in history.stored:
        images.setdefault((stored.tenant_id, stored.study_uid), {})[stored.sop_uid] = stored.at
    for place, taken in images.items():
        row = history.rows.get(place)
        if row is None or row.status == Status.ORDERED:
            yield f"{place[1]} was stored and is lost"
            continue
        if row.study.images < len(taken):
            yield f"{place[1]} shows {row.study.images} of {len(taken)} stored images"
        if not row.open and row.status not in {Status.FINAL, Status.CANCELLED}:
            yield f"{place[1]} is neither open nor ended, but {row.status}"
        since = max(min(taken.values()), healed or min(taken.values()))
        at = listed.get(place)
        if at is None or at > since + timedelta(seconds=_ON_THE_LIST_S):
            yield f"{place[1]} was stored at {min(taken.values())}, the last fault was over at {healed}, listed at {at}"


def an_idem_has_one_effect(history: History) -> Iterator[str]:
    """A key is committed once, whoever repeats it gets the same answer, and the answer is kept."""
    commits: dict[tuple[str, str | None, str], set[int]] = {}
    for e in history.entries:
        if e.idem is not None:
            commits.setdefault((e.tenant_id, e.by, e.idem), set()).add(e.commit)
    yield from (f"key {key[2]} of {key[1]} took effect {len(n)} times" for key, n in commits.items() if len(n) > 1)
    for key, told in _told(history).items():
        first, kept = _plain(told[0].answer), history.answers.get(key)
        if any(_plain(a.answer) != first for a in told):
            yield f"key {key[2]} of {key[1]} was answered in two ways"
        if kept is None:
            yield f"key {key[2]} of {key[1]} was told to have taken effect, and is forgotten"
        elif _plain(kept) != first:
            yield f"key {key[2]} of {key[1]} was answered otherwise than is kept"


def _told(history: History) -> dict[tuple[str, str, str], list[Attempt]]:
    told: dict[tuple[str, str, str], list[Attempt]] = {}
    for a in history.attempts:
        if a.ok:
            told.setdefault((a.tenant_id, a.user_id, a.idem), []).append(a)
    return told


def _plain(answer: dict[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (answer or {}).items() if name != "ok"}


def nothing_happens_after_its_deadline(history: History) -> Iterator[str]:
    """A command is committed before its last deadline, or never."""
    until: dict[tuple[str, str | None, str | None], datetime] = {}
    for a in history.attempts:
        key = (a.tenant_id, a.user_id, a.idem)
        until[key] = max(a.until, until.get(key, a.until))
    for e in history.entries:
        last = until.get((e.tenant_id, e.by, e.idem))
        if last is not None and e.committed_at > last + timedelta(seconds=history.slack_s):
            yield f"{e.type} of {e.entity} was committed at {e.committed_at}, its deadline was {last}"


def answers_are_true(history: History) -> Iterator[str]:
    """Who was told that she has, reads or signed a study at a version did at that version."""
    for a in history.attempts:
        if not a.ok or a.answer is None or a.command not in {*_OWNS, "sign"}:
            continue
        uid = a.study_uid or (a.answer.get("row") or {}).get("study_uid", "")
        past = history.studies.get((a.tenant_id, uid), [])
        at = next((after.study for after in past if after.entry.version == a.answer["version"]), None)
        if at is None:
            yield f"{a.user_id} was told of version {a.answer['version']} of {uid}, which is not in the journal"
        elif a.command == "sign" and a.user_id not in {at.signed_by, at.assigned_to}:
            yield f"{a.user_id} was told that she signed {uid}, signed by {at.signed_by}"
        elif a.command in _OWNS and at.assigned_to != a.user_id:
            yield f"{a.user_id} was told that she has {uid}, which {at.assigned_to} has"
