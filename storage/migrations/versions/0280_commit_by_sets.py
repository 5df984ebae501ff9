"""A batch is committed by sets: each list of it is read once, and the host numbers what the database only moves up."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0280"
down_revision = "0275"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0280_commit_by_sets")
