"""Who takes what when more waits than there is room: a reader leaves to her neighbour what the neighbour reads faster."""

from __future__ import annotations

from dataclasses import replace

from actors.domain.assignment.case import Reader, Span, Waiting
from actors.domain.assignment.engine import decide
from actors.domain.assignment.minutes import Minutes, Sum
from actors.domain.assignment.rules import Cost, Rules
from actors.domain.words import Presence, Priority

NOW = 1_767_225_600.0
EVEN = Cost(advantage=0.0)  # of who reads it best, here left to the matching
RULES = Rules(ahead=1, cost=EVEN)
ADA = Reader("ada", "Ada")
BOB = Reader("bob", "Bob", Presence.READING, load=1, ahead_min=1.0, current_min=1.0)
HEAD = Waiting("1", 3, Priority.URGENT, kind="CT/neuro", started_at=NOW - 60, due_at=NOW + 3540)
BODY = replace(HEAD, study_uid="2", kind="CT/body", started_at=NOW - 30, due_at=NOW + 3570)


def known() -> Minutes:
    """Bob reads heads in 5 minutes, everything else takes anybody 10."""
    minutes = Minutes(RULES)
    for who in ("ada", "bob"):
        for kind in ("CT/neuro", "CT/body"):
            log = 1.61 if (who, kind) == ("bob", "CT/neuro") else 2.3
            minutes.put(who, kind, Sum(400, 400 * log, 400 * log * log))
    return minutes


def given(*pool: Waiting, rules: Rules = RULES, readers: tuple[Reader, ...] = (ADA, BOB)) -> dict[str, str]:
    return {c.study_uid: c.radiologist_id for c in decide(pool, readers, rules, NOW, 0, known())}


def test_the_free_reader_leaves_a_head_to_who_reads_heads_and_is_free_in_a_minute() -> None:
    assert given(HEAD, BODY) == {"2": "ada"}


def test_without_a_horizon_or_a_matching_she_takes_the_first() -> None:
    assert given(HEAD, BODY, rules=Rules(ahead=1, horizon_min=None, cost=EVEN)) == {"1": "ada"}
    assert given(HEAD, BODY, rules=Rules(ahead=1, matching=False, cost=EVEN)) == {"1": "ada"}


def test_the_order_too_prefers_who_reads_it_best() -> None:
    assert given(HEAD, BODY, rules=Rules(ahead=1, horizon_min=None)) == {"2": "ada"}


def test_she_does_not_wait_for_who_is_busy_for_long() -> None:
    busy = replace(BOB, ahead_min=45.0, current_min=45.0)
    assert given(HEAD, BODY, readers=(ADA, busy)) == {"1": "ada"}


def test_a_stat_does_not_wait_for_a_better_reader() -> None:
    stat = replace(HEAD, priority=Priority.STAT)
    assert given(stat, BODY)["1"] in {"ada", "bob"}


def test_she_never_idles_for_the_sake_of_a_neighbour() -> None:
    assert given(HEAD) == {"1": "ada"}


def test_who_may_not_have_it_is_not_waited_for() -> None:
    bound = replace(HEAD, demand=HEAD.demand._replace(jurisdiction="US-ME"))
    licensed = replace(ADA, licences={"US-ME": (Span(),)})
    assert given(bound, BODY, readers=(licensed, BOB)) == {"1": "ada"}


def test_scans_of_one_patient_go_to_one_reader_also_when_more_waits() -> None:
    twins = [replace(HEAD, study_uid=str(i), patient_id="p") for i in range(2)]
    others = [replace(BODY, study_uid=str(i)) for i in range(2, 9)]
    two = Rules(ahead=2)
    found = given(*twins, *others, rules=two, readers=(ADA, replace(ADA, radiologist_id="cleo", name="Cleo")))
    assert found["0"] == found["1"]
