"""Studies that are read by a second person, in each state of that: Eva first and Ada after her, or Sam and then Ada."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from actors.domain import commands as c
from actors.domain.identity import Principal
from actors.domain.policy import policy
from actors.domain.second import Outcome
from actors.domain.words import Role, SignKind
from tests.domain import pairs
from tests.domain.story import ADA, SAM, Story

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.domain.study import Study

UTC = ZoneInfo("UTC")
EVA = Principal("eva", "t", Role.RADIOLOGIST, name="Eva")
CAI = Principal("cai", "t", Role.RADIOLOGIST, name="Cai")


def double(**rule: Any) -> Story:
    """A study before its first offer, under a policy that wants two readers for it."""
    story = Story()
    body = {"second_reads": {"double": [{"modality": ["CT"], **rule}]}}
    story.facts = replace(story.facts, policy=policy(body))
    return story.order().images()


def take(story: Story, who: Principal) -> Story:
    """Offer it to a reader, who accepts and opens it."""
    offer_id = f"o-{who.user_id}"
    story.offer(who, offer_id)
    story.tell(c.Accept(offer_id), who)
    story.tell(c.StartReading(), who)
    return story


def write(story: Story, who: Principal, text: str, kind: SignKind = SignKind.FINAL, **facts: Any) -> Story:
    """Save a draft and sign it."""
    held = story.study.report.version if story.study.report else 0
    story.tell(c.SaveDraft(held, {"impression": text}), who, new_id=f"report-{who.user_id}")
    story.tell(c.Sign(kind, held + 1), who, **facts)
    return story


def first(**rule: Any) -> Story:
    """Eva has signed; it waits for the second reader."""
    return write(take(double(**rule), EVA), EVA, "no bleed")


def compare(**rule: Any) -> Story:
    """Eva and Ada have signed, and not the same."""
    texts = ({"impression": "no bleed"}, {"impression": "a bleed"})
    return write(take(first(**rule), ADA), ADA, "a bleed", texts=texts)


def discordant(**rule: Any) -> Story:
    """Ada has said that they differ."""
    story = compare(**rule)
    story.tell(c.Settle(story.study.step, Outcome.DISCORDANT), ADA)
    return story


def resident() -> Story:
    """Sam has signed; it waits for an attending."""
    story = Story().order().images()
    return write(take(story, SAM), SAM, "no bleed", SignKind.PRELIM)


def _draft(story: Story) -> Story:
    story.tell(c.SaveDraft(_held(story.study), {"impression": "x"}), ADA, new_id="report-ada")
    return story


def _accepted(story: Story) -> Story:
    story.offer(ADA)
    story.tell(c.Accept("o1"), ADA)
    return story


def _reading(story: Story) -> Story:
    _accepted(story).tell(c.StartReading(), ADA)
    return _draft(story)


def _held(study: Study) -> int:
    return study.report.version if study.report else 0


STUDIES: dict[str, Callable[[], Story]] = {
    "double-unread": first,
    "double-offered": lambda: first().offer(ADA),
    "double-assigned": lambda: _accepted(first()),
    "double-reading": lambda: _reading(first()),
    "compare": compare,
    "third-unread": discordant,
    "third-offered": lambda: discordant().offer(CAI),
    "managers": lambda: discordant(discordance="manager"),
    "cosign-unread": resident,
    "cosign-offered": lambda: resident().offer(ADA),
    "cosign-reading": lambda: _reading(resident()),
}
_WHOSE = {"join", "merge", "unmerge", "move", "move what has changed"}  # whose study it is, not who reads it
COMMANDS: dict[str, tuple[Callable[[Study], Any], Principal | None]] = {
    **{name: told for name, told in pairs.COMMANDS.items() if name not in _WHOSE},
    "offer to who read it": (lambda s: c.Offer(_again(s), "why", 120), None),
    "claim by who read it": (lambda s: c.Claim(_again(s)), None),
    "assign to who read it": (lambda s: c.Assign(_again(s), "because"), pairs.MAX),
}


def _again(study: Study) -> c.Grant:
    """A grant to the first reader."""
    who = study.second.readings[0].radiologist_id if study.second else ""
    return c.Grant(who, "fresh", study.step, 1)
