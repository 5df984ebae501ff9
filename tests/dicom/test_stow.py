"""STOW-RS: who may store what, what is answered, and that it is stored as C-STORE stores it."""

from __future__ import annotations

import errno
import io
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from actors.domain.identity import Principal, apart_study_uid
from actors.domain.words import Role
from gateway.auth import SESSIONS, Session
from gateway.ingest import stow
from gateway.problems import refuse
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientResponse
    from pydicom.dataset import FileDataset

    from tests.dicom.conftest import World

SR = "1.2.840.10008.5.1.4.1.1.88.33"
Images = "Callable[..., list[FileDataset]]"


def part10(image: FileDataset) -> bytes:
    file = io.BytesIO()
    image.save_as(file, enforce_file_format=True)
    return file.getvalue()


class Client:
    """A browser or program with a session."""

    def __init__(self, http: TestClient[Any, Any]) -> None:
        self.http = http
        self.who = Principal("u1", "north", Role.ADMIN)

    def be(self, role: Role, *sites: str) -> None:
        self.who = Principal("u1", "north", role, frozenset(sites))

    async def store(
        self, *files: bytes, path: str = "", of: str = 'multipart/related; type="application/dicom"'
    ) -> ClientResponse:
        body = (
            b"".join(b"--rr\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n" for file in files)
            + b"--rr--\r\n"
        )
        headers = {"Content-Type": f"{of}; boundary=rr"}
        return await self.http.post(f"/dicom-web/studies{path}", data=body, headers=headers)


@pytest.fixture
async def client(world: World) -> AsyncIterator[Client]:
    db = await Database(world.settings.dsn("rr_ingest")).open()
    valkey = Redis.from_url(world.settings.valkey_url)
    deps: Any = SimpleNamespace(settings=world.settings, dbs={"rr_ingest": db}, valkey=valkey)

    async def session(_: str) -> Session:
        return Session(client.who, "access", "f", datetime.now(UTC) + timedelta(hours=1))

    app = web.Application(middlewares=[refuse])
    app[SESSIONS] = SimpleNamespace(session=session)  # type: ignore[misc]
    stow.attach(app, deps)
    async with TestClient(TestServer(app), headers={"Authorization": "Bearer x"}) as http:
        client = Client(http)
        yield client
    await valkey.aclose()
    await db.close()


async def test_what_is_stored_is_named_with_where_to_get_it(world: World, client: Client, images: Images) -> None:
    made = images(count=2)
    answer = await client.store(*map(part10, made))
    assert answer.status == 200
    assert answer.content_type == "application/dicom+json"
    body = await answer.json(content_type=None)
    study = f"http://{client.http.host}:{client.http.port}/dicom-web/studies/{made[0].StudyInstanceUID}"
    assert body["00081190"] == {"vr": "UR", "Value": [study]}
    (first, _) = body["00081199"]["Value"]
    assert first["00081150"]["Value"] == [made[0].SOPClassUID]
    assert first["00081155"]["Value"] == [made[0].SOPInstanceUID]
    place = f"{study}/series/{made[0].SeriesInstanceUID}/instances/{made[0].SOPInstanceUID}"
    assert first["00081190"]["Value"] == [place]
    rows = await world.rows("SELECT sop_uid, site_id, path, sha256 FROM rr.instance ORDER BY received_at")
    assert [(row["sop_uid"], row["site_id"]) for row in rows] == [(image.SOPInstanceUID, "main") for image in made]
    sent = part10(made[0])
    assert world.data_set(rows[0]["path"]) == world.strip(sent)
    assert {entry["study_uid"] for entry in await world.inbox()} == {made[0].StudyInstanceUID}


@pytest.mark.parametrize(("role", "sites", "query", "site"), [
    (Role.ADMIN, (), "", "main"), (Role.ADMIN, (), "?site=harbor", "harbor"), (Role.ADMIN, (), "?site=Harbor", "harbor"),
    (Role.TECHNOLOGIST, ("harbor",), "", "harbor"), (Role.TECHNOLOGIST, ("harbor", "main"), "", "main"),
    (Role.TECHNOLOGIST, ("harbor", "main"), "?site=harbor", "harbor"),
])  # fmt: skip
async def test_images_are_of_the_site_that_is_named_or_ones_own(  # noqa: PLR0917
    world: World, client: Client, images: Images, role: Role, sites: tuple[str, ...], query: str, site: str
) -> None:  # fmt: skip
    client.be(role, *sites)
    assert (await client.store(*map(part10, images()), path=query)).status == 200
    assert await world.value("SELECT site_id FROM rr.dicom_study") == site


@pytest.mark.parametrize("query", ["?site=harbor", "?site=nowhere"])
async def test_a_site_out_of_view_is_not_found(world: World, client: Client, images: Images, query: str) -> None:
    client.be(Role.TECHNOLOGIST, "main")
    answer = await client.store(*map(part10, images()), path=query)
    assert (answer.status, (await answer.json(content_type=None))["code"]) == (404, "not_found")
    assert world.files() == []


@pytest.mark.parametrize("role", [Role.MANAGER, Role.VIEWER, Role.REFERRING_PHYSICIAN, Role.OPERATOR])
async def test_who_may_not_write_is_refused(world: World, client: Client, images: Images, role: Role) -> None:
    client.be(role, "main")
    answer = await client.store(*map(part10, images()))
    assert (answer.status, (await answer.json(content_type=None))["code"]) == (403, "forbidden")
    assert world.files() == []


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.RESIDENT])
async def test_readers_store_what_reading_makes_of_images_at_the_images_site(
    world: World, client: Client, images: Images, role: Role
) -> None:
    (image,) = images()
    assert (await client.store(part10(image), path="?site=harbor")).status == 200
    (report,) = images(StudyInstanceUID=image.StudyInstanceUID, SOPClassUID=SR, Modality="SR")
    report.file_meta.MediaStorageSOPClassUID = SR
    del report.PixelData
    client.be(role)
    answer = await client.store(*map(part10, images()))
    assert (answer.status, (await answer.json(content_type=None))["code"]) == (403, "forbidden")
    assert len(world.files()) == 1
    assert (await client.store(part10(report))).status == 200
    rows = await world.rows("SELECT study_uid, site_id, images FROM rr.dicom_study")
    assert rows == [{"study_uid": image.StudyInstanceUID, "site_id": "harbor", "images": 2}]
    assert [entry["modality"] for entry in await world.inbox()] == ["CT", ""]


async def test_each_instance_succeeds_or_fails_by_itself(world: World, client: Client, images: Images) -> None:
    (good,) = images()
    (other,) = images()
    answer = await client.store(part10(good), b"garbage", part10(other)[:-1000], path=f"/{good.StudyInstanceUID}")
    assert answer.status == 202
    body = await answer.json(content_type=None)
    assert [item["00081155"]["Value"][0] for item in body["00081199"]["Value"]] == [good.SOPInstanceUID]
    assert [item["00081197"]["Value"][0] for item in body["00081198"]["Value"]] == [0xC000, 0xC000]
    assert body["00081198"]["Value"][1]["00081155"]["Value"] == [other.SOPInstanceUID]
    assert len(world.files()) == 1


async def test_an_instance_of_another_study_than_the_requests_is_refused(
    world: World, client: Client, images: Images
) -> None:
    answer = await client.store(*map(part10, images()), path="/1.2.3")
    assert answer.status == 409
    body = await answer.json(content_type=None)
    assert body["00081198"]["Value"][0]["00081197"]["Value"] == [0xA900]
    assert world.files() == []


async def test_a_study_of_another_site_is_kept_apart(world: World, client: Client, images: Images) -> None:
    (image,) = images()
    await client.store(part10(image))
    client.be(Role.TECHNOLOGIST, "harbor")
    answer = await client.store(part10(image))
    apart = apart_study_uid("north", "harbor", image.StudyInstanceUID)
    assert (await answer.json(content_type=None))["00081190"]["Value"][0].endswith(apart)
    assert await world.value("SELECT site_id FROM rr.dicom_study WHERE study_uid = $1", apart) == "harbor"


async def test_other_media_types_are_refused(client: Client, images: Images) -> None:
    (image,) = images()
    for of in ('multipart/related; type="application/dicom+json"', "multipart/form-data", "application/dicom"):
        assert (await client.store(part10(image), of=of)).status == 415


@pytest.mark.parametrize(
    "body", [b"", b"--rr--\r\n", b"no boundary", b"--rr\r\nContent-Type: application/dicom\r\n\r\nabc"]
)
async def test_a_broken_body_is_a_bad_request(client: Client, body: bytes) -> None:
    headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=rr'}
    answer = await client.http.post("/dicom-web/studies", data=body, headers=headers)
    assert 400 <= answer.status < 500


async def test_too_much_is_refused(
    world: World, client: Client, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image,) = images()
    monkeypatch.setattr(stow, "MAX_REQUEST_BYTES", 10_000)
    assert (await client.store(part10(image))).status == 413
    headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=rr'}

    async def endless() -> AsyncIterator[bytes]:
        yield b"--rr\r\nContent-Type: application/dicom\r\n\r\n"
        for _ in range(100):
            yield part10(image)

    assert (await client.http.post("/dicom-web/studies", data=endless(), headers=headers)).status == 413
    assert world.files() == []


async def test_a_full_disk_is_507_and_an_absent_database_503(
    world: World, client: Client, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (image,) = images()
    with monkeypatch.context() as patch:
        patch.setattr("storage.objects.os.writev", full)
        answer = await client.store(part10(image))
    assert answer.status == 507
    body = await answer.json(content_type=None)
    assert body["00081198"]["Value"][0]["00081197"]["Value"] == [0xA700]
    assert world.files() == []
    with monkeypatch.context() as patch:
        patch.setattr("storage.ingest._STORE", "SELECT pg_terminate_backend(pg_backend_pid())::text, $1, $2")
        assert (await client.store(part10(image))).status == 503
    assert (await client.store(part10(image))).status == 200
