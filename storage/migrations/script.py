"""Runs one migration's SQL file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic import op

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection


def run_file(name: str) -> None:
    """Execute ``versions/NAME.sql``, many statements at once, in the migration's transaction."""
    sql = (Path(__file__).parent / "versions" / f"{name}.sql").read_text()
    raw: DBAPIConnection | Any = op.get_bind().connection.dbapi_connection
    raw.run_async(lambda conn: conn.execute(sql))
