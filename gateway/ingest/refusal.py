"""Why an instance is not stored, as C-STORE and STOW-RS say it (PS3.4 B.2.3, PS3.18 10.5.3).

* Refused
    * NotAuthorized 0124  the sender's role may not store this class
    * NoSuchClass   0122  not a storage class, or not that of the presentation context
    * StorageAway   A700  disk full, or the database away: send it again later
    * Mismatch      A900  the data set names another class or instance than the request
    * NotADataSet   C000  it cannot be read
"""

from __future__ import annotations

from typing import ClassVar


class Refused(Exception):
    """Base class; the argument is a comment for the sender (0000,0902), without patient data."""

    status: ClassVar[int] = 0xC000


class NotAuthorized(Refused):
    """The sender's role may not store instances of this class."""

    status = 0x0124


class NoSuchClass(Refused):
    """The SOP class is not one that is stored here."""

    status = 0x0122


class StorageAway(Refused):
    """Out of resources; nothing was kept, or whether it was is unknown, and a resend is safe."""

    status = 0xA700


class Mismatch(Refused):
    """The data set does not match the request."""

    status = 0xA900


class NotADataSet(Refused):
    """The data set cannot be understood."""

    status = 0xC000
