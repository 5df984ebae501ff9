"""Everything the reading room may refuse to do.

* ReadingRoomError
    * BadPayload        a field is missing or wrong: names the field (422)
    * Unauthenticated   no session, or one that ended (401)
    * Forbidden         the role never may (403)
    * NotFound          not in this view, existing or not (404)
    * NothingToRead     the pool holds nothing for this reader (404)
    * Expired           the deadline passed before it was tried (408)
    * StaleVersion      the caller saw an older step (409)
    * AlreadyTaken      another reader has it (409)
    * OfferExpired      the offer is no longer open (409)
    * NotAssigned       an owner's command by one who is not (409)
    * WrongStatus       the study cannot take this command where it is now (409)
    * NotEligible       the reader may not have this study (409)
    * ConfirmNeeded     images are missing: sign again with confirm (409)
    * ChooseTenant      several memberships and none named (409)
    * Overloaded        too much at once; try later (429)
    * Retry             a part of the system is away; the same command may be sent again (503)
    * Failed            our own fault; nothing was done, and it was set aside for a person to look at (500)

They cross process boundaries: all arguments stay in ``args``, the sentence is in ``__str__``.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ReadingRoomError(Exception):
    """Base class; ``code`` is what the wire carries, ``status`` what HTTP answers.

    The first argument is a sentence for people, the second the extra fields of the answer.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    sentence: ClassVar[str] = "Something went wrong here. Nothing was changed."

    def __init__(self, message: str = "", fields: dict[str, Any] | None = None) -> None:
        super().__init__(message, fields or {})

    def __str__(self) -> str:
        return self.args[0] or self.sentence

    @property
    def fields(self) -> dict[str, Any]:
        """Extra members of the refusal, e.g. ``row`` of a stale version."""
        extra: dict[str, Any] = self.args[1]
        return extra


class BadPayload(ReadingRoomError):
    """A field is missing or wrong; ``fields["field"]`` names it."""

    code, status = "bad_payload", 422
    sentence = "The request does not have the form this call takes."


class Unauthenticated(ReadingRoomError):
    """No session, or one that has ended."""

    code, status = "unauthenticated", 401
    sentence = "Log in first."


class Forbidden(ReadingRoomError):
    """The role never may do this."""

    code, status = "forbidden", 403
    sentence = "Your role may not do this."


class NotFound(ReadingRoomError):
    """Not in this view, whether it exists or not."""

    code, status = "not_found", 404
    sentence = "There is no such thing in your view."


class NothingToRead(ReadingRoomError):
    """The pool holds nothing for this reader."""

    code, status = "nothing_to_read", 404
    sentence = "Nothing waits for you now."


class Expired(ReadingRoomError):
    """The deadline passed before the command was tried; nothing was done."""

    code, status = "expired", 408
    sentence = "Too late: the deadline passed before this was tried. Nothing was changed."


class StaleVersion(ReadingRoomError):
    """The caller saw an older step; ``fields["row"]`` is how it is now."""

    code, status = "stale_version", 409
    sentence = "It has changed since you saw it."


class AlreadyTaken(ReadingRoomError):
    """Another reader has it; ``fields["by"]`` says who."""

    code, status = "already_taken", 409
    sentence = "Another reader has this study."


class OfferExpired(ReadingRoomError):
    """The offer is no longer open."""

    code, status = "offer_expired", 409
    sentence = "This offer is no longer open."


class NotAssigned(ReadingRoomError):
    """An owner's command by somebody who is not the owner."""

    code, status = "not_assigned", 409
    sentence = "This study is not assigned to you."


class WrongStatus(ReadingRoomError):
    """The study cannot take this command where it is now."""

    code, status = "wrong_status", 409
    sentence = "The study cannot take this now."


class NotEligible(ReadingRoomError):
    """The reader may not have this study; ``fields["why"]`` says why."""

    code, status = "not_eligible", 409
    sentence = "This reader may not have this study."


class ConfirmNeeded(ReadingRoomError):
    """Images are missing; ``fields`` hold ``received`` and ``expected``."""

    code, status = "confirm_needed", 409
    sentence = "Images are missing. Sign again with confirm to say that you know."


class ChooseTenant(ReadingRoomError):
    """Several memberships and none named; ``fields["tenants"]`` lists them."""

    code, status = "choose_tenant", 409
    sentence = "You belong to several groups. Name one."


class Overloaded(ReadingRoomError):
    """Too much at once."""

    code, status = "overloaded", 429
    sentence = "Too much at once. Try again in a moment."


class Retry(ReadingRoomError):
    """A part of the system is away; the same command may be sent again."""

    code, status = "retry", 503
    sentence = "A part of the system is away. Send the same again."


class Failed(ReadingRoomError):
    """The entity failed on the command, also with fresh memory; a dead letter says so."""

    code, status = "failed", 500
    sentence = "This failed here, and somebody will look at it. Nothing was changed."


def refusals() -> dict[str, type[ReadingRoomError]]:
    """Return every refusal by its code."""
    return {kind.code: kind for kind in ReadingRoomError.__subclasses__()}
