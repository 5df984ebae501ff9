"""What entities and their host tell each other; nobody outside sends these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from actors.domain.commands import Envelope

if TYPE_CHECKING:
    from actors.domain.commands import Command
    from actors.domain.study import Study


FORWARD = "forward"  # in an answer: the key and envelope to ask next, once the mailbox is free


@dataclass(frozen=True, slots=True)
class Forwarded(Envelope):
    """A command that the tenant's decider passes on to a study, as the person sent it."""

    digest: bytes = b""  # of the command she sent, under whose key the answer is kept


@dataclass(frozen=True, slots=True)
class Changed:
    """A study to its tenant's decider: how it stands now. Its ``rev`` makes it idempotent and proof against reordering.

    On one host it is the very object that the study's actor holds: 100,000 open studies are in memory once.
    """

    study: Study


@dataclass(frozen=True, slots=True)
class ReaderChanged:
    """A radiologist to her tenant's decider: her state now."""

    user_id: str
    state: str
    rev: int


@dataclass(frozen=True, slots=True)
class Missed:
    """A study to the radiologist: she let its offer expire, so she is not there."""

    study_uid: str


@dataclass(frozen=True, slots=True)
class Spent:
    """The host to a tenant's decider: this grant can never land, its idempotency key belongs to another command."""

    study_uid: str
    offer_id: str


@dataclass(frozen=True, slots=True)
class Tick:
    """The host to a tenant's decider, once a second: read what tells may have missed, tell again what got no answer."""


class Later(Exception):
    """The study was told of images a moment ago: keep these and tell it again after ``args[0]`` seconds."""


class Misplaced(Exception):
    """A host to a router: the entity does not live here, or is just moving. Nothing happened."""


class Unfinished(Exception):
    """A host to a router: the answer takes longer than the others of the call should wait for; ask again."""


Told: TypeAlias = Changed | ReaderChanged | Missed | Spent | Tick


def sealed(message: Told) -> Envelope:
    """Return a message between entities in its envelope."""
    return Envelope(cast("Command", message))
