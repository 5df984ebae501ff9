"""Shards are placed on hosts by a table with generations."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0195"
down_revision = "0160"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0195_place_shards")
