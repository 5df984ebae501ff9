"""A study on paper: decides, evolves and projects without any actor, for tests of the rules."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

from actors.domain.commands import Grant, ImagesArrived, Offer, Order, Patient, ReceiveOrder
from actors.domain.decide import decide
from actors.domain.facts import Facts
from actors.domain.identity import Principal, study_key
from actors.domain.project import By, project
from actors.domain.study import Study
from actors.domain.words import Priority, Role

if TYPE_CHECKING:
    from actors.domain.unit import Unit

NOW = datetime(2026, 1, 1, 3, 14, tzinfo=UTC)
PATIENT = Patient("p1", "PHANTOM^Iris", "004417", "harbor", "1961-04-12", "F")
ORDER = Order("harbor", "A26-1", Priority.STAT, "CT head", "CT", PATIENT, body_part="HEAD", expected_instances=2)
ADA = Principal("ada", "t", Role.RADIOLOGIST, name="Ada")
BOB = Principal("bob", "t", Role.RADIOLOGIST, name="Bob")
SAM = Principal("sam", "t", Role.RESIDENT, name="Sam")
MAX = Principal("max", "t", Role.MANAGER, name="Max")

TESS = Principal("tess", "t", Role.TECHNOLOGIST, frozenset({"harbor"}), "Tess")


@dataclass
class Story:
    """One study, its clock in the teller's hand."""

    study: Study = field(default_factory=lambda: Study("1.2.3"))
    facts: Facts = field(default_factory=lambda: Facts("t", "Harbor", new_id="report-1"))
    now: datetime = NOW
    units: list[Unit] = field(default_factory=list)
    ids: Any = field(default_factory=count)

    def tell(self, command: Any, by: Principal | None = None, **facts: Any) -> Unit:
        """Apply a command; later facts know the patient it brought."""
        self.facts = replace(self.facts, **facts)
        decision = decide(self.study, command, by, self.now, self.facts)
        who = By(by and by.user_id, None, self.now)
        key = study_key("t", self.study.study_uid)
        self.study, unit = project(key, self.study, decision, self.facts, who, lambda: f"id-{next(self.ids)}")
        if decision.patient:
            self.facts = replace(self.facts, patient=decision.patient)
        self.units.append(unit)
        return unit

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    @property
    def types(self) -> list[str]:
        """Every event so far."""
        return [event.type for unit in self.units for event in unit.events]

    # -- chapters
    def order(self, order: Order = ORDER) -> Story:
        self.tell(ReceiveOrder(order))
        return self

    def images(self, received: int = 2, *, patient: Patient = PATIENT, **fields: Any) -> Story:
        self.tell(ImagesArrived("harbor", patient, received, accession_number="A26-1", **fields))
        return self

    def offer(self, to: Principal = ADA, offer_id: str = "o1") -> Story:
        self.tell(Offer(Grant(to.user_id, offer_id, self.study.step, 1), "Because.", 120.0))
        return self


def assigned() -> Story:
    """A STAT study that Ada has accepted."""
    from actors.domain.commands import Accept  # noqa: PLC0415

    story = Story().order().images().offer()
    story.tell(Accept("o1"), ADA)
    return story
