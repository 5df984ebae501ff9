"""A report as PDF: the same text as in REST, laid out by Typst."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import typst

if TYPE_CHECKING:
    from collections.abc import Mapping

_LAYOUT = (Path(__file__).parent / "report.typ").read_bytes()
_STATUS = {"draft": "DRAFT, NOT SIGNED", "prelim": "PRELIMINARY", "final": "FINAL"}
_ORDER = ("technique", "comparison", "findings", "impression")


# Marks that turn the direction of what follows could make a report read as it was not written (Unicode TR 9, 3.1);
# direction comes from the letters themselves.
_UNSEEN = dict.fromkeys(
    [n for n in range(32) if chr(n) not in "\n\t"] + [0x7F, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
)


def _written(text: str) -> str:
    """Return text as it was typed: line ends are one, and nothing in it is invisible."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_UNSEEN)


def _person(name: str) -> str:
    """Return a DICOM person name (PS3.5 6.2.1) as people write it."""
    group = next((part for part in name.split("=") if part.strip("^ ")), "")
    family, _, rest = group.partition("^")
    given = " ".join(part for part in rest.split("^")[:2] if part)
    return ", ".join(part for part in (family, given) if part)


def _minute(at: str | None) -> str:
    return f"{at[:10]} {at[11:16]} UTC" if at else ""


def _readers(report: Mapping[str, Any], called: Mapping[str, str]) -> str:
    """Return who else has read the study and when, in the order of their signatures; empty when nobody has."""
    others: dict[str, str] = {}
    for one in report.get("signatures", ()):
        if one["by"] != report.get("signed_by"):
            others.setdefault(one["by"], _minute(one["at"]))
    return "; ".join(f"{called.get(who, who)}, {at}" for who, at in others.items())


def render(report: Mapping[str, Any], row: Mapping[str, Any], names: Mapping[str, str] | None = None) -> bytes:
    """Return the PDF of a report; takes tens of milliseconds of CPU.

    Args:
        report: as REST answers it.
        row: of its study.
        names: of people, by user id; who is not in it is shown by id.
    """
    called, patient = names or {}, row.get("patient") or {}
    facts = [
        ("Patient", _person(patient.get("name") or "")),
        ("Patient ID", patient.get("mrn") or ""),
        ("Born", patient.get("birth_date") or ""),
        ("Sex", patient.get("sex") or ""),
        ("Examination", row.get("procedure") or row.get("modality") or ""),
        ("Accession number", row.get("accession_number") or ""),
        ("Priority", row.get("priority") or ""),
        ("Images", str(row.get("images", ""))),
    ]
    sections = report["sections"]
    named = [*_ORDER, *sorted(set(sections) - set(_ORDER))]
    signed_by, signed_at = report.get("signed_by"), _minute(report.get("signed_at"))
    told = {
        "title": "Radiology report",
        "status": _STATUS[report["status"]],
        "site": row["site"]["name"],
        "facts": [(label, _written(value) or "not given") for label, value in facts],
        "sections": [(name.capitalize(), _written(sections[name])) for name in named if sections.get(name)],
        "addenda": [
            (f"{called.get(a['by'], a['by'])}, {_minute(a['at'])}", _written(a["text"]))
            for a in report.get("addenda", ())
        ],
        "signature": f"Signed by {called.get(signed_by, signed_by)}, {signed_at}" if signed_by else "Not signed",
        "readers": _readers(report, called),
        "footer": f"Report {report['report_id']}, version {report['version']} · Study {report['study_uid']}",
    }
    document: bytes = typst.compile(_LAYOUT, format="pdf", sys_inputs={"told": msgspec.json.encode(told).decode()})
    return document
