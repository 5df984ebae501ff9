"""The viewer's files: what is cached, what is a page, what is nobody's business."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.viewer import config, routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

BUNDLE = "app.bundle.0f6159c501addfe9.js"
SCRIPT = "window.viewer = 1;" + " " * 2000


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small built viewer."""
    files = {
        "host/index.html": "<!doctype html><title>Reading Room</title>",
        f"host/{BUNDLE}": SCRIPT,
        "host/1602.css": "a{}",
        "host/assets/favicon.ico": "i",
        "host/.stamp": "s",
        "rr-ext/reading-room.mjs": "export default {};",
        "rr-ext/chunks/time-BPKHLZja.mjs": "export {};",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / f"host/{BUNDLE}.gz").write_bytes(gzip.compress(SCRIPT.encode()))
    (tmp_path / "secret.js").write_text("no")
    monkeypatch.setattr("gateway.viewer.serving.BUILT", tmp_path)
    return tmp_path


@pytest.fixture
async def client(built: Path) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    assert built
    app = web.Application()
    app.add_routes(routes(None))  # type: ignore[arg-type] - the routes need nothing
    async with TestClient(TestServer(app)) as client:
        yield client


Client = TestClient[web.Request, web.Application]
LOGGED_IN = {"Cookie": "rr_session=x"}


@pytest.mark.parametrize("path", ["/nope.js", f"/x{BUNDLE}", "/rr-ext/nope.mjs", "/assets/nope.png", "/rr-ext/"])
async def test_missing_file_is_404_and_never_a_page(client: Client, path: str) -> None:
    answer = await client.get(path, headers=LOGGED_IN)
    assert answer.status == 404
    assert "Reading Room" not in await answer.text()


@pytest.mark.parametrize(
    "path", ["/", "/staff", "/reading-room?StudyInstanceUIDs=1.2.3&x=2", "/reading-room/readingroom"]
)
async def test_page_asks_for_a_log_in_first_and_comes_back(client: Client, path: str) -> None:
    answer = await client.get(path, allow_redirects=False)
    assert answer.status == 303
    there = urlsplit(answer.headers["Location"])
    assert there.path == "/login"
    assert parse_qs(there.query) == {"next": [path]}
    assert (await client.get(path, headers=LOGGED_IN)).content_type == "text/html"


@pytest.mark.parametrize("path", ["/login", "/board", "/staff", "/"])
async def test_no_page_takes_inline_scripts_or_frames(client: Client, path: str) -> None:
    answer = await client.get(path, headers=LOGGED_IN)
    rules = {rule.split()[0]: rule for rule in answer.headers["Content-Security-Policy"].split("; ")}
    scripts = rules.get("script-src", rules["default-src"])
    assert "'unsafe-inline'" not in scripts
    assert "'unsafe-eval'" not in scripts
    assert rules["frame-ancestors"] == "frame-ancestors 'none'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_what_carries_its_hash_is_kept_for_good_and_nothing_else_is(client: Client) -> None:
    kept = "public, max-age=31536000, immutable"
    expected = {
        f"/{BUNDLE}": kept,
        "/rr-ext/chunks/time-BPKHLZja.mjs": kept,
        "/rr-ext/reading-room.mjs": "no-cache",
        "/1602.css": "no-cache",
        "/assets/favicon.ico": "no-cache",
        "/app-config.js": "no-store",
        "/login": "no-cache",
    }
    found = {path: (await client.get(path)).headers["Cache-Control"] for path in expected}
    assert found == expected


async def test_squeezed_sibling_is_sent_to_who_takes_it(client: Client) -> None:
    answer = await client.get(f"/{BUNDLE}", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.content_type == "text/javascript"
    assert await answer.text() == SCRIPT
    plain = await client.get(f"/{BUNDLE}", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers


async def test_unchanged_module_is_not_sent_again(client: Client) -> None:
    first = await client.get("/rr-ext/reading-room.mjs")
    again = await client.get("/rr-ext/reading-room.mjs", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status == 304


@pytest.mark.parametrize(
    "path", ["/rr-ext/..%2fsecret.js", "/assets/..%2f..%2fsecret.js", f"/{BUNDLE}.gz", "/rr-ext/%2e%2e/secret.js"]
)
async def test_nothing_outside_the_folder_is_served(client: Client, path: str) -> None:
    assert (await client.get(path)).status == 404


async def test_viewer_that_is_not_built_says_what_to_do(client: Client, built: Path) -> None:
    (built / "host/index.html").unlink()
    answer = await client.get("/", headers=LOGGED_IN)
    assert answer.status == 503
    assert "make setup" in await answer.text()


def test_viewer_is_told_of_our_modules_and_of_this_origin_only() -> None:
    told = config.viewer_config()
    assert told["extensions"] == ["/rr-ext/reading-room.mjs"]
    assert told["showStudyList"] is False
    (source,) = told["dataSources"]
    assert source["configuration"]["wadoRoot"] == "/dicom-web"
    assert "http" not in config.config_script()
