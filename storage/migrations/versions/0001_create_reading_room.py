"""The reading room, first schema."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0001_create_reading_room")
