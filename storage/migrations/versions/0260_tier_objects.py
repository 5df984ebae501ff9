"""Files of studies closed long ago may lie in a colder, cheaper place; which move is under way stands beside."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0260"
down_revision = "0240"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0260_tier_objects")
