"""Shards are spread evenly with few moves, whatever hosts come and go; tenants with hosts of their own stay there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from actors.domain.identity import study_key
from actors.domain.placement import Held, Host, Placement, names, plan

if TYPE_CHECKING:
    from actors.domain.placement import Slot

SHARDS = 64


def settled(slots: dict[Slot, Held], hosts: list[Host]) -> dict[Slot, Held]:
    """Return the placement after every goal was reached."""
    goals = plan(slots, hosts, {"t"})
    return {
        slot: Held(goals.get(slot, held.wanted or held.host), held.generation, None, held.pinned)
        for slot, held in slots.items()
    }


def nobodys(tenant_id: str = "") -> dict[Slot, Held]:
    return {(tenant_id, shard): Held("") for shard in range(SHARDS)}


def counts(slots: dict[Slot, Held]) -> Counter[str]:
    return Counter(held.host for held in slots.values())


hosts = st.lists(
    st.builds(
        Host, st.sampled_from("abcdefg"), st.sampled_from(["", "", "t"]), alive=st.booleans(), leaving=st.booleans()
    ),
    max_size=7,
    unique_by=lambda h: h.name,
)


@given(st.lists(hosts, min_size=1, max_size=4))
def test_whatever_comes_and_goes_all_is_held_evenly_by_who_lives(nights: list[list[Host]]) -> None:
    slots = nobodys() | nobodys("t")
    for seen in nights:
        slots = settled(slots, seen)
        able = [h for h in seen if h.alive and not h.leaving]
        everybodys = {h.name for h in able if not h.tenant_id}
        own = {h.name for h in able if h.tenant_id == "t"} or everybodys
        for tenant_id, allowed in (("", everybodys), ("t", own)):
            held = counts({slot: held for slot, held in slots.items() if slot[0] == tenant_id})
            if allowed:
                assert set(held) <= allowed
                assert max(held.values()) - min(held[h] for h in allowed) <= 1
        assert plan(slots, seen, {"t"}) == {}  # and then there is peace


@given(st.integers(1, 6))
def test_one_more_host_moves_its_share_and_nothing_else(n: int) -> None:
    before = settled(nobodys(), [Host(str(i)) for i in range(n)])
    after = settled(before, [Host(str(i)) for i in range(n + 1)])
    moved = [slot for slot in before if before[slot].host != after[slot].host]
    assert len(moved) == SHARDS // (n + 1)
    assert {after[slot].host for slot in moved} == {str(n)}


def test_what_a_person_has_moved_stays_there() -> None:
    slots = settled(nobodys(), [Host("a"), Host("b")])
    pinned = {slot: Held("a", pinned=True) for slot in slots}
    assert plan(pinned, [Host("a"), Host("b")]) == {}
    assert set(plan(pinned, [Host("a", alive=False), Host("b")]).values()) == {"b"}


def test_what_is_on_its_way_is_not_sent_elsewhere() -> None:
    slots = {("", 0): Held("a", wanted="b"), ("", 1): Held("a")}
    assert plan(slots, [Host("a"), Host("b")]) == {}


def test_what_a_lost_host_was_to_hand_over_is_taken_from_it() -> None:
    slots = {("", 0): Held("a", wanted="b"), ("", 1): Held("b")}
    assert plan(slots, [Host("a", alive=False), Host("b")]) == {("", 0): "b"}
    assert plan(slots, [Host("a", alive=False, leaving=True), Host("b")]) == {("", 0): "b"}


def test_hosts_that_serve_keep_their_names_and_new_ones_get_the_lowest_free() -> None:
    assert names(2, []) == ["0", "1"]
    assert names(4, ["2", "3"]) == ["2", "3", "0", "1"]
    assert names(2, ["2", "3", "0", "1"]) == ["2", "3"]
    assert names(3, ["1", "7"]) == ["1", "7", "0"]


def test_a_wanted_host_that_is_lost_is_wanted_no_more() -> None:
    assert plan({("", 0): Held("a", wanted="b")}, [Host("a"), Host("b", alive=False)]) == {("", 0): "a"}


def test_a_tenant_with_slots_of_its_own_is_found_there() -> None:
    key, other = study_key("t", "1"), study_key("u", "1")
    seen = Placement({("", key.shard): Held("a"), ("t", key.shard): Held("b"), ("", other.shard): Held("a")})
    assert (seen.owner(key), seen.owner(other)) == ("b", "a")
    assert Placement().owner(key) is None


def test_a_tenant_without_hosts_of_its_own_any_more_goes_where_everybody_is() -> None:
    hosts = [Host("a"), Host("b"), Host("c", "t")]
    slots = settled(nobodys() | nobodys("t"), hosts)
    assert set(counts({s: h for s, h in slots.items() if s[0]})) == {"c"}
    goals = plan(slots, hosts)
    assert {goals["t", shard] == slots["", shard].host for shard in range(SHARDS)} == {True}
