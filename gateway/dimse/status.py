"""Why a service other than C-STORE is not performed (PS3.7 C, PS3.4 C.4, F.7, J.3).

* Refused
    * NoSuchOperation     0211  not a service of this port, or not of that context
    * NotAuthorized       0124  the caller's role never may
    * TooMuch             A700  too many requests, or too many results
    * Unavailable         A700  the database is away
    * NothingMoved        A702  no sub-operation could be performed
    * UnknownDestination  A801  no such AE title that may have these images
    * Mismatch            A900  the identifier is not one of this class and level
    * CannotProcess       C000  the identifier cannot be read, or an attribute not be searched by
    * Failure             0110  a normalized service failed
    * Busy                0213  too many requests to normalized services
    * Duplicate           0111  there is such an instance
    * NoSuchInstance      0112  there is none
    * InvalidValue        0106  an attribute has a value that it cannot have
    * MissingAttribute    0120  an attribute that is needed is not there
    * Settled             0110  a performed step that is completed does not change
"""

from __future__ import annotations

from gateway.ingest.refusal import Mismatch, NotAuthorized, Refused

__all__ = [
    "Busy", "CannotProcess", "Duplicate", "Failure", "InvalidValue", "Mismatch", "MissingAttribute", "NoSuchInstance",
    "NoSuchOperation", "NotAuthorized", "NothingMoved", "Refused", "TooMuch", "Unavailable", "UnknownDestination",
]  # fmt: skip


class NoSuchOperation(Refused):
    """Not a service of this port."""

    status = 0x0211


class TooMuch(Refused):
    """Out of resources: the same again later, or a narrower question."""

    status = 0xA700


class Unavailable(Refused):
    """Out of resources: the database is away."""

    status = 0xA700


class NothingMoved(Refused):
    """No sub-operation could be performed."""

    status = 0xA702


class UnknownDestination(Refused):
    """The move destination is unknown."""

    status = 0xA801


class CannotProcess(Refused):
    """The identifier cannot be processed."""

    status = 0xC000


class Failure(Refused):
    """Processing failure; also what a settled step answers."""

    status = 0x0110


class Busy(Refused):
    """Resource limitation."""

    status = 0x0213


class Duplicate(Refused):
    """Duplicate SOP instance."""

    status = 0x0111


class NoSuchInstance(Refused):
    """No such SOP instance."""

    status = 0x0112


class InvalidValue(Refused):
    """Invalid attribute value."""

    status = 0x0106


class MissingAttribute(Refused):
    """Missing attribute."""

    status = 0x0120
