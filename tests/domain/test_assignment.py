"""Who gets a study: never against a hard rule, never past a cap, always with its reasons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from actors.domain.assignment.case import ALWAYS, Choice, Demand, Reader, Span, Waiting
from actors.domain.assignment.engine import decide, next_for, window
from actors.domain.assignment.minutes import Minutes
from actors.domain.assignment.order import ORDERS
from actors.domain.assignment.record import record, replay, unpack
from actors.domain.assignment.rules import NAMED, Rules, named
from actors.domain.assignment.table import Table, finishes_at, ineligible
from actors.domain.words import Acuity, Presence, Priority

NOW = 1_767_237_240.0
RULES = Rules()
NEURO = Demand("US-ME", None, "CT", "neuro")
HERE = {"US-ME": (Span(),)}
ADA = Reader("ada", "Ada", licences=HERE, subspecialties={"neuro": 2, "chest": 1})
BOB = Reader("bob", "Bob", licences=HERE)
HEAD = Waiting("1", 3, Priority.STAT, demand=NEURO, kind="CT/neuro", started_at=NOW, due_at=NOW + 1800)


def only(choices: list[Choice]) -> Choice:
    """Return the one choice."""
    [choice] = choices
    return choice


# -- by example -----------------------------------------------------------------------------------
def test_the_specialist_is_asked_first_and_told_why() -> None:
    choice = only(decide([HEAD], [BOB, ADA], RULES, NOW))
    assert choice.radiologist_id == "ada"
    assert choice.why == "You read neuro, licensed in US-ME, 0 of 5 studies, due in 30 min."
    assert choice.explanation["why_her"] == "Reads neuro, licensed in US-ME, 0 of 5 studies, due in 30 min."
    assert choice.explanation["runners_up"][0]["why_not"] == "is not a neuro specialist"
    assert choice.explanation["would_change"].startswith("It would go to Bob")


def test_she_is_told_her_minutes_what_she_has_to_spare_and_her_share() -> None:
    busy = replace(ADA, load=1, ahead_min=9.0, current_min=4.0, done_min=30.0, on_min=60.0)
    urgent = replace(HEAD, priority=Priority.URGENT)
    stat, other = (only(decide([study], [busy], RULES, NOW)).explanation["you"] for study in (HEAD, urgent))
    assert (stat["kind"], stat["minutes"], stat["now_min"], stat["ahead_min"]) == ("CT/neuro", 8.0, 4.0, 9.0)
    assert (stat["spare_min"], other["spare_min"]) == (18.0, 13.0)  # a STAT waits for the case on her screen alone
    assert other["share_min"] is not None
    endless = only(decide([replace(HEAD, due_at=ALWAYS)], [busy], named("fifo"), NOW)).explanation["you"]
    assert (endless["spare_min"], endless["share_min"]) == (None, None)


def test_only_who_is_present_is_asked() -> None:
    for presence in (Presence.AWAY, Presence.BUSY, Presence.OFF):
        assert decide([HEAD], [replace(ADA, presence=presence)], RULES, NOW) == []


def test_a_decliner_waits_and_is_then_asked_after_the_others_and_in_the_end_no_more() -> None:
    asked = replace(HEAD, asked={"ada": NOW})
    assert decide([asked], [ADA], RULES, NOW + 119) == []
    assert only(decide([asked], [ADA], RULES, NOW + 121)).radiologist_id == "ada"
    assert only(decide([asked], [ADA, BOB], RULES, NOW + 121)).radiologist_id == "bob"
    assert decide([replace(asked, closed=frozenset({"ada"}))], [ADA], RULES, NOW + 9000) == []


def test_a_stat_may_pass_the_cap_by_one_and_says_so() -> None:
    full = replace(ADA, load=5)
    choice = only(decide([HEAD], [full], RULES, NOW))
    assert choice.over_cap
    assert "one more for a STAT" in choice.why
    assert decide([HEAD], [replace(ADA, load=6)], RULES, NOW) == []
    assert decide([replace(HEAD, priority=Priority.URGENT)], [full], RULES, NOW) == []


def test_what_a_site_does_not_demand_is_not_checked() -> None:
    open_to_all = replace(HEAD, demand=Demand(modality="CT", specialty="neuro"))
    assert only(decide([open_to_all], [replace(BOB, licences={})], RULES, NOW)).radiologist_id == "bob"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"licences": {}}, "has no licence for US-ME"),
        ({"licences": {"US-ME": (Span(NOW - 9, NOW + 60),)}}, "would finish after her licence for US-ME ends"),
        ({"licences": {"US-ME": (Span(NOW + 60),)}}, "has no licence for US-ME"),
        ({"privileges": {}}, "has no privilege at the site"),
        ({"privileges": {"main": (Span(NOW - 9, NOW + 60),)}}, "would finish after her privilege at the site ends"),
        ({"shifts": (Span(NOW + 60, NOW + 9000),)}, "is not on shift"),
        ({"shifts": (Span(NOW - 60, NOW + 60),)}, "would finish after her shift ends"),
        ({"breaks": (Span(NOW - 60, NOW + 60),)}, "is on a break"),
        ({"modalities": {"MR": 3}}, "does not read CT"),
        ({"modalities": {"CT": 1}}, "reads CT at level 1, not 2"),
        ({"subspecialties": {"chest": 3}}, "does not read neuro"),
        ({"subspecialties": {"neuro": 1}}, "reads neuro at level 1, not 2"),
        ({"conflicts": frozenset({"patient:p1"})}, "has a conflict of interest"),
        ({"conflicts": frozenset({"referring_physician:doe"})}, "has a conflict of interest"),
        ({"may_sign_final": False}, "does not sign final reports"),
        ({"radiologist_id": "first"}, "has read this study before"),
        ({"radiologist_id": "own"}, "has excluded herself from this study"),
        ({"load": 6}, "has 6 of 5"),
        ({"radiologist_id": "done"}, "was asked as often as the policy allows"),
        ({"radiologist_id": "lately"}, "was asked and did not take it"),
    ],
)
def test_each_hard_rule_holds_and_says_its_name(change: dict[str, Any], reason: str) -> None:
    study = replace(
        HEAD, demand=Demand("US-ME", "main", "CT", "neuro", 2), patient_id="p1", referring="doe", attending=True,
        excluded=frozenset({"own"}), barred=frozenset({"first"}), closed=frozenset({"done"}), asked={"lately": NOW},
    )  # fmt: skip
    able = replace(ADA, privileges={"main": (Span(),)}, modalities={"CT": 2})
    assert only(decide([study], [able], RULES, NOW)).radiologist_id == "ada"
    changed = replace(able, **change)
    assert decide([study], [changed], RULES, NOW) == []
    assert ineligible(study, changed, RULES, NOW, Minutes().expected("ada", "CT/neuro")) == reason
    told = only(decide([study], [changed, replace(able, radiologist_id="zoe")], RULES, NOW)).explanation["runners_up"]
    assert told[-1]["why_not"] == reason


def test_the_search_is_broadened_only_as_the_policy_says() -> None:
    hard = replace(HEAD, demand=NEURO._replace(level=3), started_at=NOW - 700)
    assert decide([hard], [ADA], structs.replace(RULES, any_skill_after_s=None), NOW) == []
    assert only(decide([hard], [ADA], RULES, NOW)).radiologist_id == "ada"
    chest = replace(ADA, subspecialties={"chest": 3})
    assert decide([hard], [chest], RULES, NOW) == []
    wide = structs.replace(RULES, any_specialty_after_s=600.0)
    assert only(decide([hard], [chest], wide, NOW)).radiologist_id == "ada"


def test_who_read_the_prior_has_the_patient_or_would_be_in_time_is_preferred() -> None:
    assert only(decide([replace(HEAD, priors_by=frozenset({"zed"}))], [ADA, replace(ADA, radiologist_id="zed")], RULES,
                       NOW)).radiologist_id == "zed"  # fmt: skip
    patient = replace(HEAD, patient_id="p", priority=Priority.URGENT, due_at=NOW + 3600)
    has = replace(ADA, radiologist_id="zed", patients=frozenset({"p"}), load=3, ahead_min=24)
    choice = only(decide([patient], [ADA, has], RULES, NOW))
    assert choice.radiologist_id == "zed"
    assert "you have this patient's other study" in choice.why
    too_late = replace(has, ahead_min=55)
    assert only(decide([patient], [ADA, too_late], RULES, NOW)).radiologist_id == "ada"


def test_who_had_less_than_her_share_is_asked_first_and_the_debt_is_carried_over() -> None:
    one, two = replace(BOB, radiologist_id="one"), replace(BOB, radiologist_id="two")
    for change in ({"done_min": 60.0}, {"owed_min": -60.0}):
        assert only(decide([HEAD], [replace(one, **change), two], RULES, NOW)).radiologist_id == "two"
        assert only(decide([HEAD], [one, replace(two, **change)], RULES, NOW)).radiologist_id == "one"
    there = replace(one, on_min=480.0, done_min=200.0), replace(two, on_min=60.0, done_min=100.0)
    assert only(decide([HEAD], there, RULES, NOW)).radiologist_id == "one"  # more minutes, but less than her share


def test_a_reader_who_asks_gets_the_head_of_her_order_and_chooses_only_within_the_window() -> None:
    pool = [
        replace(HEAD, study_uid=str(i), priority=p, due_at=NOW + d, started_at=NOW - 60)
        for i, (p, d) in enumerate([(Priority.ROUTINE, 86400), (Priority.URGENT, 7200), (Priority.STAT, 1800)])
    ]
    tired = replace(ADA, load=2)
    held_back = structs.replace(RULES, ahead=1)
    choice = next_for(pool, tired, held_back, NOW)
    assert choice is not None
    assert choice.study_uid == "2"
    assert window(pool, tired, RULES, NOW) == ["2"]
    assert window(pool, tired, structs.replace(RULES, window=2), NOW) == ["2", "1"]
    assert next_for([replace(p, asked={"ada": NOW}, closed=frozenset({"ada"})) for p in pool], ADA, RULES, NOW)
    assert next_for([], ADA, RULES, NOW) is None


def test_orders_differ_where_they_should() -> None:
    old = replace(HEAD, study_uid="old", priority=Priority.ROUTINE, started_at=NOW - 90000, due_at=NOW - 3600)
    soon = replace(HEAD, study_uid="soon", priority=Priority.URGENT, started_at=NOW - 6900, due_at=NOW + 300)
    fresh = replace(HEAD, study_uid="fresh", priority=Priority.URGENT, started_at=NOW - 60, due_at=NOW + 7140)
    sick = replace(fresh, study_uid="sick", acuity=Acuity.SUSPECTED_CRITICAL)
    stat = replace(HEAD, study_uid="stat", started_at=NOW - 10)
    one = replace(ADA, capacity=9)
    firsts = {
        name: [c.study_uid for c in decide([stat, fresh, sick, soon, old], [one], rules, NOW)]
        for name, rules in NAMED.items()
    }
    assert firsts["fifo"] == ["old", "soon", "fresh", "sick", "stat"]
    assert firsts["strict_priority"] == ["stat", "soon", "fresh", "sick", "old"]
    assert firsts["priority_age_cap"] == ["old", "stat", "soon", "fresh", "sick"]
    assert firsts["edf"] == ["old", "soon", "stat", "fresh", "sick"]
    assert firsts["cmu"] == ["stat", "old", "sick", "fresh", "soon"] or firsts["cmu"][:3] == ["stat", "old", "sick"]
    assert firsts["gcmu"] == ["stat", "old", "soon", "sick", "fresh"]


def test_a_named_policy_keeps_the_numbers_of_a_base() -> None:
    base = structs.replace(RULES, times_asked=5)
    assert named("edf", base) == structs.replace(base, order="edf", choose="least_count", matching=False)
    with pytest.raises(KeyError):
        named("astrology")


def test_readers_are_chosen_as_the_named_policies_say() -> None:
    kinds = [replace(HEAD, study_uid=str(i), priority=Priority.URGENT, due_at=NOW + 7200) for i in range(4)]
    one, two = replace(BOB, radiologist_id="one", load=2, rvu=1.0), replace(BOB, radiologist_id="two", rvu=9.0)
    count = [c.radiologist_id for c in decide(kinds, [one, two], NAMED["least_count"], NOW)]
    assert count[:2] == ["two", "two"]
    rvu = [c.radiologist_id for c in decide(kinds, [one, two], NAMED["least_rvu"], NOW)]
    assert rvu[0] == "one"
    robin = [c.radiologist_id for c in decide(kinds, [replace(one, given_at=5.0), two], NAMED["round_robin"], NOW)]
    assert robin == ["two", "one", "two", "one"]
    deficit = decide(kinds[:1], [replace(one, done_min=5.0), two], NAMED["deficit_balance"], NOW)
    assert only(deficit).radiologist_id == "two"


def test_a_matching_gives_each_to_who_may_have_it_where_the_greedy_would_leave_one_over() -> None:
    neuro = replace(HEAD, study_uid="1", priority=Priority.URGENT, due_at=NOW + 7200)
    any_ct = replace(neuro, study_uid="2", demand=NEURO._replace(specialty=None))
    only_neuro, everything = replace(ADA, capacity=1), replace(BOB, capacity=1)
    chest = replace(everything, radiologist_id="cleo", subspecialties={"chest": 1}, load=1)
    choices = decide([neuro, any_ct], [replace(only_neuro, subspecialties={"neuro": 3}), chest, everything], RULES, NOW)
    assert {c.study_uid: c.radiologist_id for c in choices} == {"1": "ada", "2": "bob"}


# -- learned minutes ------------------------------------------------------------------------------
def test_minutes_begin_with_the_policy_and_move_to_what_was_seen() -> None:
    minutes = Minutes()
    assert minutes.expected("ada", "CT/neuro") == pytest.approx(8.0)
    assert minutes.expected("ada", "ZZ/any") == pytest.approx(8.0)
    for _ in range(200):
        minutes.learn("ada", "CT/neuro", 4.0)
    assert minutes.expected("ada", "CT/neuro") == pytest.approx(4.0, rel=0.1)
    assert 4.0 < minutes.expected("bob", "CT/neuro") < 6.0, "the kind is quicker than the policy thought"
    minutes.learn("ada", "CT/neuro", 9999.0)
    assert minutes.sums["ada", "CT/neuro"].n == 200
    again = Minutes()
    for (who, kind), seen in minutes.sums.items():
        again.put(who, kind, seen)
    assert again.expected("bob", "CT/neuro") == minutes.expected("bob", "CT/neuro")
    assert minutes.of([("ada", "CT/neuro"), ("bob", "CT/neuro")]) == [
        ("ada", "CT/neuro", minutes.sums["ada", "CT/neuro"])
    ]


def test_a_quick_reader_is_expected_to_be_quick_with_what_she_has_not_read() -> None:
    minutes = Minutes()
    for who, factor in (("quick", 0.5), ("slow", 2.0)):
        for _ in range(60):
            minutes.learn(who, "CT/neuro", 8.0 * factor)
    assert 2 * minutes.expected("quick", "MR/neuro") < minutes.expected("slow", "MR/neuro")
    grid = minutes.matrix(["CT/neuro", "MR/neuro"], ["quick", "slow"])
    assert grid[1, 0] == minutes.expected("quick", "MR/neuro")
    assert grid is minutes.matrix(["CT/neuro", "MR/neuro"], ["quick", "slow"])


def test_learning_converges_on_true_means_under_noise() -> None:
    rng, minutes = np.random.default_rng(7), Minutes()
    truth = {(r, k): a * b for r, a in (("x", 0.7), ("y", 1.5)) for k, b in (("CT/neuro", 7.0), ("MR/msk", 18.0))}
    for (who, kind), mean in truth.items():
        for log in rng.normal(np.log(mean) - 0.08, 0.4, 400):
            minutes.learn(who, kind, float(np.exp(log)))
    for (who, kind), mean in truth.items():
        assert minutes.expected(who, kind) == pytest.approx(mean, rel=0.08)


# -- properties -----------------------------------------------------------------------------------
spans = st.lists(
    st.builds(lambda a, n: Span(NOW + a, NOW + a + n), st.integers(-600, 600), st.integers(60, 3000)), max_size=2
).map(tuple)
skills = st.dictionaries(st.sampled_from(["neuro", "chest"]), st.integers(1, 3))
reader = st.builds(
    Reader,
    radiologist_id=st.sampled_from("abcdef"),
    name=st.just("N"),
    presence=st.sampled_from([*Presence, Presence.ONLINE, Presence.ONLINE]),
    load=st.integers(0, 4),
    capacity=st.integers(1, 3),
    licences=st.dictionaries(st.sampled_from(["ME", "CA"]), spans),
    privileges=st.dictionaries(st.just("main"), spans),
    subspecialties=skills,
    modalities=st.dictionaries(st.sampled_from(["CT", "MR"]), st.integers(1, 3)),
    conflicts=st.frozensets(st.sampled_from(["patient:p1", "site:main"]), max_size=1),
    shifts=st.none() | spans,
    breaks=spans,
    may_sign_final=st.booleans(),
    ahead_min=st.floats(0, 40),
    current_min=st.floats(0, 8),
    done_min=st.floats(0, 200),
    owed_min=st.floats(-50, 50),
    patients=st.frozensets(st.sampled_from(["p1", "p2"]), max_size=1),
    last_kind=st.sampled_from(["", "CT/neuro", "MR/any"]),
)
study = st.builds(
    Waiting,
    study_uid=st.sampled_from("123456789"),
    step=st.just(1),
    priority=st.sampled_from(list(Priority)),
    acuity=st.sampled_from(list(Acuity)),
    demand=st.builds(
        Demand, st.sampled_from([None, "ME", "CA"]), st.sampled_from([None, "main"]), st.sampled_from(["", "CT", "MR"]),
        st.sampled_from([None, "neuro", "chest"]), st.integers(1, 3),
    ),
    kind=st.sampled_from(["CT/neuro", "MR/any", "CR/chest"]),
    started_at=st.floats(NOW - 9000, NOW),
    due_at=st.floats(NOW - 600, NOW + 9000) | st.just(ALWAYS),
    site_id=st.just("main"),
    patient_id=st.sampled_from(["", "p1", "p2", "p3"]),
    excluded=st.frozensets(st.sampled_from("abc"), max_size=2),
    barred=st.frozensets(st.sampled_from("abc"), max_size=1),
    attending=st.booleans(),
    asked=st.dictionaries(st.sampled_from("abc"), st.floats(NOW - 300, NOW), max_size=2),
    closed=st.frozensets(st.sampled_from("abc"), max_size=1),
    priors_by=st.frozensets(st.sampled_from("abc"), max_size=1),
)  # fmt: skip
readers = st.lists(reader, max_size=6, unique_by=lambda r: r.radiologist_id)
pools = st.lists(study, max_size=9, unique_by=lambda w: w.study_uid)
every_rule = st.sampled_from(sorted(NAMED)).map(lambda name: NAMED[name]).flatmap(
    lambda r: st.sampled_from([r, structs.replace(r, ahead=1), structs.replace(r, any_specialty_after_s=900.0)])
)  # fmt: skip
seeds = st.integers(0, 2**31)


class Told:
    """Replays choices one by one, to look at each as it was when it was made."""

    def __init__(self, people: list[Reader], minutes: Minutes) -> None:
        self.readers = {r.radiologist_id: r for r in people}
        self.minutes = minutes

    def expected(self, waiting: Waiting, who: str) -> float:
        """Return expected minutes."""
        return self.minutes.expected(who, waiting.kind)

    def take(self, waiting: Waiting, who: str) -> None:
        """Let her have it."""
        had = self.readers[who]
        self.readers[who] = replace(
            had, load=had.load + 1, ahead_min=had.ahead_min + self.expected(waiting, who),
            stats=had.stats + (waiting.priority is Priority.STAT),
        )  # fmt: skip


@given(pools, readers, every_rule, seeds)
def test_nobody_is_offered_what_a_hard_rule_forbids_or_would_finish_outside_shift_licence_or_privilege(
    pool: list[Waiting], people: list[Reader], rules: Rules, seed: int
) -> None:
    told = Told(people, Minutes(rules))
    for choice in decide(pool, people, rules, NOW, seed):
        waiting = next(w for w in pool if w.study_uid == choice.study_uid)
        who = told.readers[choice.radiologist_id]
        minutes = told.expected(waiting, choice.radiologist_id)
        assert ineligible(waiting, who, rules, NOW, minutes) is None
        done_at = finishes_at(waiting, who, NOW, minutes)
        inside = [() if who.shifts is None else who.shifts]
        wants = waiting.demand
        inside += [who.licences[wants.jurisdiction]] if wants.jurisdiction else []
        inside += [who.privileges[wants.privilege]] if wants.privilege else []
        for held in inside:
            assert not held or any(s.from_at <= NOW and done_at <= s.to_at for s in held)
        told.take(waiting, choice.radiologist_id)


@given(pools, readers, every_rule, seeds)
def test_no_eligible_pair_is_left_and_caps_hold(
    pool: list[Waiting], people: list[Reader], rules: Rules, seed: int
) -> None:
    told = Told(people, Minutes(rules))
    waiting = {w.study_uid: w for w in pool}
    for choice in decide(pool, people, rules, NOW, seed):
        what = waiting.pop(choice.study_uid)
        told.take(what, choice.radiologist_id)
        who = told.readers[choice.radiologist_id]
        assert who.load <= who.capacity + (what.priority is Priority.STAT)
        assert choice.over_cap == (who.load > who.capacity)
    for what in waiting.values():
        for who in told.readers.values():
            assert ineligible(what, who, rules, NOW, told.expected(what, who.radiologist_id)) is not None


@given(pools, readers, every_rule)
def test_the_arrays_say_what_the_sentences_say(pool: list[Waiting], people: list[Reader], rules: Rules) -> None:
    minutes = Minutes(rules)
    table = Table(pool, people, rules, NOW, minutes)
    for i, waiting in enumerate(table.pool):
        for j, who in enumerate(table.readers):
            reason = ineligible(waiting, who, rules, NOW, minutes.expected(who.radiologist_id, waiting.kind))
            assert bool(table.may[i, j]) == (reason is None), reason


@given(pools, readers, every_rule, seeds, st.randoms())
def test_the_same_seed_decides_the_same_in_whatever_order_it_is_asked(
    pool: list[Waiting], people: list[Reader], rules: Rules, seed: int, rnd: Any
) -> None:
    first = decide(pool, people, rules, NOW, seed)
    mixed_pool, mixed_people = list(pool), list(people)
    rnd.shuffle(mixed_pool)
    rnd.shuffle(mixed_people)
    assert decide(mixed_pool, mixed_people, rules, NOW, seed) == first


@given(pools, readers, every_rule, seeds)
def test_another_reader_never_makes_the_first_wait(
    pool: list[Waiting], people: list[Reader], rules: Rules, seed: int
) -> None:
    idle = replace(BOB, radiologist_id="zoe", licences={"ME": (Span(),), "CA": (Span(),)},
                   privileges={"main": (Span(),)}, capacity=9)  # fmt: skip
    before = decide(pool, people, rules, NOW, seed)
    after = decide(pool, [*people, idle], rules, NOW, seed)
    assert {c.study_uid for c in before} <= {c.study_uid for c in after}
    if pool:
        assert after


@given(st.integers(1, 40), st.integers(1, 9), st.sampled_from(sorted(NAMED)), seeds)
def test_stats_are_spread_evenly_over_equal_readers(n: int, people: int, name: str, seed: int) -> None:
    pool = [replace(HEAD, study_uid=f"{i:02d}", demand=Demand()) for i in range(n)]
    staff = [Reader(f"r{j}", capacity=40) for j in range(people)]
    given_to = [c.radiologist_id for c in decide(pool, staff, NAMED[name], NOW, seed)]
    shares = [given_to.count(r.radiologist_id) for r in staff]
    assert sum(shares) == n
    assert max(shares) - min(shares) <= 1


def test_a_long_time_left_is_said_in_hours() -> None:
    far = replace(HEAD, due_at=NOW + 23 * 3600 + 59 * 60)
    assert "due in 23 h 59 min" in only(decide([far], [ADA], RULES, NOW)).why


def test_twenty_stats_over_five_readers() -> None:
    pool = [replace(HEAD, study_uid=f"{i:02d}", demand=Demand()) for i in range(20)]
    given_to = [c.radiologist_id for c in decide(pool, [Reader(f"r{j}") for j in range(5)], RULES, NOW)]
    assert [given_to.count(f"r{j}") for j in range(5)] == [4] * 5


@given(
    priorities=st.lists(st.sampled_from(list(Priority)), min_size=3, max_size=3),
    others=st.integers(0, 9),
    people=st.integers(2, 6),
    loads=st.lists(st.integers(0, 2), min_size=6, max_size=6),
    seed=seeds,
)  # fmt: skip
@example(priorities=[Priority.URGENT] * 3, others=4, people=3, loads=[2, 2, 2, 0, 0, 0], seed=0)
def test_three_scans_of_one_patient_go_to_one_reader(
    priorities: list[Priority], others: int, people: int, loads: list[int], seed: int
) -> None:
    due = {Priority.STAT: 1800.0, Priority.URGENT: 7200.0, Priority.ROUTINE: 86400.0}
    scans = [
        Waiting(f"s{i}", 1, p, kind="CT/any", started_at=NOW, due_at=NOW + due[p], patient_id="hurt")
        for i, p in enumerate(priorities)
    ]
    rest = [
        Waiting(
            f"x{i}", 1, Priority.URGENT, kind="CT/any", started_at=NOW - i, due_at=NOW + 7200 - i, patient_id=f"p{i}"
        )
        for i in range(others)
    ]
    staff = [Reader(f"r{j}", load=loads[j], ahead_min=0.5 * loads[j]) for j in range(people)]
    choices = {c.study_uid: c.radiologist_id for c in decide([*scans, *rest], staff, RULES, NOW, seed)}
    got = {choices.get(s.study_uid) for s in scans}
    together = [r for r in staff if r.load + 3 <= r.capacity]
    if together and sum(r.capacity - r.load for r in staff) >= others + 3:
        assert len(got) == 1


def test_a_third_stat_of_one_patient_comes_to_who_has_the_other_two() -> None:
    more = [
        Waiting(str(i), 1, Priority.STAT, started_at=NOW, due_at=NOW + 1800, patient_id=p)
        for i, p in ((1, "hurt"), (2, "else"))
    ]
    busy = Reader("a", "Ada", load=2, stats=2, ahead_min=16.0, patients=frozenset({"hurt"}))
    to = {c.study_uid: c.radiologist_id for c in decide(more, [busy, Reader("b", "Bob")], RULES, NOW)}
    assert to == {"1": "a", "2": "b"}


def test_scans_of_one_patient_part_when_a_due_time_would_break() -> None:
    scans = [
        Waiting(f"s{i}", 1, Priority.URGENT, kind="CT/any", started_at=NOW, due_at=NOW + 900, patient_id="hurt")
        for i in range(3)
    ]  # 8 minutes each: the second is late at one reader
    choices = decide(scans, [Reader("a"), Reader("b"), Reader("c")], RULES, NOW)
    assert len({c.radiologist_id for c in choices}) == 3


@given(pools, readers, seeds)
def test_every_order_serves_every_pool(pool: list[Waiting], people: list[Reader], seed: int) -> None:
    given_by = {
        order: {
            c.study_uid for c in decide(pool, people, structs.replace(RULES, order=order, matching=False), NOW, seed)
        }
        for order in ORDERS
    }
    assert len({bool(g) for g in given_by.values()}) == 1


# -- kept and made again --------------------------------------------------------------------------
@given(pools, readers, every_rule, seeds)
def test_a_stored_decision_replays_bit_for_bit(
    pool: list[Waiting], people: list[Reader], rules: Rules, seed: int
) -> None:
    minutes = Minutes(rules)
    minutes.learn("a", "CT/neuro", 3.3)
    told = [msgspec.json.encode(c) for c in decide(pool, people, rules, NOW, seed, minutes)]
    packed = record(pool, people, rules, NOW, seed, minutes, version=3).pack()
    minutes.learn("a", "CT/neuro", 99.0)  # what is learned later changes nothing
    kept = unpack(packed)
    assert [msgspec.json.encode(c) for c in replay(kept)] == told
    assert kept.pack() == packed


def test_what_a_reader_got_who_asked_replays_too() -> None:
    pool = [HEAD, replace(HEAD, study_uid="2", priority=Priority.ROUTINE, asked={"ada": NOW})]
    choice = next_for(pool, ADA, RULES, NOW, 4)
    assert replay(unpack(record(pool, [ADA], RULES, NOW, 4, Minutes(), asking=True).pack())) == [choice]
    assert replay(unpack(record([], [ADA], RULES, NOW, 4, Minutes(), asking=True).pack())) == []
