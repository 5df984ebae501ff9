"""What the inference queue holds: a study to assess, and the images it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MOST_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job; ``result`` is what an earlier attempt found but could not tell the study."""

    tenant_id: str
    job_id: str
    study_uid: str
    attempts: int  # this one included
    result: dict[str, Any] | None = None

    @property
    def idem(self) -> str:
        """The key under which its result reaches the study, once however often it is told."""
        return f"triage/{self.job_id}"


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An instance as triage needs it; ``header`` is DICOM JSON, ``path`` a name of the object store."""

    series_uid: str
    sop_uid: str
    sop_class: str
    transfer_syntax: str
    path: str
    header: dict[str, Any]
