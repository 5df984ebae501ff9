"""Stored files are checked against their sums while they lie there, and what is not as written is told."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0211"
down_revision = "0210"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0211_check_files")
