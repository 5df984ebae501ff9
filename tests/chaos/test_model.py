"""The protocol of who decides, in random nights over the production classes; and without each of its rules."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.chaos.model.clockwork import live
from tests.chaos.model.mutants import MUTANTS, Mutant

NIGHTS = int(os.environ.get("CHAOS_NIGHTS", "20000"))
FIRST = int(os.environ.get("CHAOS_SEED", "0"))
_NOTICED_WITHIN = 8000  # nights; most mutants are caught in the first hundred


@pytest.mark.timeout(600 + NIGHTS // 20)
def test_no_night_breaks_a_promise() -> None:
    processes = os.cpu_count() or 1
    shares = [range(FIRST + n, FIRST + NIGHTS, processes) for n in range(processes)]
    context = multiprocessing.get_context("fork")  # they are given what is imported, and nothing else of us
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        lived = list(pool.map(live, shares))
    nights, events, wrong = (sum(column, type(column[0])()) for column in zip(*lived, strict=True))
    print(f"{nights} nights from seed {FIRST}, {events} events, {len(wrong)} wrong")  # noqa: T201 - how it was tested
    assert wrong == []
    assert nights == NIGHTS
    assert events > 10 * NIGHTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name.replace(" ", "-"))
def test_a_rule_that_is_missing_is_noticed(mutant: Mutant) -> None:
    with mutant.alive() as rules:
        nights, _, wrong = live(range(_NOTICED_WITHIN), rules, most_wrong=1)
    assert wrong, f"{mutant.name}: {nights} nights went well without this rule"
