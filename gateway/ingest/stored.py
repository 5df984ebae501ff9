"""What STOW-RS answers: which instances were stored, which were not and why (PS3.18 10.5.3, I.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from actors.domain.errors import Forbidden
from gateway.dicomweb.problem import BadRequest
from gateway.ingest.refusal import NotAuthorized, Refused, StorageAway

if TYPE_CHECKING:
    from gateway.ingest.header import Header
    from storage.ingest import Outcome


@dataclass(slots=True)
class Results:
    """The outcome of each instance of a request, in the order in which they came."""

    stored: list[tuple[Header, Outcome]] = field(default_factory=list)
    failed: list[tuple[str, str, Refused]] = field(default_factory=list)  # class and instance, as far as known

    def answer(self, root: str) -> web.Response:
        """Return the Store Instances Response; ``root`` is the URL of all studies.

        Raises:
            Forbidden: nothing of it may be stored by this role.
            BadRequest: there was no instance.
        """
        if not self.stored and not self.failed:
            raise BadRequest("The body has no part: send one instance a part.")
        if not self.stored and all(isinstance(why, NotAuthorized) for _, _, why in self.failed):
            raise Forbidden(str(self.failed[0][2]))
        body: dict[str, Any] = {}
        if self.stored:
            studies = {outcome.study_uid for _, outcome in self.stored}
            if len(studies) == 1:
                body["00081190"] = _url(f"{root}/{studies.pop()}")
            body["00081199"] = {"vr": "SQ", "Value": [_reference(root, *stored) for stored in self.stored]}
        if self.failed:
            body["00081198"] = {"vr": "SQ", "Value": [_failure(*failed) for failed in self.failed]}
        return web.Response(status=self.status, body=msgspec.json.encode(body), content_type="application/dicom+json")

    @property
    def status(self) -> int:
        """200 when all were stored, 202 when some were; 507 and 503 when disk or database are away, else 409."""
        if not self.failed:
            return 200
        if self.stored:
            return 202
        away = [why for _, _, why in self.failed if isinstance(why, StorageAway)]
        if len(away) < len(self.failed):
            return 409
        return 507 if any(isinstance(why.__cause__, OSError) for why in away) else 503


def _reference(root: str, found: Header, outcome: Outcome) -> dict[str, Any]:
    place = f"{outcome.study_uid}/series/{found.series_uid}/instances/{found.sop_uid}"
    return _named(found.sop_class, found.sop_uid) | {"00081190": _url(f"{root}/{place}")}


def _failure(sop_class: str, sop_uid: str, why: Refused) -> dict[str, Any]:
    return _named(sop_class, sop_uid) | {"00081197": {"vr": "US", "Value": [why.status]}}


def _named(sop_class: str, sop_uid: str) -> dict[str, Any]:
    named = {"00081150": sop_class, "00081155": sop_uid}
    return {tag: {"vr": "UI", "Value": [uid]} if uid else {"vr": "UI"} for tag, uid in named.items()}


def _url(url: str) -> dict[str, Any]:
    return {"vr": "UR", "Value": [url]}
