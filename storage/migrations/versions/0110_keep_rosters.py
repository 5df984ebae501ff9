"""Readers have profiles, rosters, shifts and absences; deciders hear of changes by one number."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0110"
down_revision = "0060"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0110_keep_rosters")
