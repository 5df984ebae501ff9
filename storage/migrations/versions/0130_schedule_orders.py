"""When an order came, for modality worklists; which studies a header's UID stands for."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0130"
down_revision = "0120"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0130_schedule_orders")
