"""What DICOMweb refuses under its own status (PS3.18 8.5): 400 for a bad request, 406 for a form we cannot make."""

from __future__ import annotations

from typing import Any

from actors.domain.errors import BadPayload


class BadRequest(BadPayload):
    """A parameter is wrong; ``fields["field"]`` names it (400)."""

    status = 400

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message, {"field": field})


class NotAcceptable(BadPayload):
    """Nothing that we can make is accepted (406)."""

    code, status = "not_acceptable", 406
    sentence = "This is not available in a form that you accept."

    def __init__(self, message: str, fields: dict[str, Any] | None = None) -> None:
        super().__init__(message, fields)
