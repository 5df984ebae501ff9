"""The built-in nights: a realistic one, the same under stress, a large day, and the settings of published studies.

Minutes, mixes and curves of the realistic night are assumptions, told in ``docs/assignment.md``; RVU are the work
RVU of Medicare's fee schedule for a usual study of the kind.
"""

from __future__ import annotations

from dataclasses import replace

from actors.domain.words import Acuity, Priority
from simulation.case import Person
from simulation.scenario import HOUR_S, Finding, Kind, Scenario, Site, Surge

S, U, R = Priority

KINDS = (
    Kind("CR", "chest", 3.2, 0.5, 0.18, "CHEST"),
    Kind("CR", "msk", 2.8, 0.5, 0.17, "HAND"),
    Kind("CT", "neuro", 8.0, 0.5, 0.85, "HEAD"),
    Kind("CT", "body", 13.5, 0.5, 1.74, "ABDOMEN"),
    Kind("CT", "chest", 11.0, 0.5, 1.40, "CHEST"),
    Kind("US", "body", 7.0, 0.4, 0.81, "ABDOMEN"),
    Kind("MR", "neuro", 16.0, 0.5, 1.48, "BRAIN"),
    Kind("MR", "msk", 14.0, 0.5, 1.35, "KNEE"),
)
_EMERGENCY = {
    "CR/chest": 0.26, "CR/msk": 0.12, "CT/neuro": 0.22, "CT/body": 0.17, "CT/chest": 0.09, "US/body": 0.08,
    "MR/neuro": 0.05, "MR/msk": 0.01,
}  # fmt: skip
_COMMUNITY = {
    "CR/chest": 0.32, "CR/msk": 0.18, "CT/neuro": 0.18, "CT/body": 0.15, "CT/chest": 0.06, "US/body": 0.07,
    "MR/neuro": 0.02, "MR/msk": 0.02,
}  # fmt: skip
FINDINGS = (
    Finding("haemorrhage", "CT/neuro", 0.08, 0.90, 0.94),
    Finding("embolism", "CT/chest", 0.12, 0.90, 0.92),
    Finding("pneumothorax", "CR/chest", 0.03, 0.85, 0.95),
    Finding("perforation", "CT/body", 0.03, 0.70, 0.95, Acuity.SUSPECTED_URGENT),
)
_EVENING = tuple(float(w) for w in (
    32, 28, 24, 20, 18, 18, 20, 26, 36, 46, 52, 54, 52, 52, 52, 52, 52, 52, 50, 48, 48, 46, 42, 37,
))  # fmt: skip
_WEEK = (1.05, 1.0, 1.0, 1.0, 1.05, 0.95, 0.95)
_OWN = (("neuro", "body"), ("body", "chest"), ("chest", "msk"), ("msk", "neuro"))


def _reader(  # noqa: PLR0913, PLR0917 - a row
    name: str,
    begin_h: float,
    end_h: float,
    own: tuple[str, ...],
    speed: float = 1.0,
    states: str = "ME NH VT",
    *,
    picks: bool = False,
) -> Person:
    """Return a reader of the night: all read everything, a quarter faster what is their own, 15 % slower the rest."""
    rest = (begin_h + end_h) / 2 * HOUR_S
    skills = {k.name: 0.75 if k.specialty in own else 1.0 if k.modality == "CR" else 1.15 for k in KINDS}
    return Person(
        name, ((begin_h * HOUR_S, end_h * HOUR_S),), ((rest, rest + 1500.0),), speed, skills,
        frozenset(f"US-{s}" for s in states.split()), {k.specialty: 3 if k.specialty in own else 1 for k in KINDS if k.specialty},
        declines=0.03, hard=2.0, misses=0.02, interruptions=3.0, call_min=1.5, picks=picks,
    )  # fmt: skip


def _night() -> Scenario:
    persons = (
        _reader("Ada", 0, 8, ("neuro",), 0.9),
        _reader("Bea", 0, 8, ("body",), picks=True),
        _reader("Cleo", 0, 8, ("chest", "body"), 1.05, "ME NH"),
        _reader("Dora", 0, 8, ("msk", "chest"), 1.1, picks=True),
        _reader("Eve", 1, 9, ("neuro", "chest")),
        _reader("Fay", 1, 9, ("body", "msk"), 0.95, "NH VT", picks=True),
        _reader("Gil", 4, 12, ("neuro", "body"), 0.95, picks=True),
        _reader("Hal", 4, 12, ("chest", "msk"), 1.05),
        *(replace(_reader(f"day {i}", 12, 20, own), relief=True) for i, own in enumerate(_OWN)),
    )
    sites = (
        Site("trauma centre", 0.5, _EMERGENCY, (0.28, 0.47, 0.25), "US-ME", _EVENING, _WEEK, trauma=0.03),
        Site("community west", 0.3, _COMMUNITY, (0.18, 0.47, 0.35), "US-NH", _EVENING, _WEEK),
        Site("community north", 0.2, _COMMUNITY, (0.15, 0.45, 0.40), "US-VT", _EVENING, _WEEK),
    )
    return Scenario(
        "night", "3 sites, 8 readers, 400 studies, 19:00 to 07:00", sites, KINDS, persons, 390, 12.0, 19.0,
        findings=FINDINGS, due_s={S: 30 * 60.0, U: 60 * 60.0, R: 240 * 60.0}, answer_s=8.0,
        trauma=("CT/neuro", "CT/chest", "CT/body"),
    )  # fmt: skip


NIGHT = _night()
STRESS = replace(
    NIGHT, name="stress", about="the night, with 1.2 times what can be read coming from 22:00 to 02:00",
    surge=Surge(3.0, 7.0, 1.2),
)  # fmt: skip


def large(studies: int = 10_000, readers: int = 150) -> Scenario:
    """Return a day of a large group: shifts of ten hours around the clock, studies by the day's curve."""
    persons = []
    for i in range(readers):
        begin = (0.0, 6.0, 10.0, 14.0, 14.0)[i % 5]
        persons.append(_reader(f"r{i:03d}", begin, begin + 10, _OWN[i // 5 % 4], 0.8 + 0.3 * (i * 7 % 11) / 10))
    return replace(
        NIGHT, name="large", about=f"{studies} studies, {readers} readers, a day", persons=tuple(persons),
        studies=studies, hours=24.0, begins_h=0.0,
    )  # fmt: skip


SCENARIOS = {s.name: s for s in (NIGHT, STRESS, large())}
