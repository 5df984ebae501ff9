"""Whatever query strings and multipart bodies come, they are answered or refused, never with a 5xx, and in time."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
import structlog
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from hypothesis import strategies as st
from multidict import CIMultiDict, MultiDict

from actors.domain.identity import Principal
from actors.domain.words import Role
from gateway.dicomweb import negotiation, query
from gateway.dicomweb.problem import BadRequest
from gateway.ingest import multipart
from storage import dicom_query
from storage.dicom_query import INSTANCE, SERIES, STUDY
from tests.dicom.test_fuzz import fuzz, mutated
from tests.dicom.test_stow import part10
from tests.dicom.web import gateway

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import FileDataset

    from tests.gateway import rest

__all__ = ["gateway"]
WAIT_S = 60
WHO = Principal("u1", "north", Role.RADIOLOGIST)
QUERIES = [
    b"PatientName=Quay*&fuzzymatching=true&limit=5", b"00100020=*47?1*&00100021=north-main&includefield=all",
    b"StudyDate=20260101-20261231&StudyTime=0800-1200&offset=2", b"ModalitiesInStudy=CT,MR&Modality=CT%5CMR",
    b"StudyInstanceUID=1.2.3,1.2.4%5C1.2.5&SeriesNumber=3", b"includefield=00081030,00080060,PatientName",
    b"ReferencedStudySequence.ReferencedSOPInstanceUID=1.2&00400275.00400007=x*",
    b"PatientName=%E4%B8%81%5E%E9%98%BF&fuzzymatching=true", b"InstanceNumber=-1e5&Rows=512&PixelSpacing=0.5",
    b"AcquisitionDateTime=20260101103000.5%2B0100-&accept=application/dicom%2Bjson&PatientName=",
]  # fmt: skip
ACCEPTS = [
    b'multipart/related; type="application/octet-stream"; transfer-syntax=*; q=0.5, image/jls;q=0.9, */*;q=0.1',
    b'application/dicom+json, multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.80',
    b'multipart/related; type="image/jp2\\""; boundary=x;;q=1e9,,;, image/*;q=nan',
]


def test_a_query_string_is_read_or_refused_and_what_is_read_makes_a_statement() -> None:
    def check(example: tuple[bytes, str]) -> None:
        text, level = example
        given = MultiDict(parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True))
        with suppress(BadRequest):
            asked = query.parse(given, level)
            sql, arguments = dicom_query.statement(WHO, asked.search)
            assert max(int(number) for number in _numbers(sql)) <= len(arguments)

    wild = st.binary(max_size=80) | st.text(max_size=60).map(str.encode)
    fuzz(st.tuples(mutated(QUERIES) | wild, st.sampled_from([STUDY, SERIES, INSTANCE])), check)


def _numbers(sql: str) -> list[str]:
    return [digits for part in sql.split("$")[1:] if (digits := part[: len(part) - len(part.lstrip("0123456789"))])]


def test_an_accept_header_is_read_whatever_it_says() -> None:
    def check(text: bytes) -> None:
        ranges = negotiation.parse(text.decode("utf-8", "surrogateescape"))
        assert [range_.q for range_ in ranges] == sorted((range_.q for range_ in ranges), reverse=True)
        assert all(0 < range_.q <= 1 and range_.media for range_ in ranges)

    fuzz(mutated(ACCEPTS) | st.binary(max_size=80), check)


def _read(boundary: str, pieces: list[bytes]) -> list[bytes]:
    """Return the parts of a body that comes in pieces."""

    async def read() -> list[bytes]:
        loop = asyncio.get_running_loop()
        protocol = BaseProtocol(loop)
        protocol.connection_made(asyncio.Transport())
        content = StreamReader(protocol, 1 << 22, loop=loop)

        async def come() -> None:
            for piece in pieces:
                content.feed_data(piece)
                await asyncio.sleep(0)
            content.feed_eof()

        coming, found = asyncio.create_task(come()), []
        headers = CIMultiDict({"Content-Type": f'multipart/related; type="application/dicom"; boundary="{boundary}"'})
        try:
            async with asyncio.timeout(WAIT_S):
                async for part in multipart.parts(headers, content):
                    data = b""
                    while chunk := await multipart.chunk(part):
                        data += chunk
                    found.append(data)
        finally:
            await coming
        return found

    return asyncio.run(read())


def _cut(body: bytes, at: list[int]) -> list[bytes]:
    ends = sorted({0, len(body), *(number % (len(body) + 1) for number in at)})
    return [body[a:b] for a, b in pairwise(ends)]


def test_parts_come_back_whole_however_the_body_is_cut() -> None:
    letters = st.text("abcXYZ019'()+_,-./:=?", min_size=1, max_size=73)
    parts = st.lists(st.binary(max_size=300) | st.binary(max_size=3).map(lambda b: b * 30000), min_size=1, max_size=4)

    def check(example: tuple[str, list[bytes], list[int], bool, bytes]) -> None:
        boundary, given, at, sized, before = example
        mark = b"--" + boundary.encode()
        if any(b"\r\n" + mark in b"\r\n" + part for part in given) or any(
            line.rstrip() in (mark, mark + b"--") for line in before.split(b"\n")
        ):
            return
        body = before + b"\r\n" if before else b""
        for part in given:
            size = b"Content-Length: %d\r\n" % len(part) if sized else b""
            body += mark + b"\r\nContent-Type: application/dicom\r\n" + size + b"\r\n" + part + b"\r\n"
        assert _read(boundary, _cut(body + mark + b"--\r\n", at)) == given

    fuzz(
        st.tuples(letters, parts, st.lists(st.integers(0, 200_000), max_size=8), st.booleans(), st.binary(max_size=30)),
        check,
    )


def test_a_broken_body_is_read_or_refused() -> None:
    whole = (
        b"".join(b"--rr\r\nContent-Type: application/dicom\r\n\r\n" + b"x" * n + b"\r\n" for n in (0, 5, 900))
        + b"--rr--\r\n"
    )
    seeds = [whole, b"prologue\r\n" + whole + b"epilogue", whole.replace(b"application/dicom", b"multipart/mixed; boundary=b"),
             whole.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n"), whole.replace(b"\r\n", b"\n")]  # fmt: skip

    def check(example: tuple[bytes, str, list[int]]) -> None:
        body, boundary, at = example
        with suppress(BadRequest):
            assert sum(map(len, _read(boundary, _cut(body, at)))) <= len(body)

    wild = st.sampled_from(["rr", "", "b", "\\", "r" * 201]) | st.text(max_size=4)
    fuzz(st.tuples(mutated(seeds) | st.binary(max_size=200), wild, st.lists(st.integers(0, 2000), max_size=4)), check)


def _say(port: int, words: bytes) -> int:
    """Say something to the server, and return the status of its answer, read whole; 0 when it hung up."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as sock:
        try:
            with suppress(ConnectionError):  # it may have refused before we have said all
                sock.sendall(words)
            answer = HTTPResponse(sock)
            answer.begin()
            answer.read()
        except (ConnectionError, HTTPException):
            return 0
        return answer.status


async def _over_a_socket(gateway: rest.World, strategy: st.SearchStrategy[Any], ask: Callable[[Any], bytes]) -> None:
    """Let the server answer each example, with no 5xx among its answers."""
    port, statuses = int(gateway.url.rpartition(":")[2]), set[int]()

    def check(example: Any) -> None:
        status = _say(port, ask(example))
        assert status < 500
        statuses.add(status)

    with structlog.testing.capture_logs() as said:
        await asyncio.to_thread(fuzz, strategy, check)
    assert [entry for entry in said if entry["event"] in ("handler_failed", "part_away")] == []
    assert statuses >= {200, 400}
    assert (await gateway.get("/healthz")).status == 200


@pytest.mark.timeout(900)
async def test_every_search_over_a_socket_is_answered_or_refused(
    gateway: rest.World, images: Callable[..., list[FileDataset]]
) -> None:
    bearer = f"Authorization: Bearer {gateway.tokens['amy']}\r\n".encode()
    body = _body(part10(images()[0]))
    stored = await asyncio.to_thread(_say, int(gateway.url.rpartition(":")[2]), _post(bearer, b"rr", body))
    assert stored == 200

    def ask(example: tuple[bytes, bytes, bytes]) -> bytes:
        level, text, accept = example
        head = b"GET /dicom-web" + level + b"?" + text.replace(b" ", b"+") + b" HTTP/1.1\r\nHost: room\r\n"
        return head + bearer + b"Accept: " + accept + b"\r\nConnection: close\r\n\r\n"

    levels = st.sampled_from([b"/studies", b"/series", b"/instances", b"/studies/1.2/series"])
    plain = st.sampled_from([b"*/*", b"application/dicom+json"])
    texts = mutated(QUERIES) | st.binary(max_size=80)
    await _over_a_socket(gateway, st.tuples(levels, texts, plain | mutated(ACCEPTS)), ask)


def _body(*files: bytes) -> bytes:
    return b"".join(b"--rr\r\nContent-Type: application/dicom\r\n\r\n" + one + b"\r\n" for one in files) + b"--rr--\r\n"


def _post(bearer: bytes, boundary: bytes, body: bytes) -> bytes:
    of = b'Content-Type: multipart/related; type="application/dicom"; boundary=' + boundary + b"\r\n"
    size = b"Content-Length: %d\r\n" % len(body)
    return (
        b"POST /dicom-web/studies HTTP/1.1\r\nHost: room\r\n" + bearer + of + size + b"Connection: close\r\n\r\n" + body
    )


@pytest.mark.timeout(900)
async def test_every_body_over_a_socket_is_stored_or_refused(
    gateway: rest.World, images: Callable[..., list[FileDataset]]
) -> None:
    bearer = f"Authorization: Bearer {gateway.tokens['amy']}\r\n".encode()
    files = [part10(images(name)[0]) for name in ("CT_small.dcm", "MR_small_RLE.dcm", "rtplan.dcm", "image_dfl.dcm")]
    short = [file[:3000] for file in files]
    seeds = [
        _body(files[2]),
        _body(*short),
        _body(files[3][:5000], b"garbage", short[0]),
        b"preamble\r\n" + _body(files[1]),
    ]

    def ask(example: tuple[bytes, bytes]) -> bytes:
        return _post(bearer, *example)

    boundaries = st.sampled_from([b"rr", b'"rr"', b"", b"r", b'"', b"x" * 300, b"rr; type=x", b"rr; boundary=b"])
    await _over_a_socket(gateway, st.tuples(boundaries, mutated(seeds) | st.binary(max_size=100)), ask)
