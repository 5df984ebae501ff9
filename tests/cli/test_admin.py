"""``readingroom admin`` as a user calls it, against real servers; what it sets acts within a second."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from actors.domain.errors import Unauthenticated
from actors.domain.words import Role
from gateway.auth import Sessions
from readingroom.cli import admin, instance
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from readingroom.settings import Settings

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}"


class Shell:
    """Runs the command as a program would, in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    async def run(self, line: str, *more: str, code: int = 0, said: str | None = None) -> str:
        """Return what it printed; fail unless it ends with ``code``."""
        args = [*line.split(), *more]
        result: Result = await asyncio.to_thread(CliRunner().invoke, admin.app, args, said)
        assert result.exit_code == code, (args, result.output, result.exception)
        return (result.stdout if code == 0 else result.output).rstrip("\n")

    async def sql(self, statement: str, *args: Any) -> Any:
        db = await Database(self.settings.admin_dsn, max_size=1).open()
        try:
            async with db.scope() as conn:
                return await conn.fetch(statement, *args)
        finally:
            await db.close()


@pytest.fixture
async def shell(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr(instance, "settings_of", lambda _: fresh)
    return Shell(fresh)


@pytest.fixture
async def north(shell: Shell) -> Shell:
    await shell.run("tenant add", "North Star")
    await shell.run("site add --tenant north-star", "Harbor St. Aldous")
    return shell


@pytest.fixture
async def sessions(fresh: Settings) -> AsyncIterator[Callable[[], Sessions]]:
    from redis.asyncio import Redis  # noqa: PLC0415 - of this fixture only

    db, valkey = await Database(fresh.dsn("rr_login")).open(), Redis.from_url(fresh.valkey_url)
    yield lambda: Sessions(db, valkey)
    await db.close()
    await valkey.aclose()


async def test_a_tenant_gets_the_site_main_and_the_same_id_again(shell: Shell) -> None:
    assert await shell.run("tenant add", "Señor Örtlich", "--time-zone", "Europe/Madrid") == "senor-ortlich"
    assert await shell.run("tenant add", "Señor Örtlich") == "senor-ortlich"
    assert await shell.run("tenant add", "Senor-Ortlich") != "senor-ortlich"
    assert json.loads(await shell.run("tenant add --json", "Señor Örtlich")) == {"id": "senor-ortlich"}
    sites = await shell.sql("SELECT site_id, name FROM rr.site WHERE tenant_id = 'senor-ortlich'")
    assert [tuple(r) for r in sites] == [("main", "main")]
    zones = await shell.sql("SELECT time_zone FROM rr.tenant WHERE tenant_id = 'senor-ortlich'")
    assert zones[0]["time_zone"] == "Europe/Madrid"
    heads = await shell.sql("SELECT 1 FROM rr.tenant_head WHERE tenant_id = 'senor-ortlich'")
    assert len(heads) == 1
    assert "Europe/Berlin" in await shell.run("tenant add X --time-zone Mars/Phobos", code=2)


async def test_a_site_belongs_to_a_tenant_named_by_id_or_name(north: Shell) -> None:
    assert await north.run("site add --tenant", "North Star", "Harbor St. Aldous") == "harbor-st-aldous"
    assert await north.run("site add --tenant north-star --jurisdiction US-CA Meridian") == "meridian"
    rows = await north.sql("SELECT jurisdiction, issuer FROM rr.site WHERE site_id = 'meridian'")
    assert tuple(rows[0]) == ("US-CA", "meridian")
    assert "no tenant 'west'" in await north.run("site add --tenant west X", code=2)


async def test_a_password_is_made_and_printed_once(north: Shell, sessions: Callable[[], Sessions]) -> None:
    line = "user add --tenant north-star --role radiologist --email Ada@Example.org"
    made = await north.run(line)
    found = re.fullmatch(rf"({UUID}) (\S{{16}})", made)
    assert found
    assert await north.run(line) == found[1]
    begun = await sessions().login("ada@example.org", found[2], None, None)
    assert (begun.session.who.role, begun.session.who.user_id) == (Role.RADIOLOGIST, found[1])
    assert await north.run(line + " --password new") == found[1]
    with pytest.raises(Unauthenticated):
        await sessions().login("ada@example.org", found[2], None, None)
    await sessions().login("ada@example.org", "new", None, "North Star")


async def test_the_same_address_in_a_second_tenant_adds_a_membership(north: Shell) -> None:
    await north.run("tenant add South")
    one = await north.run("user add --tenant north-star --role manager --email max@x.org --password p")
    two = await north.run("user add --tenant South --role radiologist --email MAX@x.org")
    assert one == two
    rows = await north.sql("SELECT tenant_id, role FROM rr.membership ORDER BY 1")
    assert [tuple(r) for r in rows] == [("north-star", "manager"), ("south", "radiologist")]


async def test_site_bound_people_have_the_sites_named_else_main(north: Shell) -> None:
    await north.run(
        "user add --tenant north-star --role technician --email t@x.org --site main --site", "Harbor St. Aldous"
    )
    await north.run("user add --tenant north-star --role viewer --email v@x.org")
    rows = await north.sql("SELECT role, sites FROM rr.membership ORDER BY role")
    assert [(r["role"], r["sites"]) for r in rows] == [
        ("technologist", ["harbor-st-aldous", "main"]), ("viewer", ["main"]),
    ]  # fmt: skip
    wrong = await north.run("user add --tenant north-star --role viewer --email v@x.org --site west", code=2)
    assert "no site 'west'" in wrong


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("user add --tenant north-star --role wizard --email a@x.org", "'wizard' is none of"),
        ("user add --role viewer --email a@x.org", "belongs to a tenant"),
        ("user add --tenant north-star --role viewer --email nobody", "not an e-mail address"),
        ("ae add --tenant north-star --aet TOO_LONG_A_TITLE_X --host h --port 104", "not an AE title"),
        ("ae add --tenant north-star --aet A --host h --port 0", "not a port"),
        ("ae add --tenant north-star --aet A --host h --port 1 --from 10.0.0.0/99", "not a range"),
        ("webhook add --tenant north-star --url ftp://x", "not an http"),
        ("token --user nobody@x.org", "no user"), ("token --wall", "belongs to a --tenant"), ("token", "Name a --user"),
        ("token revoke made-up", "no such token"), ("people deactivate nobody@x.org", "no user"),
        ("policy set --tenant north-star -", "not JSON"), ("token --user a@x.org --hours 0", "--hours"),
    ],
)  # fmt: skip
async def test_wrong_input_is_said_in_a_sentence_and_ends_with_2(north: Shell, line: str, said: str) -> None:
    output = " ".join((await north.run(line, code=2, said="{")).replace("│", " ").split())
    assert said in output
    assert "Traceback" not in output


async def test_an_operator_needs_no_tenant(shell: Shell, sessions: Callable[[], Sessions]) -> None:
    await shell.run("user add --role operator --email op@x.org --password p")
    assert (await sessions().login("op@x.org", "p", None, None)).session.who.role is Role.OPERATOR
    token = await shell.run("token --user op@x.org")
    assert (await sessions().session(token)).who.tenant_id == ""


async def test_overlapping_callers_of_two_sites_are_refused(north: Shell) -> None:
    add = "ae add --tenant north-star --host 10.1.0.7 --port 104"
    first = await north.run(f"{add} --aet CT1 --from 10.1.0.0/16")
    assert re.fullmatch(UUID, first)
    assert await north.run(f"{add} --aet CT1 --from 10.1.0.0/16") == first
    harbor = f"{add} --site harbor-st-aldous"
    for overlapping in ("", " --from 10.1.4.0/24", " --from 10.0.0.0/8", " --called US --from 10.1.0.0/16"):
        assert "either" in await north.run(f"{harbor} --aet CT1{overlapping}", code=2)
    for apart in (" --aet CT1 --from 10.2.0.0/16", " --aet CT2", " --aet CT1 --from fd00::/8"):
        await north.run(harbor + apart)
    assert await north.run(f"{add} --aet MR --called A") != await north.run(f"{harbor} --aet MR --called B")
    rows = await north.sql("SELECT site_id, aet FROM rr.ae ORDER BY 1, 2")
    assert len(rows) == 6


async def test_a_token_is_printed_alone_and_revoked(north: Shell, sessions: Callable[[], Sessions]) -> None:
    await north.run("user add --tenant north-star --role manager --email max@x.org")
    token = await north.run("token --user max@x.org --hours 0.5")
    assert re.fullmatch(r"[\w-]{43}", token)
    assert (await sessions().session(token)).who.role is Role.MANAGER
    assert set(json.loads(await north.run("token --json --user max@x.org"))) == {"token"}
    await north.run("token revoke", token)
    with pytest.raises(Unauthenticated):
        await sessions().session(token)
    await north.run("tenant add South")
    await north.run("user add --tenant south --role manager --email max@x.org")
    assert "name one of north-star, south" in await north.run("token --user max@x.org", code=2)
    south = await north.run("token --user max@x.org --tenant South")
    assert (await sessions().session(south)).who.tenant_id == "south"


async def test_a_walls_token_belongs_to_nobody(north: Shell, sessions: Callable[[], Sessions]) -> None:
    wall = await sessions().session(await north.run("token --wall --tenant", "North Star"))
    assert (wall.wall, wall.who.user_id, wall.who.tenant_id) == (True, "", "north-star")


async def test_deactivated_people_are_out_at_once(north: Shell, sessions: Callable[[], Sessions]) -> None:
    user_id = await north.run("user add --tenant north-star --role manager --email max@x.org --password p")
    known = sessions()
    heard: list[str] = []
    known.listeners.append(heard.append)
    await known.start()
    token = await north.run("token --user max@x.org")
    await known.session(token)
    await asyncio.sleep(0.3)
    assert await north.run("people deactivate max@x.org") == user_id
    async with asyncio.timeout(1):
        while f"user:{user_id}" not in heard:
            await asyncio.sleep(0.01)
    with pytest.raises(Unauthenticated):
        await known.session(token)
    with pytest.raises(Unauthenticated):
        await known.login("max@x.org", "p", None, None)
    await known.stop()
    await north.run("user add --tenant north-star --role manager --email max@x.org")
    assert (await sessions().login("max@x.org", "p", None, None)).session.who.user_id == user_id


async def test_a_webhook_has_a_secret(north: Shell) -> None:
    line = "webhook add --tenant north-star --site main --url https://ris.example/in"
    made = await north.run(line)
    assert re.fullmatch(rf"{UUID} \S{{43}}", made)
    assert await north.run(line) == made.split()[0]
    assert await north.run(f"{line} --secret mine") == made.split()[0]
    assert (await north.sql("SELECT secret FROM rr.webhook"))[0]["secret"] == "mine"


async def test_a_policy_is_set_from_a_file_once(north: Shell, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text('{"capacity": 3}')
    for _ in range(2):
        assert await north.run("policy set --tenant north-star", str(file)) == "north-star"
    rows = await north.sql("SELECT version, body FROM rr.policy")
    assert [(r["version"], json.loads(r["body"])["capacity"]) for r in rows] == [(1, 3)]
    file.write_text('{"capacity": 0}')
    assert "capacity" in await north.run("policy set --tenant north-star", str(file), code=2)


async def test_a_policy_is_drafted_tried_made_live_and_brought_back(north: Shell, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text('{"capacity": 3}')
    await north.run("policy set --tenant north-star", str(file))
    file.write_text('{"capacity": 6}')
    assert await north.run("policy draft --tenant north-star --note more", str(file)) == "2"
    assert await north.run("policy diff --tenant north-star 2") == "capacity: 3 → 6"
    assert await north.run("policy mode --tenant north-star 2 shadow") == "2 shadow"
    assert (await north.run("policy list --tenant north-star")).splitlines()[0] == "2 shadow"
    assert "2 live since" in await north.run("policy mode --tenant north-star 2 live")
    assert "in force" in await north.run("policy mode --tenant north-star 2 draft", code=2)
    assert "1 live since" in await north.run("policy rollback --tenant north-star 1")
    assert "no such version" in await north.run("policy rollback --tenant north-star 9", code=2)
    assert await north.run("policy diff --tenant north-star 1") == "They are alike."


async def test_readers_have_skills_and_shifts(north: Shell) -> None:
    await north.run("user add --tenant north-star --role radiologist --email ada@x.org")
    await north.run(
        "reader set --tenant north-star --email ada@x.org --licence US-CA --modality CT --modality MR --capacity 3"
    )
    await north.run("reader set --tenant north-star --email ada@x.org --subspecialty neuro")
    row = (await north.sql("SELECT profile, capacity FROM rr.membership"))[0]
    what = json.loads(row["profile"])
    assert what["licences"] == [{"jurisdiction": "US-CA", "valid_from": None, "valid_to": None}]
    assert (what["modalities"], what["subspecialties"], row["capacity"]) == ({"CT": 2, "MR": 2}, {"neuro": 2}, 3)
    shift = "shift add --tenant north-star --email ada@x.org --from 2026-03-01T08:00+01:00 --to"
    await north.run(f"{shift} 2026-03-01T18:00Z")
    rows = await north.sql("SELECT extract(hour FROM starts_at AT TIME ZONE 'UTC')::int AS h FROM rr.shift")
    assert rows[0]["h"] == 7
    await north.run(f"{shift} 2026-03-01T07:00Z", code=2)
    await north.run(f"{shift} soon", code=2)


async def test_readers_and_shifts_come_by_the_sheet_whole_or_not_at_all(north: Shell, tmp_path: Path) -> None:
    await north.run("user add --tenant north-star --role radiologist --email ada@x.org")
    file = tmp_path / "sheet.csv"
    file.write_text("email,licences,modalities\nada@x.org,US-CA 2024-01-01..,CT=3; MR\n")
    take = "reader import --tenant north-star"
    assert await north.run(f"{take} --dry-run", str(file)) == "1 of 1 rows would change something."
    assert await north.run(take, str(file)) == "1 of 1 rows changed something."
    assert json.loads(await north.run(f"{take} --json", str(file)))["changed"] == 0
    file.write_text("email,starts,ends\nada@x.org,2027-03-13 22:00,06:00\neve@x.org,2027-03-13 22:00,06:00\n")
    said = await north.run("shift import --tenant north-star", str(file), code=2)
    assert "line 3, email" in said
    assert await north.sql("SELECT 1 FROM rr.shift") == []
    file.write_text("email,starts,ends,time_zone\nada@x.org,2027-03-13 22:00,06:00,America/New_York\n")
    await north.run("shift import --tenant north-star", str(file))
    [row] = await north.sql("SELECT ends_at - starts_at AS lasts FROM rr.shift")
    assert row["lasts"].total_seconds() == 7 * 3600  # the clocks go forward that night


async def test_every_change_is_audited(north: Shell) -> None:
    await north.run("user add --tenant north-star --role manager --email max@x.org")
    await north.run("token --user max@x.org")
    await north.run("ae add --tenant north-star --aet CT1 --host h --port 104")
    await north.run("people deactivate max@x.org --tenant north-star")
    rows = await north.sql("SELECT act FROM rr.access ORDER BY access_id")
    assert [r["act"] for r in rows] == [
        "tenant_added", "site_added", "site_added", "user_added", "token_issued", "ae_added", "user_deactivated",
    ]  # fmt: skip


async def test_an_instance_that_is_not_there_is_said(tmp_path: Path, servers: Settings) -> None:
    shell = Shell(servers)
    nowhere = tmp_path / "nowhere"
    assert "There is no instance" in await shell.run("tenant add X --data", str(nowhere), code=2)
    assert not nowhere.exists()
    nowhere.mkdir()
    (nowhere / "secrets.json").write_text('{"roles": "x", "postgres": "x"}')
    assert "does not run" in await shell.run("tenant add X --data", str(nowhere), code=2)


async def test_every_command_has_help_with_an_example(servers: Settings) -> None:
    shell = Shell(servers)
    for line in (
        "tenant add", "site add", "user add", "ae add", "webhook add", "policy set", "policy draft",
        "policy list", "policy mode", "policy rollback", "policy diff", "people deactivate", "shift add",
        "shift import", "reader set", "reader import", "token", "token revoke",
    ):  # fmt: skip
        shown = await shell.run(f"{line} --help")
        assert "Example" in shown
        assert "--data" in shown
        assert "--json" in shown
