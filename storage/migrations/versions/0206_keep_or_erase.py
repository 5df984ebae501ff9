"""How long images and reports are kept, what is on legal hold, and what was erased."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0206"
down_revision = "0205"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0206_keep_or_erase")
