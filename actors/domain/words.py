"""The words of the reading room: one spelling from SQL to JSON to the screen."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Role(StrEnum):
    """What a person is within a tenant; ``OPERATOR`` belongs to the platform."""

    ADMIN = "admin"
    MANAGER = "manager"
    RADIOLOGIST = "radiologist"
    RESIDENT = "resident"
    TECHNOLOGIST = "technologist"
    VIEWER = "viewer"
    REFERRING_PHYSICIAN = "referring_physician"
    OPERATOR = "operator"


SITE_BOUND = frozenset({Role.TECHNOLOGIST, Role.VIEWER, Role.REFERRING_PHYSICIAN})
READERS = frozenset({Role.RADIOLOGIST, Role.RESIDENT})


class Status(StrEnum):
    """Where a study is between the order and the signed report."""

    ORDERED = "ordered"
    UNREAD = "unread"
    OFFERED = "offered"
    ASSIGNED = "assigned"
    READING = "reading"
    PRELIM = "prelim"
    FINAL = "final"
    CANCELLED = "cancelled"


SOONER = "sooner_with_another"  # why a study was taken back: its reader would be late, or a STAT need not wait for her


class Setting(StrEnum):
    """Where the patient was when the study was asked for; "" in a study when nobody said."""

    EMERGENCY = "emergency"
    INPATIENT = "inpatient"
    OUTPATIENT = "outpatient"


class Priority(StrEnum):
    """What the order asks for; ``rank`` sorts the urgent first."""

    STAT = "STAT"
    URGENT = "URGENT"
    ROUTINE = "ROUTINE"

    @property
    def rank(self) -> int:
        """0 for STAT, 1 for URGENT, 2 for ROUTINE."""
        return list(Priority).index(self)


class ReadinessState(StrEnum):
    """Input Readiness State (PS3.4 CC.1.1)."""

    UNREADY = "unready"
    INCOMPLETE = "incomplete"
    READY = "ready"


class Acuity(StrEnum):
    """What triage suspects. It only raises, and never says normal."""

    PENDING = "pending"
    NOT_ASSESSED = "not_assessed"
    NOTHING_FLAGGED = "nothing_flagged"
    SUSPECTED_URGENT = "suspected_urgent"
    SUSPECTED_CRITICAL = "suspected_critical"

    @property
    def level(self) -> AcuityLevel:
        """How far up it sorts; nothing flagged is level with not assessed."""
        return AcuityLevel[self.name]


class AcuityLevel(IntEnum):
    """The order of acuities; equal levels sort alike."""

    PENDING = 0
    NOT_ASSESSED = 0
    NOTHING_FLAGGED = 0
    SUSPECTED_URGENT = 1
    SUSPECTED_CRITICAL = 2


class ClockState(StrEnum):
    """State of an SLA clock."""

    RUNNING = "running"
    WARNED = "warned"
    BREACHED = "breached"
    PAUSED = "paused"
    STOPPED = "stopped"


class Flag(StrEnum):
    """What keeps a study open until a person has settled it."""

    NO_ORDER = "no_order"
    PATIENT_MISMATCH = "patient_mismatch"
    UID_CONFLICT = "uid_conflict"
    IMAGES_AFTER_SIGN = "images_after_sign"
    ORDER_AFTER_SIGN = "order_after_sign"
    PATIENT_AFTER_SIGN = "patient_after_sign"
    IMAGE_DAMAGED = "image_damaged"


class ReportStatus(StrEnum):
    """Status of a report; addenda are listed under it, each final."""

    DRAFT = "draft"
    PRELIM = "prelim"
    FINAL = "final"


class Presence(StrEnum):
    """What a reader is doing."""

    ONLINE = "online"
    READING = "reading"
    BUSY = "busy"
    AWAY = "away"
    OFF = "off"


class DeclineReason(StrEnum):
    """Why an offer was declined; the first two exclude the reader from the study."""

    OUTSIDE_COMPETENCE = "outside_competence"
    CONFLICT_OF_INTEREST = "conflict_of_interest"
    IMAGE_QUALITY = "image_quality"
    OVERLOADED = "overloaded"
    SHIFT_END = "shift_end"
    OTHER = "other"


EXCLUDING = frozenset({DeclineReason.OUTSIDE_COMPETENCE, DeclineReason.CONFLICT_OF_INTEREST})


class SignKind(StrEnum):
    """What a signature makes of a report."""

    PRELIM = "prelim"
    FINAL = "final"
    ADDENDUM = "addendum"


_ALIASES = {"in_progress": "reading", "completed": "final", "normal": "ROUTINE", "technician": "technologist"}


def spelled(word: str) -> str:
    """Return the house spelling of a word that others write differently."""
    return _ALIASES.get(word, word)
