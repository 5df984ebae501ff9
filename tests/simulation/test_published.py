"""What was published comes out again in direction; sizes with their intervals stand in docs/assignment.md."""

from __future__ import annotations

from simulation.published import baltruschat, cherries, load, oneill


def test_ranking_by_the_detector_halves_the_mean_and_an_upper_limit_keeps_the_worst_case() -> None:
    fifo, ranked, worst, capped, still = baltruschat((1, 2, 3), days=10)
    assert fifo.here.mean > 30
    assert ranked.here.mean < -40
    assert worst.here.mean > 10
    assert capped.here.mean < 15
    assert still.here.mean < -40


def test_a_flag_alone_changes_nothing_and_ranking_does() -> None:
    flag, _, gain = oneill((1, 2))
    assert flag.here.mean == 0
    assert gain.here.mean < -1


def test_picked_cherries_delay_the_expedited_and_the_window_prevents_it() -> None:
    good, poor, dealt = cherries(range(1, 9))
    assert good.here.mean > 8
    assert poor.here.mean < good.here.mean
    assert dealt.here.mean <= 2


def test_the_gain_vanishes_at_low_load() -> None:
    idle, busy = load((1, 2), shares=(0.3, 0.9))
    assert abs(idle.here.mean) < 0.5
    assert busy.here.mean > 2
