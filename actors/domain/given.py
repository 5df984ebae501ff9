"""Reads a part of a policy as people send it: strict about names, and clear about what is wrong."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from actors.domain.errors import BadPayload

_T = TypeVar("_T", bound=msgspec.Struct)


def given(body: object, kind: type[_T], name: str) -> _T:
    """Return the struct of a part of a policy; what it leaves out keeps its default.

    Raises:
        BadPayload: naming the field, from ``name`` on.
    """
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as exc:
        sentence, _, path = str(exc).partition(" - at `$")
        unknown = re.search(r"unknown field `(.+)`", sentence)
        parts = [p for p in [name, *path.rstrip("`").split("."), unknown and unknown[1]] if p]
        wrong = ".".join(parts)
        raise BadPayload(f"{wrong}: {sentence}.", {"field": wrong}) from None
