"""What the policy in the shadow would have done, beside what was done (role rr_host)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from storage.pool import Connection

# The first decision of each side stands: the second of one step is the same offer, seen again.
LOG = """
INSERT INTO rr.shadow_decision AS d (tenant_id, version, study_uid, step, live_version, live, live_at, shadow, shadow_at, at)
SELECT $1, $2, x.study_uid, x.step, $3, x.live, CASE WHEN x.live IS NOT NULL THEN $5::timestamptz END,
       x.shadow, CASE WHEN x.shadow IS NOT NULL THEN $5::timestamptz END, $5
  FROM jsonb_to_recordset($4::jsonb) AS x(study_uid text, step integer, live jsonb, shadow jsonb)
ON CONFLICT (tenant_id, version, study_uid, step) DO UPDATE SET
  live = coalesce(d.live, excluded.live), live_at = coalesce(d.live_at, excluded.live_at),
  shadow = coalesce(d.shadow, excluded.shadow), shadow_at = coalesce(d.shadow_at, excluded.shadow_at)
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """Whom each side chose for a study at a step, and why; None: it let the study wait."""

    study_uid: str
    step: int
    live: dict[str, str] | None
    shadow: dict[str, str] | None


async def log(  # noqa: PLR0913, PLR0917 - a row
    conn: Connection, tenant_id: str, version: int, live_version: int, pairs: Sequence[Pair], at: datetime
) -> None:
    """Keep decisions of the shadow beside the live ones."""
    await conn.execute(LOG, tenant_id, version, live_version, msgspec.json.encode(pairs).decode(), at)
