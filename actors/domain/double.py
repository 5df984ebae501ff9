"""Which studies are read by a second person, as data: the first rule that fits a study says how, none says once."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct, field

from actors.domain.errors import BadPayload
from actors.domain.given import given
from actors.domain.second import Opening, SecondKind
from actors.domain.words import Priority  # noqa: TC001 - msgspec reads the annotations

if TYPE_CHECKING:
    from actors.domain.study import Study

_LOT = 2.0**64


class DoubleRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Studies that are read twice; an empty list asks for nothing.

    ``share`` of those that fit are taken by lot (peer review). ``blind``: until she has signed, the second reader sees
    nothing of the first report. ``clock`` stops at the ``first`` or the ``last`` signature; the hospital gets the
    report when all is settled (``deliver`` ``last``), or the first text before, as preliminary.
    """

    modality: Annotated[list[str], Meta(max_length=50)] = []
    procedure: Annotated[list[str], Meta(max_length=200)] = []  # words that the procedure contains
    site: Annotated[list[str], Meta(max_length=500)] = []  # site ids
    priority: Annotated[list[Priority], Meta(max_length=3)] = []
    share: Annotated[float, Meta(ge=0, le=1)] = 1.0
    mode: Literal["blind", "open"] = "blind"
    clock: Literal["first", "last"] = "first"
    deliver: Literal["first", "last"] = "last"
    discordance: Literal["attending", "manager"] = "attending"  # who decides when they do not agree


class SecondReads(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Double reads, and how a resident's report finds its attending: ``supervisors`` names whom to ask first."""

    double: Annotated[list[DoubleRule], Meta(max_length=50)] = []
    seed: int = 0  # of the lot
    cosign: bool = True  # a resident's signed report is offered to an attending
    supervisors: dict[str, str] = field(default_factory=dict)  # resident → attending


def _fits(rule: DoubleRule, study: Study) -> bool:
    text = study.procedure.lower()
    return (
        (not rule.modality or study.modality in rule.modality)
        and (not rule.procedure or any(word.lower() in text for word in rule.procedure))
        and (not rule.site or study.site_id in rule.site)
        and (not rule.priority or study.priority in rule.priority)
    )


def lot(seed: int, rule: int, study_uid: str) -> float:
    """Return the study's ticket in [0, 1) for a rule: the same for the same seed, however often it is drawn."""
    digest = blake2b(f"{seed}/{rule}/{study_uid}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / _LOT


def double(policy: SecondReads, study: Study) -> Opening | None:
    """Return what the first final signature opens, None when one reading is enough."""
    for n, rule in enumerate(policy.double):
        if _fits(rule, study):
            if lot(policy.seed, n, study.study_uid) >= rule.share:
                return None
            return Opening(
                SecondKind.DOUBLE,
                rule.mode == "blind",
                rule.clock == "last",
                rule.discordance == "attending",
                rule.deliver == "first",
            )
    return None


def cosign(policy: SecondReads, resident_id: str) -> Opening | None:
    """Return what a resident's signature opens, None when her report waits for whoever looks."""
    if not policy.cosign:
        return None
    return Opening(SecondKind.COSIGN, preferred=policy.supervisors.get(resident_id, ""))


def same_text(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether two reports say the same, but for spaces and capitals."""
    names = {*one, *other}
    return all(_words(one.get(name, "")) == _words(other.get(name, "")) for name in names)


def _words(text: str) -> list[str]:
    return text.casefold().split()


def second_reads(body: object) -> SecondReads:
    """Return the rules of a policy's ``second_reads``; what it leaves out keeps its default.

    Raises:
        BadPayload: naming the field.
    """
    found = given(body, SecondReads, "second_reads")
    for resident, attending in found.supervisors.items():
        if resident == attending:
            name = f"second_reads.supervisors.{resident}"
            raise BadPayload(f"{name}: nobody supervises herself.", {"field": name})
    return found
