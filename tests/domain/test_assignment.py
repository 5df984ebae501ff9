"""Who gets a study: never against a hard rule, never past a cap, always with its reasons."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from actors.domain.assignment import ASK_AGAIN_S, Reader, Waiting, decide, ineligible
from actors.domain.words import Acuity, Presence, Priority

NOW = datetime(2026, 1, 1, 3, 14, tzinfo=UTC)
ADA = Reader("ada", "Ada", Presence.ONLINE, 0, 5, frozenset({"US-ME"}), frozenset({"neuro"}))
BOB = Reader("bob", "Bob", Presence.ONLINE, 0, 5, frozenset({"US-ME"}))
HEAD = Waiting("1", 3, Priority.STAT, modality="CT", body_part="HEAD", jurisdiction="US-ME")


def test_the_specialist_is_asked_first_and_told_why() -> None:
    [choice] = decide([HEAD], [BOB, ADA], NOW)
    assert choice.radiologist_id == "ada"
    assert choice.why == "You read neuro, licensed in US-ME, 0 of 5 studies."
    assert choice.explanation["runners_up"][0]["why_not"] == "is not a neuro specialist"


def test_only_who_is_present_is_asked() -> None:
    for presence in (Presence.AWAY, Presence.BUSY, Presence.OFF):
        assert decide([HEAD], [replace(ADA, presence=presence)], NOW) == []


def test_a_decliner_waits_and_is_then_asked_after_the_others() -> None:
    asked = replace(HEAD, asked={"ada": NOW})
    assert decide([asked], [ADA], NOW) == []
    later = NOW + timedelta(seconds=ASK_AGAIN_S + 1)
    assert decide([asked], [ADA], later)[0].radiologist_id == "ada"
    assert decide([asked], [ADA, BOB], later)[0].radiologist_id == "bob"


def test_a_stat_may_pass_the_cap_by_one_and_says_so() -> None:
    full = replace(ADA, load=5)
    [choice] = decide([HEAD], [full], NOW)
    assert choice.over_cap
    assert "one more for a STAT" in choice.why
    assert decide([HEAD], [replace(ADA, load=6)], NOW) == []
    assert decide([replace(HEAD, priority=Priority.URGENT)], [full], NOW) == []


def test_what_a_site_does_not_demand_is_not_checked() -> None:
    assert ineligible(replace(HEAD, jurisdiction=None), replace(BOB, licences=frozenset()), NOW) is None


readers = st.lists(
    st.builds(
        Reader,
        radiologist_id=st.sampled_from("abcdef"),
        name=st.just("N"),
        presence=st.sampled_from(list(Presence)),
        load=st.integers(0, 4),
        capacity=st.integers(1, 3),
        licences=st.frozensets(st.sampled_from(["ME", "CA"])),
        subspecialties=st.frozensets(st.sampled_from(["neuro", "chest"])),
        on_shift=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda r: r.radiologist_id,
)
pools = st.lists(
    st.builds(
        Waiting,
        study_uid=st.sampled_from("123456789"),
        step=st.just(1),
        priority=st.sampled_from(list(Priority)),
        acuity=st.sampled_from(list(Acuity)),
        body_part=st.sampled_from(["HEAD", "CHEST", ""]),
        jurisdiction=st.sampled_from([None, "ME", "CA"]),
        excluded=st.frozensets(st.sampled_from("abc"), max_size=2),
    ),
    max_size=8,
    unique_by=lambda w: w.study_uid,
)


@given(pools, readers, st.randoms())
def test_hard_rules_and_caps_hold_and_order_of_input_does_not_matter(
    pool: list[Waiting], people: list[Reader], rnd: object
) -> None:
    choices = decide(pool, people, NOW)
    load = {r.radiologist_id: r.load for r in people}
    known = {r.radiologist_id: r for r in people}
    waiting = {w.study_uid: w for w in pool}
    for choice in choices:
        who, what = known[choice.radiologist_id], waiting[choice.study_uid]
        assert ineligible(what, replace(who, load=load[who.radiologist_id]), NOW) is None
        load[who.radiologist_id] += 1
        assert load[who.radiologist_id] <= who.capacity + (what.priority is Priority.STAT)
    taken = {choice.study_uid for choice in choices}
    for study_uid, what in waiting.items():
        if study_uid not in taken:
            assert all(ineligible(what, replace(r, load=load[i]), NOW) for i, r in known.items())
    assert decide(pool[::-1], people[::-1], NOW) == choices
