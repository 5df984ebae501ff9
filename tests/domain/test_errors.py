"""A refusal raised in an actor is the same refusal at the gateway."""

from __future__ import annotations

import pickle

import pytest

from actors.domain.errors import ReadingRoomError, refusals


@pytest.mark.parametrize("kind", list(refusals().values()), ids=list(refusals()))
def test_a_refusal_survives_the_journey(kind: type[ReadingRoomError]) -> None:
    error = kind("It has changed.", {"row": {"rev": 3}})
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.fields) == (kind, "It has changed.", {"row": {"rev": 3}})
    assert str(kind()) == kind.sentence
