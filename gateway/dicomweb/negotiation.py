"""What a client accepts and what it gets (PS3.18 8.7): media ranges, their quality, the choice for frames."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from gateway.dicomweb.problem import NotAcceptable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiohttp import web

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
NATIVE = frozenset({EXPLICIT_LITTLE, "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"})
OCTETS = "application/octet-stream"
DICOM = "application/dicom"
JSON = "application/dicom+json"

# PS3.18 Table 8.7.3-5 and 8.7.3-6.
_MEDIA = {
    "image/jpeg": ("50", "51", "57", "70"),
    "image/jls": ("80", "81"),
    "image/jp2": ("90", "91"),
    "image/jpx": ("92", "93"),
    "image/jphc": ("201", "202", "203"),
    "image/jxl": ("110", "111", "112"),
    "video/mpeg": ("100", "100.1", "101", "101.1"),
    "video/mp4": ("102", "102.1", "103", "103.1", "104", "104.1", "105", "105.1", "106", "106.1", "107", "108"),
}
_OF_SYNTAX = {f"1.2.840.10008.1.2.4.{end}": media for media, ends in _MEDIA.items() for end in ends}
_OF_SYNTAX["1.2.840.10008.1.2.5"] = "image/dicom-rle"
# What frames are made into, by what is asked for without a transfer syntax; baseline JPEG loses, so it must be named.
_MADE = {
    "image/jpeg": "1.2.840.10008.1.2.4.70",
    "image/jls": "1.2.840.10008.1.2.4.80",
    "image/jp2": "1.2.840.10008.1.2.4.90",
    "image/jphc": "1.2.840.10008.1.2.4.201",
    "image/dicom-rle": "1.2.840.10008.1.2.5",
}
_TARGETS = frozenset({*_MADE.values(), *(f"1.2.840.10008.1.2.4.{end}" for end in ("50", "202", "203"))})

_TOKEN = r"[\w!#$%&'*+.^`|~/-]+"  # noqa: S105 - RFC 9110 5.6.2, and the slash of media types
_PART = re.compile(rf'\s*(?:({_TOKEN})(?:\s*=\s*("(?:[^"\\]|\\.)*"|{_TOKEN}))?)?\s*(;|,|$)')


@dataclass(frozen=True, slots=True)
class Range:
    """One media range of an Accept header."""

    media: str
    params: Mapping[str, str] = field(default_factory=dict)
    q: float = 1.0

    def param(self, name: str) -> str | None:
        """Return a parameter, unquoted."""
        return self.params.get(name)


def parse(accept: str) -> list[Range]:
    """Return the ranges of an Accept header, the most wanted first; what does not parse is left out."""
    ranges: list[Range] = []
    at, media, params = 0, "", dict[str, str]()
    while at <= len(accept):
        part = _PART.match(accept, at)
        if part is None:
            break
        name, value, end = part.groups()
        if name and not media:
            media = name.lower()
        elif name:
            params[name.lower()] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value and value[0] == '"' else value or ""
        if end != ";":
            if media:
                ranges.append(Range(media, params, _quality(params.pop("q", "1"))))
            media, params = "", {}
        at = part.end()
        if not end:
            break
    return sorted((r for r in ranges if r.q > 0), key=lambda r: -r.q)


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 1.0


def accepted(request: web.Request) -> list[Range]:
    """Return what the request accepts; a query parameter ``accept`` wins over the header (PS3.18 8.3.3.1)."""
    text = request.query.get("accept") or ",".join(request.headers.getall("Accept", ["*/*"]))
    return _remembered(text)


@lru_cache(maxsize=256)  # clients say the same again and again
def _remembered(accept: str) -> list[Range]:
    return parse(accept) or [Range("*/*")]


def media_of(transfer_syntax: str) -> str:
    """Return the media type of frames in a transfer syntax."""
    return _OF_SYNTAX.get(transfer_syntax, OCTETS)


def want_json(request: web.Request) -> str | None:
    """Return the transfer syntax that DICOM JSON is to describe images in; None: the stored one (PS3.18 8.7.3.5).

    Raises:
        NotAcceptable: something else is accepted only.
    """
    for range_ in accepted(request):
        if range_.media in ("*/*", "application/*", "application/json", JSON):
            syntax = range_.param("transfer-syntax")
            return None if syntax == "*" else syntax
    raise NotAcceptable(f"This is available as {JSON}.", {"field": "Accept"})


@dataclass(frozen=True, slots=True)
class Form:
    """How bytes are sent: as stored or native, as parts or alone, under which type."""

    media: str
    transfer_syntax: str
    multipart: bool
    stored: bool = True

    @property
    def content_type(self) -> str:
        """Content-Type of a part."""
        return f"{self.media}; transfer-syntax={self.transfer_syntax}"


def frames_forms(request: web.Request, transfer_syntax: str, count: int) -> Iterator[Form]:
    """Yield how frames stored in a transfer syntax may be sent, the most wanted first; what is made may not fit them.

    Raises:
        NotAcceptable: when all were taken.
    """
    native = transfer_syntax in NATIVE
    as_stored = EXPLICIT_LITTLE if native else transfer_syntax
    media = OCTETS if native else media_of(transfer_syntax)
    for range_ in accepted(request):
        if range_.media == "*/*":
            yield Form(media, as_stored, multipart=True)
            continue
        multipart = range_.media == "multipart/related"
        kind = (range_.param("type") or OCTETS).lower() if multipart else range_.media
        wanted = range_.param("transfer-syntax")
        if not multipart and count != 1:
            continue
        if (kind == OCTETS and (wanted in ("*", as_stored) or (native and wanted is None))) or (
            kind in (media, "*/*", f"{media.partition('/')[0]}/*") and wanted in (None, "*", as_stored)
        ):
            yield Form(media, as_stored, multipart)
        elif media.startswith("video/"):
            continue
        elif kind == OCTETS and wanted in (None, EXPLICIT_LITTLE):
            yield Form(OCTETS, EXPLICIT_LITTLE, multipart, stored=False)
        elif (made := _made(kind, wanted)) is not None:
            yield Form(media_of(made), made, multipart, stored=False)
    raise NotAcceptable(
        f"The frames are stored as {media}; transfer-syntax={as_stored}.",
        {"field": "Accept", "transfer_syntax": as_stored},
    )


def _made(kind: str, wanted: str | None) -> str | None:
    """Return the transfer syntax that frames are made into for a media type, if for any."""
    if wanted in (None, "*"):
        return _MADE.get(kind)
    return wanted if wanted in _TARGETS and kind in (media_of(wanted), "image/*", "*/*", OCTETS) else None


def dicom_form(request: web.Request, count: int, syntaxes: set[str], made: frozenset[str]) -> Form:
    """Return how whole instances are sent: as stored unless another syntax is asked for, as parts unless one alone is.

    Args:
        request: says what is accepted.
        count: how many instances there are.
        syntaxes: what they are stored in.
        made: what they can be made into.

    Raises:
        NotAcceptable: another form or transfer syntax is wanted.
    """
    for range_ in accepted(request):
        wanted = range_.param("transfer-syntax")
        stored = wanted in (None, "*") or syntaxes == {wanted}
        form = Form(DICOM, "*" if stored or wanted is None else wanted, multipart=range_.media != DICOM, stored=stored)
        if range_.media == "*/*":
            return Form(DICOM, "*", multipart=True)
        if not stored and wanted not in made:
            continue
        if range_.media == "multipart/related" and (range_.param("type") or DICOM).lower() in (DICOM, "*/*"):
            return form
        if range_.media == DICOM and count == 1:
            return form
    raise NotAcceptable(
        f'Instances are available as multipart/related; type="{DICOM}"; transfer-syntax=*, or one of'
        f" {', '.join(sorted(made))}."
    )


def rendered_media(request: web.Request) -> str:
    """Return ``image/jpeg`` or ``image/png``.

    Raises:
        NotAcceptable: neither is accepted.
    """
    for range_ in accepted(request):
        if range_.media in ("image/png", "image/jpeg"):
            return range_.media
        if range_.media in ("*/*", "image/*"):
            return "image/jpeg"
    raise NotAcceptable("Rendered images are available as image/jpeg and image/png.")
