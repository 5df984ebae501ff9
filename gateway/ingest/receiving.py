"""From bytes to a file and its arrival: what C-STORE and STOW-RS share, in a thread of its own."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from actors import tracing
from actors.domain.identity import Principal
from actors.domain.setting import setting_of
from actors.domain.words import Role
from gateway.ingest import header, part10
from gateway.ingest.refusal import NotADataSet, StorageAway
from gateway.ingest.trail import Trail
from storage.ingest import Arrival, Person
from storage.objects import Place

if TYPE_CHECKING:
    from gateway.ingest.header import Header
    from storage.objects import Buffer, Incoming, ObjectStore, Stored

FIRST_BYTES, HELD_BYTES = 1 << 20, 8 << 20  # more than the latter goes to disk while it arrives

_DATE = re.compile(r"(\d{4})[.:-]?(\d{2})[.:-]?(\d{2})")
_NOT_IMAGES = frozenset({"SR", "PR", "KO", "SEG"})  # made from images: they do not say what kind of study it is


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose images these are, as AE or session say; never as the data set says."""

    tenant_id: str
    site_id: str
    issuer: str  # of patient ids that arrive without one
    aet: str = ""
    ae_id: str = ""
    wide: bool = False  # it sees its whole tenant, not its site only

    @property
    def principal(self) -> Principal:
        """Who is asking, where more than storing is asked: what its role may is in the one table of permissions."""
        role = Role.ADMIN if self.wide else Role.TECHNOLOGIST
        return Principal(f"ae:{self.ae_id}", self.tenant_id, role, frozenset({self.site_id}), self.aet)


@dataclass(frozen=True, slots=True)
class Announced:
    """What the sender says it sends; STOW-RS says no instance beforehand."""

    sop_class: str
    sop_uid: str
    transfer_syntax: str


class Receiving:
    """One data set at a time, in a buffer that is used again; large ones run through it to disk.

    ``begin``, then bytes by ``space`` and ``took`` or by ``feed``, then ``read``, ``settle``; ``abandon`` always.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._buffer = bytearray(FIRST_BYTES)
        self._view = memoryview(self._buffer)
        self._trail = Trail()
        self.begin(Announced("", "", ""))

    def begin(self, announced: Announced, aet: str = "") -> None:
        """Forget the one before."""
        self._announced, self._aet = announced, aet
        self._sha, self._held, self._first = hashlib.sha256(), 0, b""
        self._incoming: Incoming | None = None
        self._failed: OSError | None = None

    def space(self, size: int) -> memoryview:
        """Return room for the next bytes, to be followed by :meth:`took`."""
        if self._held + size > len(self._buffer):
            self._make_room(size)
        return self._view[self._held : self._held + size]

    def took(self, size: int) -> None:
        """Count bytes that were put into :meth:`space`."""
        self._sha.update(self._view[self._held : self._held + size])
        self._held += size

    def feed(self, data: Buffer) -> None:
        """Append bytes."""
        for at in range(0, len(data), FIRST_BYTES):
            piece = memoryview(data)[at : at + FIRST_BYTES]
            self.space(len(piece))[:] = piece
            self.took(len(piece))

    def _make_room(self, size: int) -> None:
        wanted = max(self._held + size, 2 * len(self._buffer))
        if self._incoming is not None or wanted > HELD_BYTES:
            self._spill()
            return
        grown = bytearray(wanted)
        grown[: self._held] = self._view[: self._held]
        self._buffer, self._view = grown, memoryview(grown)

    def _spill(self) -> None:
        if self._failed is None:
            try:
                self._write()
            except OSError as exc:  # the rest is read and thrown away, so that the sender hears why
                self._failed = exc
        self._held = 0

    def _write(self, named: Announced | None = None) -> Incoming:
        """Write what is held to the file."""
        data = self._view[: self._held]
        if self._incoming is None:
            said = named or self._announced
            self._first = bytes(data) if named is None else b""
            self._incoming = self._store.incoming(
                part10.preamble(said.sop_class, said.sop_uid, said.transfer_syntax, self._aet)
            )
        self._incoming.write(data)
        self._held = 0
        return self._incoming

    def read(self) -> Header:
        """Return the header, once all bytes are there.

        Raises:
            NotADataSet: it cannot be read.
            StorageAway: the disk was full while it arrived.
        """
        syntax = self._announced.transfer_syntax
        try:
            if self._failed is not None:
                raise self._failed
            if self._incoming is None:
                return header.read(self._view[: self._held], syntax, trail=self._trail)
            file = self._write()
            with file.reader() as opened:
                return header.read(self._first, syntax, whole=False, file=opened)
        except header.Unparsable as exc:
            raise NotADataSet(str(exc)) from exc
        except OSError as exc:
            raise StorageAway("the disk cannot take it now") from exc

    def whole(self) -> bytes:
        """Return what came, which is no instance; empty when it was too large to be anything else."""
        data = bytes(self._view[: self._held]) if self._incoming is None else b""
        self.abandon()
        return data

    def settle(self, sender: Sender, found: Header) -> Arrival:
        """Return the instance, on disk and synced.

        Raises:
            StorageAway: the disk is full; no file is left.
        """
        syntax = self._announced.transfer_syntax
        place = Place(sender.tenant_id, sender.site_id, found.study_uid, found.series_uid, found.sop_uid)
        try:
            file = self._incoming or self._write(Announced(found.sop_class, found.sop_uid, syntax))
            stored = file.settle(place, self._sha.digest())
        except OSError as exc:
            raise StorageAway("the disk cannot take it now") from exc
        finally:
            self.abandon()
        return arrival(sender, syntax, found, stored)

    def abandon(self) -> None:
        """Leave no temporary file behind."""
        if self._incoming is not None:
            self._incoming.discard()
            self._incoming = None


def iso_date(text: str) -> str:
    """Return a DICOM date as ISO 8601, empty when it is none."""
    found = _DATE.fullmatch(text.strip())
    try:
        return date(*map(int, found.groups())).isoformat() if found else ""
    except ValueError:
        return ""


def person(sender: Sender, found: Header) -> Person:
    """Return whose image it is; a number without issuer is the site's (PS3.3 C.7.1.1)."""
    sex = found.first("PatientSex").upper()
    return Person(
        issuer=found.first("IssuerOfPatientID") or sender.issuer,
        mrn=found.first("PatientID"),
        name=found.name("PatientName"),
        birth_date=iso_date(found.first("PatientBirthDate")),
        sex=sex if sex in {"M", "F", "O"} else "",
    )


def arrival(sender: Sender, transfer_syntax: str, found: Header, stored: Stored) -> Arrival:
    """Return what the rows and the study's actor are told of an instance."""
    modality = found.first("Modality")
    requested = "RequestAttributesSequence"
    return Arrival(
        tenant_id=sender.tenant_id,
        site_id=sender.site_id,
        study_uid=found.study_uid,
        series_uid=found.series_uid,
        sop_uid=found.sop_uid,
        sop_class=found.sop_class,
        transfer_syntax=transfer_syntax,
        stored=stored,
        header=found.data,
        person=person(sender, found),
        accession_number=found.first("AccessionNumber") or found.nested(requested, "AccessionNumber"),
        study_date=found.first("StudyDate"),
        study_time=found.first("StudyTime"),
        modality=modality,
        study_modality="" if modality in _NOT_IMAGES else modality,
        body_part=found.first("BodyPartExamined"),
        laterality=found.first("Laterality") or found.first("ImageLaterality"),
        procedure=found.first("RequestedProcedureDescription")
        or found.nested(requested, "RequestedProcedureDescription")
        or found.first("StudyDescription"),
        priority=found.first("RequestedProcedurePriority") or found.nested(requested, "RequestedProcedurePriority"),
        setting=setting_of(found.first("CurrentPatientLocation"), found.first("RequestingService")),
        phantom="YES" in (found.first("QualityControlSubject"), found.first("QualityControlImage")),
        trace=tracing.carrier(),
    )
