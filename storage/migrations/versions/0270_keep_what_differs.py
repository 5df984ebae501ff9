"""Headers of a series' images are stored as what differs from one of them; what is usual is stored in two statements."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0270"
down_revision = "0260"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0270_keep_what_differs")
