"""Decisions keep their inputs; reading times are learned from signatures."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0160"
down_revision = "0150"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0160_keep_decisions")
