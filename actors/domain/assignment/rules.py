"""The assignment part of a policy, as data: what a tenant may set, its bounds and its defaults.

Costs are in points: a point is a minute of a reader's time unless it says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct, field, structs

from actors.domain.given import given

if TYPE_CHECKING:
    from actors.domain.words import Acuity, Priority

Positive: TypeAlias = Annotated[float, Meta(gt=0)]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Weight: TypeAlias = Annotated[float, Meta(ge=0)]
Order: TypeAlias = Literal["fifo", "strict_priority", "priority_age_cap", "edf", "cmu", "gcmu"]
Choose: TypeAlias = Literal["least_cost", "round_robin", "least_count", "least_rvu", "deficit_balance"]


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of everything a policy holds: immutable, by name, and strict about names."""


class ByPriority(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number for each priority."""

    STAT: Weight
    URGENT: Weight
    ROUTINE: Weight

    def of(self, priority: Priority) -> float:
        """Return the number of a priority."""
        number: float = getattr(self, priority.value)
        return number


class Cost(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What waiting costs: a weight, convex in age/SLA, with a wall before due, per priority.

    The marginal cost at x = age/SLA is weight * (floor + x**(power-1) + wall * steepness) / SLA, where
    steepness rises from 0 at ``wall_from`` to 1 at due and stays there (generalised cμ: van Mieghem 1995).
    """

    weight: ByPriority = ByPriority(STAT=10000.0, URGENT=12.0, ROUTINE=36.0)
    floor: Weight = 0.3
    power: Annotated[float, Meta(ge=1, le=6)] = 2.0
    wall: Weight = 5.0
    wall_from: Share = 0.3
    late: Share = 1.0  # share of the wall that is left once it is late
    critical: Weight = 1.0  # times P(critical): how much more a critical finding costs
    advantage: Annotated[float, Meta(ge=0, le=8)] = (
        3.0  # when matching: power of (mean minutes of those present / hers)
    )


class Suspicion(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """P(critical) that an acuity stands for, when the model gives no number."""

    pending: Share = 0.05
    not_assessed: Share = 0.05
    nothing_flagged: Share = 0.05  # never below not_assessed
    suspected_urgent: Share = 0.3
    suspected_critical: Share = 0.6

    def of(self, acuity: Acuity) -> float:
        """Return the chance of an acuity."""
        chance: float = getattr(self, acuity.value)
        return chance


class Balance(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points for and against a reader, beside the minutes that she needs."""

    speed: Weight = 1.0  # a minute of expected reading
    load: Weight = 30.0  # full against empty
    surplus: Weight = 3.0  # a minute read more than her share, carried over
    surplus_max_min: Weight = 30.0  # so that a STAT in hand still counts for more
    stat: Weight = 200.0  # a STAT in hand, against a further STAT
    prior: Weight = 15.0  # she read the patient's earlier study
    patient: Weight = 400.0  # she has a study of the patient in hand
    skill: Weight = 20.0  # a level of the subspecialty asked for
    switch: Weight = 2.0  # another kind than the last
    interrupt: Weight = 1.0  # she is reading
    late: Weight = 300.0  # she would finish it after it is due
    over_cap: Weight = 1000.0  # she has her full load already
    asked: Weight = 5000.0  # she was asked before


class Rules(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How studies are given out."""

    order: Order = "gcmu"
    choose: Choose = "least_cost"
    matching: bool = True
    horizon_min: Positive | None = 60.0  # of a matching that weighs who is free soon; None: who has room now only
    cost: Cost = Cost()
    suspicion: Suspicion = Suspicion()
    age_cap_s: ByPriority = ByPriority(STAT=1800.0, URGENT=14400.0, ROUTINE=86400.0)  # older goes with the STATs
    balance: Balance = Balance()
    ahead: Annotated[int, Meta(ge=1)] | None = None  # pushed at most so many at a time; None: to her capacity
    batch_s: Annotated[float, Meta(gt=0, le=60)] = 1.0  # those that wait are matched anew this often
    ask_again_s: Weight = 120.0  # who declined or let it expire is not asked again before
    times_asked: Annotated[int, Meta(ge=1)] = 2  # of one study, by one reader
    declines_told: Annotated[int, Meta(ge=1)] = 3  # so many refusals and the managers are told
    any_skill_after_s: Positive | None = 600.0  # unread so long: any skill of the modality and specialty will do
    any_specialty_after_s: Positive | None = None  # unread so long: any specialty will do; None: never
    rescue: bool = True  # taken from who would be late with it and given to who would not
    rescue_lead_s: Weight = 300.0  # so long before the predicted breach may first be acted on
    window: Annotated[int, Meta(ge=1)] = 1  # who asks for work chooses among so many of her order
    minutes: dict[str, Positive] = field(
        default_factory=lambda: {
            "CR": 2.5, "DX": 2.5, "MG": 4.0, "US": 6.0, "CT": 8.0, "MR": 14.0, "PT": 20.0, "NM": 10.0, "XA": 12.0,
        }
    )  # fmt: skip
    minutes_else: Positive = 8.0
    rvu: dict[str, Positive] = field(
        default_factory=dict
    )  # what a read counts for least_rvu, by kind or modality; else 1
    finish_factor: Annotated[float, Meta(ge=1)] = 1.0  # of the expected minutes, to be sure of the shift's end

    def rvu_of(self, kind: str) -> float:
        """Return what a read of a kind counts."""
        return self.rvu.get(kind) or self.rvu.get(kind.split("/", 1)[0], 1.0)


NAMED: dict[str, Rules] = {
    "fifo": Rules(order="fifo", choose="least_count", matching=False),
    "strict_priority": Rules(order="strict_priority", choose="least_count", matching=False),
    "priority_age_cap": Rules(order="priority_age_cap", choose="least_count", matching=False),
    "edf": Rules(order="edf", choose="least_count", matching=False),
    "cmu": Rules(order="cmu", choose="least_cost", matching=False),
    "gcmu": Rules(order="gcmu", choose="least_cost", matching=False),
    "gcmu_matching": Rules(),
    "round_robin": Rules(order="fifo", choose="round_robin", matching=False),
    "least_count": Rules(order="strict_priority", choose="least_count", matching=False),
    "least_rvu": Rules(order="strict_priority", choose="least_rvu", matching=False),
    "deficit_balance": Rules(order="strict_priority", choose="deficit_balance", matching=False),
}


def named(name: str, base: Rules | None = None) -> Rules:
    """Return the rules of a named policy; with ``base``, its numbers under that policy's order and choice.

    Raises:
        KeyError: there is no such policy.
    """
    wanted = NAMED[name]
    if base is None:
        return wanted
    return structs.replace(base, order=wanted.order, choose=wanted.choose, matching=wanted.matching)


def plain(rules: Struct) -> dict[str, object]:
    """Return the rules as JSON shows them."""
    body: dict[str, object] = msgspec.to_builtins(rules)
    return body


def rules(body: object) -> Rules:
    """Return the rules of a body as a policy holds it; what it leaves out keeps its default.

    Raises:
        BadPayload: naming the field.
    """
    return given(body, Rules, "assignment")
