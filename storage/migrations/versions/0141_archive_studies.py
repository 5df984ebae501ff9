"""The whole state of a study that was closed long ago stands apart from those at work."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0141"
down_revision = "0140"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0141_archive_studies")
