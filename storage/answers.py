"""Durable idempotency: what a command answered, kept for a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from actors.domain.errors import Retry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from storage.pool import Connection

FIND = "SELECT digest, answer FROM rr.answer WHERE tenant_id = $1 AND user_id = $2 AND idem = $3"

KNOWN = "SELECT idem FROM rr.answer WHERE tenant_id = $1 AND user_id = $2 AND idem = ANY($3::text[])"


GIVEN = """
SELECT a.digest, a.answer
  FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS asked(tenant_id, user_id, idem, nth)
  LEFT JOIN rr.answer a ON a.tenant_id = asked.tenant_id AND a.user_id = asked.user_id AND a.idem = asked.idem
 ORDER BY asked.nth
"""


async def known(conn: Connection, tenant_id: str, user_id: str, idems: Iterable[str]) -> set[str]:
    """Return which of these keys have been answered."""
    return {r["idem"] for r in await conn.fetch(KNOWN, tenant_id, user_id, list(idems))}


HOLD = "SELECT pg_advisory_xact_lock(hashtextextended(concat_ws('/', 'idem', $1::text, $2::text, $3::text), 0))"
KEEP = "INSERT INTO rr.answer (tenant_id, user_id, idem, digest, answer) VALUES ($1, $2, $3, $4, $5::jsonb)"


async def hold(conn: Connection, tenant_id: str, user_id: str, idem: str) -> None:
    """Let nobody else use this key until the transaction ends."""
    await conn.execute(HOLD, tenant_id, user_id, idem)


async def keep(  # noqa: PLR0913, PLR0917 - a row
    conn: Connection, tenant_id: str, user_id: str, idem: str, digest: bytes, answer: dict[str, Any]
) -> None:
    """Keep the answer of what this transaction did.

    Raises:
        Retry: an entity has answered under the key meanwhile; this transaction ends without effect.
    """
    try:
        await conn.execute(KEEP, tenant_id, user_id, idem, digest, msgspec.json.encode(answer).decode())
    except asyncpg.UniqueViolationError:
        raise Retry from None


async def given(conn: Connection, keys: Sequence[tuple[str, str, str]]) -> list[tuple[bytes, dict[str, Any]] | None]:
    """Return what :func:`find` does, for many (tenant, user, key) at once."""
    rows = await conn.fetch(GIVEN, *map(list, zip(*keys, strict=True)))
    return [None if row["digest"] is None else (row["digest"], msgspec.json.decode(row["answer"])) for row in rows]


async def find(conn: Connection, tenant_id: str, user_id: str, idem: str) -> tuple[bytes, dict[str, Any]] | None:
    """Return the digest of the command that used this key, and its answer; None when the key is new."""
    row = await conn.fetchrow(FIND, tenant_id, user_id, idem)
    return None if row is None else (row["digest"], msgspec.json.decode(row["answer"]))
