"""Policies in versions: one is in force, others are drafts, tried, or were in force (roles rr_app and rr_admin)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from actors.domain.errors import NotFound, Retry, StaleVersion, WrongStatus
from actors.domain.instant import instant
from actors.domain.policy import policy
from actors.domain.trial import Mode, move
from storage import access

if TYPE_CHECKING:
    from storage.pool import Connection

LIVE = "SELECT version, body FROM rr.policy WHERE tenant_id = $1 AND version = rr.policy_live($1)"
_WRITE = """
INSERT INTO rr.policy (tenant_id, version, body, by, mode, live_at, note)
SELECT $1, coalesce(max(version), 0) + 1, $2::jsonb, $3, $4, CASE WHEN $4 = 'live' THEN clock_timestamp() END, $5
  FROM rr.policy WHERE tenant_id = $1
RETURNING version
"""
_ROW = """
SELECT p.version, p.body, p.by, p.at, p.mode, p.live_at, p.note, p.version = rr.policy_live($1) AS live,
       coalesce(p.version = rr.policy_in_force($1), false) AS today
  FROM rr.policy p WHERE p.tenant_id = $1
"""
PAGE = _ROW + " AND p.version < $2 ORDER BY p.version DESC LIMIT $3"
ONE = _ROW + " AND p.version = $2"
SET = """
UPDATE rr.policy SET mode = $3, live_at = CASE WHEN $3 = 'live' THEN clock_timestamp() ELSE live_at END
 WHERE tenant_id = $1 AND version = $2
"""
TURN = "SELECT pg_advisory_xact_lock(hashtextextended('policy/' || $1, 0))"

# Studies whose clock began under each version, how late they were, and how long until the first signature.
ARMS = """
SELECT (s.doc->'sla'->>'policy')::integer AS version, count(*) AS studies,
       count(*) FILTER (WHERE s.doc->'sla'->>'breached_at' IS NOT NULL) AS breached,
       count(f.at) AS signed,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM f.at - (s.doc->'sla'->>'started_at')::timestamptz) / 60)
         AS tat_min_p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM f.at - (s.doc->'sla'->>'started_at')::timestamptz) / 60)
         AS tat_min_p95
  FROM rr.study s
  LEFT JOIN LATERAL (SELECT min(j.at) AS at FROM rr.journal j WHERE j.tenant_id = s.tenant_id
    AND j.entity = 'study/' || s.study_uid AND j.type IN ('PrelimSigned', 'FinalSigned')) AS f ON true
 WHERE s.tenant_id = $1 AND (s.doc->'sla'->>'policy')::integer = ANY($2::integer[])
   AND (s.doc->'sla'->>'started_at')::timestamptz > now() - interval '90 days'
 GROUP BY 1 ORDER BY 1
"""
SHADOWED = """
SELECT count(*) AS decisions, count(*) FILTER (WHERE live->>'radiologist_id' = shadow->>'radiologist_id') AS agreed,
       count(*) FILTER (WHERE live IS NULL) AS only_shadow, count(*) FILTER (WHERE shadow IS NULL) AS only_live
  FROM rr.shadow_decision WHERE tenant_id = $1 AND version = $2
"""
DIFFERING = """
SELECT study_uid, step, live_version, live, live_at, shadow, shadow_at, at FROM rr.shadow_decision
 WHERE tenant_id = $1 AND version = $2 AND live->>'radiologist_id' IS DISTINCT FROM shadow->>'radiologist_id'
   AND (study_uid, step) > ($3, $4)
 ORDER BY study_uid, step LIMIT $5
"""


def _body(text: str) -> dict[str, Any]:
    """Return a stored policy whole: what it left out has its default."""
    return policy(msgspec.json.decode(text)).body()


def shown(row: Any) -> dict[str, Any]:
    """Return a version as REST shows it; one that was live and is not is ``retired``."""
    return {
        "version": row["version"],
        "mode": "retired" if row["mode"] == Mode.LIVE and not row["live"] else row["mode"],
        "today": row["today"],
        "by": row["by"],
        "at": instant(row["at"]),
        "live_at": instant(row["live_at"]),
        "note": row["note"],
        "policy": _body(row["body"]),
    }


async def live(conn: Connection, tenant_id: str) -> tuple[int, dict[str, Any]]:
    """Return the tenant's live policy and its version; the defaults and 0 when it never set one."""
    row = await conn.fetchrow(LIVE, tenant_id)
    return (0, policy({}).body()) if row is None else (row["version"], _body(row["body"]))


async def read(conn: Connection, tenant_id: str) -> dict[str, Any]:
    """Return the tenant's live policy; the defaults when it never set one."""
    return (await live(conn, tenant_id))[1]


async def write(  # noqa: PLR0913, PLR0917 - a row
    conn: Connection,
    tenant_id: str,
    body: dict[str, Any],
    by: str | None,
    mode: Mode = Mode.LIVE,
    note: str = "",
) -> int:
    """Add a version, live unless another mode is said; return its number.

    Raises:
        Retry: somebody else added one in the same instant.
    """
    was, _ = await live(conn, tenant_id)
    try:
        version: int = await conn.fetchval(_WRITE, tenant_id, msgspec.json.encode(body).decode(), by, mode.value, note)
    except asyncpg.UniqueViolationError:
        raise Retry from None
    act = "policy_set" if mode is Mode.LIVE else "policy_drafted"
    now = {"live": version if mode is Mode.LIVE else was}
    await access.changed(conn, tenant_id, by, act, str(version), {"live": was}, now)
    return version


async def page(conn: Connection, tenant_id: str, before: int, limit: int) -> list[dict[str, Any]]:
    """Return at most ``limit`` versions below a number, the newest first."""
    return [shown(r) for r in await conn.fetch(PAGE, tenant_id, before, limit)]


async def one(conn: Connection, tenant_id: str, version: int) -> dict[str, Any]:
    """Return a version.

    Raises:
        NotFound: there is none.
    """
    row = await conn.fetchrow(ONE, tenant_id, version)
    if row is None:
        raise NotFound("There is no such version of the policy.")
    return shown(row)


async def set_mode(  # noqa: PLR0913, PLR0917 - who, which, what, upon what
    conn: Connection, tenant_id: str, version: int, mode: Mode, was: str | None, by: str | None
) -> dict[str, Any]:
    """Change what a version is for; return it. ``was`` is the mode that was seen, None whatever it is.

    Raises:
        NotFound, StaleVersion: as they say.
        WrongStatus: it may not, or another version is tried that way.
    """
    await conn.execute(TURN, tenant_id)
    now = await one(conn, tenant_id, version)
    if was is not None and was != now["mode"]:
        raise StaleVersion("Somebody has changed this version's mode since you saw it.", {"row": now})
    held = Mode.LIVE if now["mode"] == "retired" else Mode(now["mode"])
    move(version, held, mode, in_force=now["mode"] == Mode.LIVE)
    if held is mode and now["mode"] != "retired":
        return now
    was_live, _ = await live(conn, tenant_id)
    try:
        await conn.execute(SET, tenant_id, version, mode.value)
    except asyncpg.UniqueViolationError:
        message = f"Another version is in mode {mode.value}: set that one to draft first."
        raise WrongStatus(message, {"field": "mode"}) from None
    after, (now_live, _) = await one(conn, tenant_id, version), await live(conn, tenant_id)
    before = {"mode": now["mode"], "live": was_live}
    done = {"mode": after["mode"], "live": now_live}
    await access.changed(conn, tenant_id, by, f"policy_{mode.value}", str(version), before, done)
    return after


async def rollback(conn: Connection, tenant_id: str, version: int, by: str | None) -> dict[str, Any]:
    """Make a version live that was live before; return it.

    Raises:
        NotFound: there is none.
        WrongStatus: it never was live.
    """
    now = await one(conn, tenant_id, version)
    if now["live_at"] is None:
        raise WrongStatus(f"Version {version} never was live: set its mode to live.", {"field": "version"})
    return await set_mode(conn, tenant_id, version, Mode.LIVE, None, by)


async def comparison(
    conn: Connection, tenant_id: str, version: int, after: tuple[str, int], limit: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return how a version compares with the live one: the sums, and at most ``limit`` decisions that differ."""
    live = await conn.fetchval("SELECT rr.policy_live($1)", tenant_id)
    sums = dict(await conn.fetchrow(SHADOWED, tenant_id, version) or {})
    arms = [dict(r) for r in await conn.fetch(ARMS, tenant_id, sorted({version, live or 0}))]
    rows = [
        {
            "study_uid": r["study_uid"],
            "step": r["step"],
            "at": instant(r["at"]),
            "live_version": r["live_version"],
            **{
                side: r[side] and {**msgspec.json.decode(r[side]), "at": instant(r[f"{side}_at"])}
                for side in ("live", "shadow")
            },
        }
        for r in await conn.fetch(DIFFERING, tenant_id, version, *after, limit)
    ]
    return {"version": version, "live_version": live or 0, **sums, "arms": arms}, rows
