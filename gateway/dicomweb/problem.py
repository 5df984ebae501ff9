"""What DICOMweb refuses under its own status (PS3.18 8.5): 400 for a bad request, 406 for a form we cannot make, and so on."""

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


class TooLarge(BadPayload):
    """A request has more bytes than are taken at once (413)."""

    code, status = "too_large", 413

    def __init__(self, most: int) -> None:
        fields = {"field": "", "most_bytes": most}
        super().__init__(f"A request may have {most} bytes. Send the instances in several requests.", fields)


class UnsupportedMedia(BadPayload):
    """A body of a kind that is not taken (415)."""

    code, status = "unsupported_media_type", 415

    def __init__(self, taken: str) -> None:
        super().__init__(f"Content-Type: this takes {taken}.", {"field": "Content-Type"})
        self.headers = {"Accept": taken}


class NotSatisfiable(BadPayload):
    """A range of bytes that are not there (416)."""

    code, status = "range_not_satisfiable", 416

    def __init__(self, size: int) -> None:
        super().__init__(f"Range: there are {size} bytes, the first is 0.", {"field": "Range"})
        self.headers = {"Content-Range": f"bytes */{size}"}
