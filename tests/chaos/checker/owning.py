"""Who has a study: one owner at a time, one winner an offer, one decider at a time, and nobody over her cap."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from actors.domain.second import SecondState
from actors.domain.study import LIVE
from actors.domain.words import Priority, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.checker.history import After, History

_SETTLED = frozenset({SecondState.AGREED, SecondState.DECIDED})
_GIVES = frozenset({"Offered", "Assigned"})
_OWNERS = frozenset({"ReadingStarted", "DraftSaved", "PrelimSigned", "SecondSigned"})


def versions_have_no_gap(history: History) -> Iterator[str]:
    """Every journal counts 1, 2, 3 and so on, and never commits a version before the one it follows."""
    known: dict[tuple[str, str], tuple[int, int]] = {}
    for e in sorted(history.entries, key=lambda e: (e.tenant_id, e.entity, e.version)):
        version, commit = known.get((e.tenant_id, e.entity), (0, e.commit))
        if e.version != version + 1:
            yield f"{e.entity} goes from version {version} to {e.version}"
        if e.commit < commit:
            yield f"{e.entity} committed version {e.version} before {version}"
        known[e.tenant_id, e.entity] = (e.version, e.commit)


def owners_are_disjoint(history: History) -> Iterator[str]:
    """A study is offered only when nobody has it, and only who has it does what its owner may do."""
    for (_, uid), past in history.owners():
        for after in past:
            wrong = _wrong(after)
            if wrong:
                yield f"{uid} version {after.entry.version}: {after.entry.type} {wrong}"


def _wrong(after: After) -> str:  # noqa: C901, PLR0911 - one line an event
    entry, before = after.entry, after.before
    body, offer = entry.body, before.offer
    who = body.get("radiologist_id")
    if entry.type in {*_GIVES, *_OWNERS, "Accepted"} and who in before.barred:
        return f"by or to {who}, who has read it before"
    match entry.type:
        case "Offered":
            if before.status is not Status.UNREAD or before.reader is not None:
                return f"while {before.reader} has it"
            return f"to {who}, who is excluded" if who in before.excluded else ""
        case "Assigned":
            if body["how"] == "next_case" and (before.status is not Status.UNREAD or who in before.excluded):
                return f"as the next case of {who}, but it is {before.status}"
            return "" if before.status in {Status.UNREAD, *LIVE} else f"when it is {before.status}"
        case "Accepted" | "Declined" | "OfferExpired":
            if offer is None or (offer.offer_id, offer.radiologist_id) != (body["offer_id"], who):
                return f"of an offer that is not open, by {who}"
            late = entry.at > offer.expires_at if entry.type == "Accepted" else False
            early = entry.at < offer.expires_at if entry.type == "OfferExpired" else False
            stranger = entry.type != "OfferExpired" and entry.by != who
            return "after it expired" if late else "before its time" if early else "by another" if stranger else ""
        case "Released":
            return (
                "" if before.reader == who else f"of {who}, held by {before.reader}"
            )  # an open offer is taken back too
        case kind if kind in _OWNERS:
            return "" if before.assigned_to == who == entry.by else f"by {who}, held by {before.assigned_to}"
        case "FinalSigned":
            second = before.second
            if second is not None and second.state in _SETTLED and who in {r.radiologist_id for r in second.readings}:
                return ""  # what two readers or a manager have said of their readings stands under the reader's name
            mine = before.assigned_to == who or before.cosign
            return (
                ""
                if mine and who not in before.barred and entry.by == who
                else f"by {who}, held by {before.assigned_to}"
            )
    return ""


def an_offer_is_taken_once(history: History) -> Iterator[str]:
    """An offer is committed once and accepted at most once, and at most one person is told that she has it."""
    given: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    for e in history.entries:
        if e.type in _GIVES:
            given[e.body["offer_id"]] += 1
        elif e.type == "Accepted":
            taken[e.body["offer_id"]] += 1
    for what, counted in (("committed", given), ("accepted", taken)):
        yield from (f"offer {offer_id} was {what} {n} times" for offer_id, n in counted.items() if n > 1)
    winners: dict[str, set[str]] = {}
    for a in history.attempts:
        if a.command == "accept" and a.ok:
            winners.setdefault(a.study_uid + "/" + str((a.answer or {}).get("version")), set()).add(a.user_id)
    yield from (f"{where} was told to {sorted(who)}" for where, who in winners.items() if len(who) > 1)


def deciders_follow_each_other(history: History) -> Iterator[str]:
    """Once a decider has given a study away, none before it gives any: a deposed one's reservations are void."""
    for tenant_id, commits in history.commits.items():
        latest = 0
        for after in (after for batch in commits for after in batch if after.entry.type in _GIVES):
            epoch = after.entry.body["epoch"]
            if epoch < latest:
                yield f"{after.study.study_uid} was given by decider {epoch} of {tenant_id} after {latest} had decided"
            latest = max(latest, epoch)


def caps_hold(history: History) -> Iterator[str]:
    """Nobody is given more than her cap, and one more only for a STAT that says so; a manager may pass it."""
    for tenant_id, commits in history.commits.items():
        held: dict[str, tuple[str, bool, bool]] = {}  # study → reader, by a manager, over the cap
        for batch in commits:
            given: list[After] = []
            for after in batch:
                study, entry = after.study, after.entry
                manager, over = held.get(study.study_uid, ("", False, False))[1:]
                if entry.type in _GIVES:
                    manager, over = entry.body.get("how") == "manager", entry.body["over_cap"]
                    if not manager:
                        given.append(after)
                    if over and not manager and after.before.priority is not Priority.STAT:
                        yield f"{study.study_uid} was given over the cap, and is {after.before.priority}"
                held.pop(study.study_uid, None)
                if study.load_of:
                    held[study.study_uid] = (study.load_of, manager, over)
            for who in {after.entry.body["radiologist_id"] for after in given}:
                mine = [(manager, over) for reader, manager, over in held.values() if reader == who]
                counted = sum(not manager for manager, _ in mine)
                cap = _cap(history, tenant_id, who, given[0].entry.at)
                if cap is not None and counted > cap + any(over for _, over in mine):
                    yield f"{who} has {counted} of {cap} after {given[0].study.study_uid}"


def _cap(history: History, tenant_id: str, who: str, at: datetime) -> int | None:
    """Return the largest cap that the decider may have gone by: one that was in force a moment ago, or in a fault."""
    since = at - timedelta(seconds=history.stale_s)
    for fault in sorted(history.faults, key=lambda f: f.at, reverse=True):
        if fault.at < since <= fault.healed_at + timedelta(seconds=history.stale_s):
            since = fault.at
    found: list[int] = []
    for mine in (who, None):
        ours = sorted(
            (c for c in history.caps if (c.tenant_id, c.radiologist_id) == (tenant_id, mine)), key=lambda c: c.at
        )
        before = [c.cap for c in ours if c.at <= since][-1:]
        found += before + [c.cap for c in ours if since < c.at <= at]
        if found:
            break
    return max(found, default=None)
