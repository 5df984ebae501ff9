"""The feed stands in one partition a day, and days are dropped whole after a week."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0140"
down_revision = "0120"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0140_partition_feed")
