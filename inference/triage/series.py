"""Which of a study's series the head-CT model reads: plain, axial, soft tissue, most slices."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING, Any

from inference.triage.result import NotAssessed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from actors.domain.jobs import StoredImage

_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
_AXIAL = 0.85  # cosine between a slice's normal and the body's axis; a gantry tilts by 30 degrees at most
_NO_SLICE = {"LOCALIZER", "MIP", "MPR", "SECONDARY", "SCREEN SAVE", "REF_SURVIEW"}

_HEAD = re.compile(
    r"\b(heads?|headneck|brain|skull|crani\w*|cerebr\w*|encephal\w*|encefal\w*|kopf|schadel\w*|hirn|gehirn|crane\w*|"
    r"n?ccts?|tete|cabeza|cabeca|cerveau|neuro\w*)\b"
)
_ELSEWHERE = re.compile(
    r"\b(chest|thora\w*|lungs?|abd\w*|pelv\w*|spine|\w?spine|lumbar|cervical|neck|hals|hip|knee|ankle|foot|hand|wrist|"
    r"elbow|shoulder|leg|arm|extremity|heart|cardiac|coronary|liver|kidneys?|whole ?body|sinus\w*|orbits?|dental|"
    r"facial|face|temporal|petrous|aorta)\b"
)
_CONTRAST = re.compile(r"\b(cta|angio\w*|perfusion|venogra\w*|(with|post|after) (iv )?contrast|ce|c\+|km)(?!\w)")
_SHARP = re.compile(r"bone|knochen|\bos\b|sharp|edge|lung|\b[bhj]r?[67]\d|\bfc[38]\d|\by[a-d]\b")


def value(header: Mapping[str, Any], tag: str) -> Any:
    """Return the first value of a DICOM JSON attribute, or None (PS3.18 F.2)."""
    values = header.get(tag, {}).get("Value") or [None]
    return values[0]


def _plain(*texts: object) -> str:
    """Return texts in lower case, without accents, words apart."""
    joined = unicodedata.normalize("NFKD", " ".join(str(text) for text in texts if text)).lower()
    return re.sub(r"[_/,;.^-]+", " ", "".join(c for c in joined if not unicodedata.combining(c)))


def choose(images: Sequence[StoredImage], ordered: str = "", *, least: int = 12) -> list[StoredImage]:
    """Return the images of the series to judge; whether it is a head is decided by words, else by its pixels.

    Raises:
        NotAssessed: there is none, and why.
    """
    if not any(value(image.header, "00080060") == "CT" for image in images):
        raise NotAssessed("only CT of the head is")
    series: dict[str, list[StoredImage]] = defaultdict(list)
    for image in images:
        if image.sop_class == _CT_IMAGE and not _NO_SLICE & _image_type(image.header):
            series[image.series_uid].append(image)
    heads = [of for of in series.values() if shows_head(of[0].header, ordered) is not False]
    if not heads:
        raise NotAssessed("only CT of the head is" if series else "no axial slices")
    plain = [of for of in heads if _is_axial(of[0].header) and not _has_contrast(of[0].header)]
    if not plain:
        raise NotAssessed("no axial series without contrast")
    best = max(plain, key=lambda of: (not _is_sharp(of[0].header), len(of), of[0].series_uid))
    if len(best) < least:
        raise NotAssessed(f"{len(best)} of at least {least} slices")
    return best


def _image_type(header: Mapping[str, Any]) -> set[str]:
    return {str(part).upper() for part in header.get("00080008", {}).get("Value") or []}


def shows_head(header: Mapping[str, Any], ordered: str = "") -> bool | None:
    """Whether the first text that names a part of the body names the head; None when no text does."""
    tags = ("00180015", "0008103E", "00181030", "00081030", "00321060")
    for text in chain((value(header, tag) for tag in tags), (ordered,)):
        words = _plain(text)
        if _HEAD.search(words):
            return True
        if _ELSEWHERE.search(words):
            return False
    return None


def _is_axial(header: Mapping[str, Any]) -> bool:
    cosines: Iterable[Any] = header.get("00200037", {}).get("Value") or []
    try:
        ax, ay, _, bx, by, _ = (float(cosine) for cosine in cosines)
    except (TypeError, ValueError):
        return False
    return abs(ax * by - ay * bx) > _AXIAL


def _has_contrast(header: Mapping[str, Any]) -> bool:
    agent = _plain(value(header, "00180010"))
    words = _plain(value(header, "0008103E"), value(header, "00181030"))
    return bool((agent.strip() and agent.strip() not in {"none", "no", "without"}) or _CONTRAST.search(words))


def _is_sharp(header: Mapping[str, Any]) -> bool:
    return bool(_SHARP.search(_plain(value(header, "0008103E"), value(header, "00181210"))))
