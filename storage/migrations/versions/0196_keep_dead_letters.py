"""Messages that an entity fails on are kept as dead letters."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0196"
down_revision = "0195"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0196_keep_dead_letters")
