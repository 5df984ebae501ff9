"""The people who read for a group, as the decider knows them, and what they are at an instant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actors.domain.assignment import Reader
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


def valid(terms: Sequence[Term], now: datetime, where: ZoneInfo) -> frozenset[str]:
    """Return what holds at an instant, by the days of a time zone."""
    spans = ((term.of, *term.span(where)) for term in terms)
    return frozenset(of for of, begins, ends in spans if (not begins or begins <= now) and (not ends or now < ends))


def reader(member: Member, capacity: int, where: ZoneInfo, now: datetime, presence: Presence) -> Reader:
    """Return the reader that the rules of assignment weigh, without her load; ``capacity`` is the policy's."""
    stands = member.standing(now)
    profile = member.profile
    return Reader(
        member.user_id,
        member.name,
        presence,
        0,
        profile.capacity or capacity,
        valid(profile.licences, now, where),
        frozenset(profile.subspecialties),
        frozenset(profile.modalities),
        on_shift=stands.on_shift,
        shift_ends_at=stands.ends_at,
        may_sign_final=member.role is Role.RADIOLOGIST,
    )
