"""The one transaction: everything a batch of commands changes, in one round trip."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0002_add_commit_batch")
