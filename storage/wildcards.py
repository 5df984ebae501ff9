"""Wildcards of DICOM matching (PS3.4 C.2.2.2.4) as SQL patterns."""

from __future__ import annotations


def wild(value: str) -> bool:
    """Whether a value holds wildcards."""
    return "*" in value or "?" in value


def prefix(value: str) -> str:
    """Return what stands before the first wildcard."""
    return value.partition("*")[0].partition("?")[0]


def like(value: str) -> str:
    r"""Return the LIKE pattern of a value: ``*`` is any text, ``?`` one character, all else itself."""
    escaped = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")
