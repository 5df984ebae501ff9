"""What HTTP itself asks of DICOMweb: ranges, tags, HEAD, and every refusal with its field and cure (PS3.18 8.5, RFC 9110)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from gateway.ingest import stow

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import FileDataset

PARTS = 'multipart/related; type="application/dicom"'
OCTETS = "application/octet-stream"
EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.fixture
async def one(dicomweb: Any, make: Callable[..., FileDataset]) -> FileDataset:
    """An image that is stored, with one long private value."""
    image = make()
    image.add_new(0x00420011, "OB", bytes(range(256)) * 32)
    await dicomweb.store(image)
    return image


RANGES = [  # what is asked of n bytes, what is answered: status, first, last
    ("bytes=0-0", 206, 0, 0),
    ("bytes=100-199", 206, 100, 199),
    ("bytes=100-", 206, 100, -1),
    ("bytes=-50", 206, -50, -1),
    ("bytes=0-99999999", 206, 0, -1),
    ("bytes=-99999999", 206, 0, -1),
    ("bytes=99999999-", 416, 0, 0),
    ("bytes=-0", 416, 0, 0),
    ("bytes=0-1,5-6", 200, 0, -1),  # several: a server may send the whole
    ("bytes=5-3", 200, 0, -1),  # what is no range is not there
    ("bytes=x", 200, 0, -1),
    ("lines=1-2", 200, 0, -1),
]


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("", "application/dicom"),
        ("", f"application/dicom; transfer-syntax={EXPLICIT}.99"),
        ("/bulkdata/00420011", OCTETS),
    ],
)
async def test_ranges(dicomweb: Any, one: FileDataset, at: Callable[..., str], path: str, accept: str) -> None:
    async with dicomweb.get(at(one) + path, accept=accept) as answer:
        assert (answer.status, answer.headers["Accept-Ranges"]) == (200, "bytes")
        whole, tag = await answer.read(), answer.headers["ETag"]
    n = len(whole)
    for asked, status, first, last in RANGES:
        async with dicomweb.get(at(one) + path, accept=accept, Range=asked) as answer:
            assert answer.status == status, asked
            said = await answer.read()
            if status == 416:
                assert answer.headers["Content-Range"] == f"bytes */{n}"
                assert answer.content_type == "application/problem+json"
            else:
                begin, end = first % n, last % n + 1
                assert said == whole[begin:end], asked
                assert answer.headers["ETag"] == tag
                assert answer.headers.get("Content-Range") == (
                    f"bytes {begin}-{end - 1}/{n}" if status == 206 else None
                )
        for held, expected in ((tag, status), ('"another"', 200), ("Tue, 24 Nov 2026 00:00:00 GMT", 200)):
            async with dicomweb.get(at(one) + path, accept=accept, Range=asked, **{"If-Range": held}) as answer:
                assert answer.status == expected, (asked, held)


TAGGED = {
    "": "application/dicom",
    "/metadata": "application/dicom+json",
    "/frames/1": f'multipart/related; type="{OCTETS}"',
    "/rendered": "image/png",
    "/thumbnail": "image/jpeg",
    "/frames/1/rendered": "image/jpeg",
    "/bulkdata/00420011": OCTETS,
}


async def test_what_a_client_holds_is_not_sent_again(dicomweb: Any, one: FileDataset, at: Callable[..., str]) -> None:
    for path, accept in TAGGED.items():
        async with dicomweb.get(at(one) + path, accept=accept) as answer:
            assert answer.status == 200
            tag = answer.headers["ETag"]
            kept = {name: answer.headers[name] for name in ("ETag", "Cache-Control", "Vary")}
        for held in (tag, f"W/{tag}", f'"another", {tag}', "*"):
            async with dicomweb.get(at(one) + path, accept=accept, **{"If-None-Match": held}) as answer:
                assert (answer.status, await answer.read()) == (304, b"")
                assert {name: answer.headers[name] for name in kept} == kept
        async with dicomweb.get(at(one) + path, accept=accept, **{"If-None-Match": '"another"'}) as answer:
            assert (answer.status, answer.headers["ETag"]) == (200, tag)


HEADS = [
    ("instance", "", "application/dicom"), ("instance", "", PARTS), ("study", "", PARTS),
    ("instance", "", f"{PARTS}; transfer-syntax={EXPLICIT}.99"), ("series", "/metadata", "application/dicom+json"),
    ("instance", "/frames/1", f'multipart/related; type="{OCTETS}"'), ("instance", "/frames/1", OCTETS),
    ("instance", "/frames/1,1", f'multipart/related; type="{OCTETS}"'), ("instance", "/rendered", "image/jpeg"),
    ("study", "/thumbnail", "image/png"), ("instance", "/bulkdata/00420011", OCTETS),
]  # fmt: skip


async def test_head_says_what_get_would(dicomweb: Any, one: FileDataset, at: Callable[..., str]) -> None:
    for level, path, accept in HEADS:
        asked = {"Authorization": "Bearer rita", "Accept": accept}
        url = dicomweb.base + at(one, level=level) + path
        async with dicomweb.http.get(url, headers=asked) as answer:
            assert answer.status == 200
            got = answer.headers
        for more in ({}, {"Range": "bytes=0-9"}):  # which is for GET alone
            async with dicomweb.http.head(url, headers=asked | more) as answer:
                assert (answer.status, await answer.read()) == (200, b"")
                for name in ("ETag", "Cache-Control", "Accept-Ranges"):
                    assert answer.headers.get(name) == got.get(name), name
                length = "Content-Length"  # which may be left out (RFC 9110 9.3.2)
                assert answer.headers.get(length) in (got.get(length), None)
                assert (
                    answer.headers["Content-Type"].partition("boundary")[0]
                    == got["Content-Type"].partition("boundary")[0]
                )
        async with dicomweb.http.get(url, headers=asked) as answer:  # the connection holds nothing left over
            assert answer.status == 200


UNMADE = {
    "/studies": ("application/dicom+xml", 'multipart/related; type="application/dicom+xml"', "text/html"),
    "{study}": ("application/dicom+json", "application/zip", "multipart/related; type=image/jpeg", "application/dicom"),
    "{instance}": ("image/jpeg", "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50", "text/plain"),
    "{series}/metadata": ("application/dicom+xml", 'multipart/related; type="application/dicom+xml"', "text/csv"),
    "{instance}/frames/1": ("image/gif", "video/mp4", "multipart/related; type=image/jpx", "application/dicom"),
    "{instance}/rendered": ("image/gif", "image/jp2", "video/mp4", "text/html", "application/pdf"),
    "{study}/thumbnail": ("image/gif", "application/dicom"),
    "{instance}/frames/1/rendered": ("image/gif", "video/mpeg"),
    "{instance}/bulkdata/00420011": ("image/png", "application/json", "multipart/related; type=image/jpeg"),
}


async def test_406_for_every_form_that_is_not_made(
    dicomweb: Any, make: Callable[..., FileDataset], one: FileDataset, at: Callable[..., str]
) -> None:
    second = make()
    second.StudyInstanceUID = one.StudyInstanceUID  # `application/dicom` is of one instance
    await dicomweb.store(second)
    for path, unmade in UNMADE.items():
        where = path.format(**{level: at(one, level=level) for level in ("study", "series", "instance")})
        for accept in unmade:
            for by_query in (False, True):
                said = {} if by_query else {"Accept": accept}
                query = {"accept": accept} if by_query else {}
                headers = {"Authorization": "Bearer rita"} | said
                async with dicomweb.http.get(dicomweb.base + where, headers=headers, params=query) as answer:
                    told = await answer.json(content_type=None)
                    assert (answer.status, told["code"]) == (406, "not_acceptable"), accept
                    assert "vailable as" in told["detail"] or "stored as" in told["detail"]
        async with dicomweb.get(where, accept=f"{unmade[0]}, */*;q=0.1") as answer:
            assert answer.status == 200


WRONG = [
    ("/studies?limit=-1", "limit"), ("/studies?offset=x", "offset"), ("/studies?fuzzymatching=perhaps", "fuzzymatching"),
    ("/studies?Nonsense=1", "Nonsense"), ("/studies?StudyDate=yesterday", "StudyDate"),
    ("/studies?StudyInstanceUID=abc", "StudyInstanceUID"), ("/studies?includefield=Nonsense", "Nonsense"),
    ("/studies?PixelData=1", "PixelData"), ("/instances?InstanceNumber=one", "InstanceNumber"),
    ("{instance}/frames/0", "frames"), ("{instance}/frames/1,,2", "frames"), ("{instance}/frames/-1", "frames"),
    ("{instance}/rendered?viewport=0,0", "viewport"), ("{instance}/rendered?viewport=9", "viewport"),
    ("{instance}/rendered?window=1", "window"), ("{instance}/rendered?window=1,0,linear", "window"),
    ("{instance}/rendered?window=1,2,cubic", "window"), ("{instance}/rendered?quality=101", "quality"),
    ("{instance}/thumbnail?quality=best", "quality"), ("{instance}/bulkdata/PixelData", "path"),
]  # fmt: skip


async def test_400_names_the_field_and_what_it_takes(dicomweb: Any, one: FileDataset, at: Callable[..., str]) -> None:
    for path, field in WRONG:
        async with dicomweb.get(path.format(instance=at(one))) as answer:
            told = await answer.json(content_type=None)
            assert (answer.status, told["code"], told["field"]) == (400, "bad_payload", field)
            assert len(told["detail"]) > len(field) + 10


def part10(image: FileDataset) -> bytes:
    file = io.BytesIO()
    image.save_as(file, enforce_file_format=True)
    return file.getvalue()


def body(*files: bytes) -> bytes:
    return b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n" for file in files) + b"--b--\r\n"


STOW = f"{PARTS}; boundary=b"
STORES = [  # Content-Type, Accept, files (g: good, o: of another study, x: no image), status, code
    (STOW, "application/dicom+json", "g", 200, None),
    (STOW, "*/*", "gx", 202, None),
    (STOW, "application/json", "go", 202, None),
    (STOW, "*/*", "x", 409, None),
    (STOW, "*/*", "ox", 409, None),
    (STOW, "*/*", "", 400, "bad_payload"),
    (STOW, "application/dicom+xml", "g", 406, "not_acceptable"),
    (STOW, "text/html", "g", 406, "not_acceptable"),
    (PARTS, "*/*", "g", 400, "bad_payload"),  # no boundary
    (f"{PARTS}; boundary=other", "*/*", "g", 400, "bad_payload"),
    ("application/dicom", "*/*", "g", 415, "unsupported_media_type"),
    ("multipart/form-data; boundary=b", "*/*", "g", 415, "unsupported_media_type"),
    ('multipart/related; type="application/dicom+json"; boundary=b', "*/*", "g", 415, "unsupported_media_type"),
    ("", "*/*", "g", 415, "unsupported_media_type"),
]


async def test_what_storing_answers(dicomweb: Any, make: Callable[..., FileDataset]) -> None:
    for kind, accept, files, status, code in STORES:
        good, other, before = make(), make(), await dicomweb.conn.fetchval("SELECT count(*) FROM rr.instance")
        sent = {"g": part10(good), "o": part10(other), "x": b"no image"}
        headers = {"Authorization": "Bearer ada", "Accept": accept, "Content-Type": kind}
        url = f"{dicomweb.base}/studies/{good.StudyInstanceUID}"
        async with dicomweb.http.post(url, data=body(*(sent[f] for f in files)), headers=headers) as answer:
            told = await answer.json(content_type=None)
            assert answer.status == status, (kind, accept, files, told)
        stored = [one["00081155"]["Value"][0] for one in told.get("00081199", {}).get("Value", [])]
        failed = [one["00081197"]["Value"][0] for one in told.get("00081198", {}).get("Value", [])]
        if code is None:
            assert stored == [good.SOPInstanceUID] * files.count("g")
            assert failed == [{"o": 0xA900, "x": 0xC000}[f] for f in files if f != "g"]
        else:
            assert (told["code"], "field" in told, len(told["detail"]) > 20) == (code, True, True), told
        assert await dicomweb.conn.fetchval("SELECT count(*) FROM rr.instance") - before == len(stored)


async def test_413_says_how_much_is_taken(
    dicomweb: Any, make: Callable[..., FileDataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stow, "MAX_REQUEST_BYTES", 10_000)
    headers = {"Authorization": "Bearer ada", "Content-Type": STOW}

    async def unannounced() -> Any:
        for _ in range(3):
            yield body(part10(make()))

    for data in (body(part10(make())), unannounced()):
        async with dicomweb.http.post(f"{dicomweb.base}/studies", data=data, headers=headers) as answer:
            told = await answer.json(content_type=None)
            assert (answer.status, told["code"], told["most_bytes"]) == (413, "too_large", 10_000)
            assert "several requests" in told["detail"]
    assert await dicomweb.conn.fetchval("SELECT count(*) FROM rr.instance") == 0


async def test_405_says_what_there_is(dicomweb: Any, one: FileDataset, at: Callable[..., str]) -> None:
    for method, path in (("DELETE", "{study}"), ("PUT", "/studies"), ("POST", "{study}/metadata")):
        where = dicomweb.base + path.format(study=at(one, level="study"))
        async with dicomweb.http.request(method, where, headers={"Authorization": "Bearer ada"}) as answer:
            assert (answer.status, (await answer.json(content_type=None))["code"]) == (405, "method_not_allowed")
            assert "GET" in answer.headers["Allow"]
