"""A gateway's DICOMweb half on a real database: people of every role, images stored by STOW-RS."""

from __future__ import annotations

import io
from pathlib import Path  # noqa: TC003 - a field's type, read at run time
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg
import pydicom
import pytest
import redis.asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from actors.domain.words import Role
from gateway.auth import SESSIONS
from gateway.deps import DEPS, Deps
from gateway.dicomweb.routes import routes
from gateway.ingest import stow
from gateway.problems import refuse
from storage.credentials import digest
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pydicom.dataset import FileDataset

    from readingroom.settings import Settings

_WORLD = """
INSERT INTO rr.tenant (tenant_id, name) VALUES ('north', 'North'), ('south', 'South');
INSERT INTO rr.site (tenant_id, site_id, name, issuer) VALUES
  ('north', 'main', 'Main', 'north-main'), ('north', 'harbor', 'Harbor', 'north-harbor'), ('south', 'main', 'Main', 'south-main');
"""
_STUDY = """
INSERT INTO rr.study (tenant_id, study_uid, site_id, rev, step, status, open, priority, patient_id, accession_number, flags,
  referring, doc)
SELECT tenant_id, study_uid, site_id, 1, 1, $2, $2 <> 'final', 'STAT', patient_id, accession_number, '{}', $3, '{}'
  FROM rr.dicom_study WHERE study_uid = $1
ON CONFLICT (tenant_id, study_uid) DO UPDATE SET status = $2, referring = $3
"""


class Web:
    """The server as a browser meets it, and its database as an administrator sees it."""

    def __init__(self, base: str, http: aiohttp.ClientSession, conn: asyncpg.Connection[Any]) -> None:
        self.base, self.http, self.conn = base, http, conn

    async def person(self, name: str, role: Role, tenant: str = "north", sites: tuple[str, ...] = ()) -> None:
        """Add a person whose name is her user id and her token."""
        await self.conn.execute(
            "INSERT INTO rr.person (user_id, email, name, password_hash, operator) VALUES ($1, $1 || '@x', $1, '', $2)",
            name,
            role is Role.OPERATOR,
        )
        if role is not Role.OPERATOR:
            await self.conn.execute(
                "INSERT INTO rr.membership (tenant_id, user_id, role, sites) VALUES ($1, $2, $3, $4)",
                tenant, name, role.value, list(sites),
            )  # fmt: skip
        await self.conn.execute(
            "INSERT INTO rr.token (token_hash, kind, family, user_id, tenant_id, expires_at)"
            " VALUES ($1, 'api', $2, $2, $3, now() + interval '1 h')",
            digest(name), name, None if role is Role.OPERATOR else tenant,
        )  # fmt: skip

    async def store(self, *images: FileDataset, by: str = "ada", site: str = "main") -> None:
        """Store images by STOW-RS."""
        with aiohttp.MultipartWriter("related", boundary="b") as parts:
            for image in images:
                file = io.BytesIO()
                image.save_as(file, enforce_file_format=True)
                parts.append(file.getvalue(), {"Content-Type": "application/dicom"})
        headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
        async with self.http.post(
            f"{self.base}/studies?site={site}", data=parts, headers=headers | _bearer(by)
        ) as answer:
            assert answer.status == 200, await answer.text()

    async def status(self, study_uid: str, status: str, referring: str | None = None) -> None:
        """Give a study its row."""
        await self.conn.execute(_STUDY, study_uid, status, referring)

    def get(self, path: str, by: str | None = "rita", accept: str | None = None, **headers: str) -> Any:
        """Ask; used as a context."""
        said = headers | (_bearer(by) if by else {}) | ({"Accept": accept} if accept else {})
        return self.http.get(f"{self.base}{path}", headers=said)

    async def json(self, path: str, by: str = "rita") -> Any:
        async with self.get(path, by) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.content_type == "application/dicom+json"
            return await answer.json(content_type=None)

    async def refusal(self, path: str, by: str | None = "rita", accept: str | None = None) -> tuple[int, str]:
        async with self.get(path, by, accept) as answer:
            assert answer.content_type == "application/problem+json", await answer.text()
            told = await answer.json(content_type=None)
            assert {"type", "title", "status", "detail", "code"} <= set(told)
            assert told["status"] == answer.status
            return answer.status, told["code"]

    async def parts(self, path: str, accept: str, by: str = "rita") -> list[tuple[str, bytes]]:
        """Return (content type, body) of each part."""
        async with self.get(path, by, accept) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.headers["Content-Type"].startswith("multipart/related; type=")
            reader, found = aiohttp.MultipartReader.from_response(answer), []
            while (part := await reader.next()) is not None:
                found.append((part.headers["Content-Type"], bytes(await part.read())))  # type: ignore[union-attr,arg-type]
            return found


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def url(image: FileDataset, *, level: str = "instance") -> str:
    """Return the path of an image, its series or its study."""
    path = f"/studies/{image.StudyInstanceUID}"
    if level != "study":
        path += f"/series/{image.SeriesInstanceUID}"
    return path + (f"/instances/{image.SOPInstanceUID}" if level == "instance" else "")


def image(name: str = "CT_small.dcm", **attributes: Any) -> FileDataset:
    """Return one of pydicom's test files under UIDs of its own."""
    made = pydicom.dcmread(str(get_testdata_file(name)))
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.PatientID, made.PatientName, made.PatientBirthDate, made.PatientSex = "4711", "Quay^Ada", "19700102", "F"
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


@pytest.fixture
def make() -> Callable[..., FileDataset]:
    return image


@pytest.fixture
def at() -> Callable[..., str]:
    return url


@pytest.fixture
async def dicomweb(fresh: Settings, tmp_path: Path) -> AsyncIterator[Web]:
    class Placed(type(fresh)):  # type: ignore[misc]
        place: Path = tmp_path / "objects"

        @property
        def objects(self) -> Path:
            return self.place

    settings = Placed(**fresh.model_dump())
    conn = await asyncpg.connect(fresh.admin_dsn)
    await conn.execute(_WORLD)
    roles = ("rr_app", "rr_login", "rr_ingest")
    dbs = {role: await Database(fresh.dsn(role)).open() for role in roles}
    valkey = redis.asyncio.Redis.from_url(fresh.valkey_url)
    deps = Deps(settings, None, dbs, valkey)  # type: ignore[arg-type] - no entity is asked
    app = web.Application(middlewares=[refuse])
    app[DEPS], app[SESSIONS] = deps, deps.sessions
    app.add_routes(routes(deps))
    stow.attach(app, deps)
    server = TestServer(app)
    await server.start_server()
    async with aiohttp.ClientSession() as http:
        found = Web(str(server.make_url("/dicom-web")), http, conn)
        await found.person("ada", Role.ADMIN)
        await found.person("rita", Role.RADIOLOGIST)
        yield found
    await server.close()
    await valkey.aclose()
    for db in dbs.values():
        await db.close()
    await conn.close()
