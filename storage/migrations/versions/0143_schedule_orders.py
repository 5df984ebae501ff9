"""When an order came, for modality worklists; which studies a header's UID stands for."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0143"
down_revision = "0142"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0143_schedule_orders")
