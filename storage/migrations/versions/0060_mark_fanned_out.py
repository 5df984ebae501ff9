"""Messages remember that they were fanned out; what is under way to one receiver has an index."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0060"
down_revision = "0050"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0060_mark_fanned_out")
