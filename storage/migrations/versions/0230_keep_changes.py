"""Audited changes keep what was before and after."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0230"
down_revision = "0211"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0230_keep_changes")
