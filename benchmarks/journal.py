"""What the journal costs to read: a study from its snapshot and from its events, the board of then, the audit chain.

Each figure that a design choice explains stands beside the plain way in the same run: a snapshot beside
the whole journal, a feed in a partition a day beside one flat table.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import harness  # first of ours: it makes the packages importable
from harness import Row
from uuid_utils import uuid7

from actors.domain import calendar
from actors.domain.commands import Accept, SaveDraft, Sign
from actors.domain.identity import Principal
from actors.domain.past import Board
from actors.domain.study import Study
from actors.domain.words import Role, SignKind
from readingroom import embedded
from readingroom.settings import ROLES, Settings
from storage import archive, audit, feed, hydrate, past
from storage.commit import Lane
from storage.migrate import migrate
from storage.pool import Database
from tests.domain.story import ADA, ORDER, Story

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Awaitable, Callable, Iterable

    from actors.domain.unit import Unit

STUDIES, DAYS, TIMES, BATCH = 1_000, 8, 500, 50
OFFICE = calendar.Calendar("Europe/Berlin", (((480, 720), (780, 1080)),) * 5 + ((), ()))
WORLD = """
INSERT INTO rr.tenant VALUES ('t', 'Night Group');
INSERT INTO rr.site VALUES ('t', 'harbor', 'Harbor', NULL, 'harbor');
"""
# The feed as it is after a week: the same events on each of its days; and as it would be in one table.
WEEK = """
INSERT INTO rr.feed
SELECT tenant_id, pos - $1::bigint, stream, seq - $1::bigint, id, type, data, now() - make_interval(days => $2)
  FROM rr.feed WHERE pos > 0
"""
FLAT = """
CREATE TABLE rr.flat AS SELECT * FROM rr.feed;
ALTER TABLE rr.flat ADD PRIMARY KEY (tenant_id, pos);
CREATE UNIQUE INDEX flat_stream ON rr.flat (tenant_id, stream, seq);
GRANT SELECT ON rr.flat TO rr_host;
ANALYZE rr.flat; ANALYZE rr.feed;
"""


def told(n: int) -> list[Unit]:
    """Return the commits of a study from its order to its report; every fourth stays unread."""
    story = Story(Study(f"2.25.{n}"))
    story.order(
        replace(ORDER, accession_number=f"A{n}", patient=replace(ORDER.patient, patient_id=f"p{n}", mrn=str(n)))
    )
    story.facts = replace(story.facts, new_id=f"report-{n}")
    story.images(patient=replace(ORDER.patient, patient_id=f"p{n}", mrn=str(n)))
    if n % 4:
        story.offer(offer_id=f"o{n}")
        story.tell(Accept(f"o{n}"), ADA)
        story.tell(SaveDraft(0, {"impression": "Nothing acute."}), ADA)
        story.tell(Sign(SignKind.FINAL, 1), ADA)
    for unit in story.units:  # ids that no other study's story has
        ids = {item.id: str(uuid7()) for item in unit.feed}
        unit.feed = [replace(item, id=ids[item.id]) for item in unit.feed]
        unit.outbox = [replace(message, outbox_id=str(uuid7())) for message in unit.outbox]
        unit.jobs = [replace(job, job_id=str(uuid7())) for job in unit.jobs]
    return story.units


async def each_us(times: int, act: Callable[[int], Awaitable[Any]]) -> float:
    """Return the median time of an act, after a few to warm up."""
    took = []
    for n in range(times):
        began = time.perf_counter()
        await act(n)
        took.append(time.perf_counter() - began)
    return (harness.percentile(took[times // 10 :], 0.5) or 0) * 1e6


class Run:
    """A database with a week's journal and feed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    async def measure(self) -> list[Row]:
        """Fill it and read it."""
        admin = await asyncpg.connect(self.settings.admin_dsn)
        db = await Database(self.settings.dsn("rr_host"), max_size=1).open()
        try:
            await admin.execute(WORLD)
            await self._fill(admin)
            return [row async for row in self._rows(admin, db)]
        finally:
            await db.close()
            await admin.close()

    async def _fill(self, admin: asyncpg.Connection[Any]) -> None:
        lane, stories = Lane(self.settings.dsn("rr_host")), [told(n) for n in range(STUDIES)]
        for first in range(0, STUDIES, BATCH):
            some = stories[first : first + BATCH]
            for chapter in range(max(map(len, some))):
                await lane.commit([units[chapter] for units in some if chapter < len(units)])
        await lane.close()
        top = await admin.fetchval("SELECT max(pos) FROM rr.feed")
        for day in range(1, DAYS - 1):
            await admin.execute("SELECT rr.keep_feed((current_date - $1::integer))", day)
            await admin.execute(WEEK, top * day, day)
        await admin.execute(FLAT)
        await admin.execute("ANALYZE")

    async def _rows(self, admin: asyncpg.Connection[Any], db: Database) -> Any:
        events = await admin.fetchval("SELECT count(*) FROM rr.journal")
        head = await admin.fetchval("SELECT max(pos) FROM rr.feed")

        async with db.scope(["t"]) as conn:
            study = await each_us(TIMES, lambda n: hydrate.study(conn, "t", f"2.25.{n}"))
        async with db.scope(["t"], generic=True) as conn:  # as gateways read it
            tail = await each_us(TIMES, lambda n: feed.after(conn, "t", head - 10 - n % 7))
            flat = feed.AFTER.replace("rr.feed", "rr.flat")
            plain = await each_us(TIMES, lambda n: conn.fetch(flat, "t", head - 10 - n % 7, feed.PAGE))
        yield Row("activate_snapshot_us", study, "us", None, "lower")
        await admin.execute("UPDATE rr.study SET doc = doc || '{\"shape\": 0}' WHERE study_uid <= '2.25.3'")
        old = [r["study_uid"] for r in await admin.fetch("SELECT study_uid FROM rr.study WHERE doc->>'shape' = '0'")]
        async with db.scope(["t"]) as conn:
            rebuilt = await each_us(len(old), lambda n: hydrate.study(conn, "t", old[n]))
        yield Row("activate_journal_us", rebuilt, "us", None, "lower")
        await admin.execute("UPDATE rr.study SET doc = doc || '{\"shape\": 1}' WHERE doc->>'shape' = '0'")
        yield Row("feed_tail_us", tail, "us", None, "lower")
        yield Row("feed_tail_flat_us", plain, "us", None, "lower")

        began = time.perf_counter()
        async with db.view(Principal("", "t", Role.MANAGER), snapshot=True) as conn:
            board = Board(datetime(2026, 1, 1, tzinfo=UTC))
            async for recorded in past.until(conn, "t", datetime(2100, 1, 1, tzinfo=UTC)):
                board.add(recorded)
        yield Row("replay_events_per_s", events / (time.perf_counter() - began), "1/s", None, "higher")
        began = time.perf_counter()
        async with db.view(Principal("", "t", Role.MANAGER), snapshot=True) as conn:
            chain = await audit.verify(conn, "t")
        if not chain.intact:
            raise SystemExit(f"the chain is broken: {chain}")
        yield Row("audit_verify_events_per_s", events / (time.perf_counter() - began), "1/s", None, "higher")

        began, put_away, some = time.perf_counter(), 0, 1
        while some:
            async with db.scope(["t"]) as conn:
                some = await archive.put_away(conn, "t", 0)
            put_away += some
        yield Row("archive_studies_per_s", put_away / (time.perf_counter() - began), "1/s", None, "higher")
        yield Row("calendar_add_us", _calendar_us(), "us", None, "lower")


def _calendar_us() -> float:
    """Return how long it takes to find when 24 business hours have passed, over a week's starts."""
    began, start = time.perf_counter(), datetime(2026, 3, 23, tzinfo=UTC)
    for n in range(TIMES):
        calendar.add(OFFICE, start + timedelta(minutes=5 * n), 86_400)
    return (time.perf_counter() - began) / TIMES * 1e6


def measure() -> Iterable[Row]:
    """Measure on a PostgreSQL of one's own."""
    directory = Path(tempfile.mkdtemp(prefix="rr-journal-", dir="/tmp"))
    directory.chmod(0o755)
    settings = Settings(data=directory)
    postgres: subprocess.Popen[bytes] | None = None
    try:
        embedded.prepare(settings)
        embedded.init_postgres(settings)
        postgres = embedded.start_postgres(settings)
        embedded.wait_for(settings.run / ".s.PGSQL.5432", postgres)
        migrate(settings.admin_dsn, ROLES, settings.secret("roles"))
        return asyncio.run(Run(settings).measure())
    finally:
        if postgres is not None:
            postgres.send_signal(signal.SIGINT)  # at once, whoever is connected
            postgres.wait()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    harness.main("journal", measure)
