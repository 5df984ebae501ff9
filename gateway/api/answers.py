"""What several calls answer alike: a command that took effect, a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.domain.row import row_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.api.route import Call
    from storage.studies_read import Seen


def done(call: Call, answer: dict[str, Any]) -> dict[str, Any]:
    """Return an entity's answer as the caller's role may see it."""
    row = answer.get("row")
    return {"ok": True, **answer, **({} if row is None else {"row": row_for(call.who.role, row)})}


def paged(found: Sequence[Seen], limit: int) -> dict[str, Any]:
    """Return a page of studies; one more than ``limit`` was read, to know whether there is a next page."""
    more = len(found) > limit
    return {"items": [s.row for s in found[:limit]], "next": found[limit - 1].study_uid if more else None}
