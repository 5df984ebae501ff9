"""The people who read for a group, as the decider knows them, and what they are at an instant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actors.domain.assignment import case
from actors.domain.assignment.case import ALWAYS, Reader
from actors.domain.instant import instant
from actors.domain.profile import Profile
from actors.domain.roster import Kind, standing
from actors.domain.words import Presence, Role

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from actors.domain.profile import Term
    from actors.domain.roster import Shift, Span, Standing


@dataclass(frozen=True, slots=True)
class Member:
    """A reader of a group: profile, hours, and the presence that she or her sockets say."""

    user_id: str
    name: str
    role: Role
    state: Presence
    profile: Profile = field(default_factory=Profile)
    shifts: Sequence[Shift] = ()
    absences: Sequence[Span] = ()

    def standing(self, now: datetime) -> Standing:
        """Return where she stands by the roster."""
        return standing(self.shifts, self.absences, now)

    def shown(self, capacity: int, now: datetime) -> str:
        """Return what the feed tells of her beside presence and load; another text is to be told."""
        ends = [s.ends_at for s in self.shifts if s.kind is Kind.DUTY and s.holds(now)]
        away = any(a.holds(now) for a in self.absences)
        return f"{self.profile.capacity or capacity} {instant(max(ends)) if ends and not away else ''} {self.name}"


def spans(terms: Sequence[Term], where: ZoneInfo) -> dict[str, tuple[case.Span, ...]]:
    """Return when each of them holds, by the days of a time zone."""
    held: dict[str, tuple[case.Span, ...]] = {}
    for term in terms:
        begins, ends = term.span(where)
        span = case.Span(begins.timestamp() if begins else -ALWAYS, ends.timestamp() if ends else ALWAYS)
        held[term.of] = (*held.get(term.of, ()), span)
    return held


def _hours(
    member: Member, stands: Standing, now: datetime
) -> tuple[tuple[case.Span, ...] | None, tuple[case.Span, ...]]:
    """Return the duty that runs now, None when she works without a roster, and the breaks of it that are not over."""
    if stands.ends_at is None:
        return (None if stands.on_shift else ()), ()
    rest = (b for s in member.shifts if s.kind is Kind.DUTY for b in s.breaks if b.ends_at > now)
    breaks = tuple(case.Span(b.starts_at.timestamp(), b.ends_at.timestamp()) for b in rest)
    return (case.Span(now.timestamp(), stands.ends_at.timestamp()),), breaks


def reader(member: Member, capacity: int, where: ZoneInfo, now: datetime, presence: Presence) -> Reader:
    """Return the reader that the rules of assignment weigh, without her load; ``capacity`` is the policy's."""
    shifts, breaks = _hours(member, member.standing(now), now)
    profile = member.profile
    return Reader(
        member.user_id,
        member.name,
        presence,
        0,
        profile.capacity or capacity,
        spans(profile.licences, where),
        spans(profile.privileges, where),
        profile.subspecialties,
        profile.modalities,
        frozenset(f"{c.about.value}:{c.of}" for c in profile.conflicts),
        shifts,
        breaks,
        may_sign_final=member.role is Role.RADIOLOGIST,
    )
