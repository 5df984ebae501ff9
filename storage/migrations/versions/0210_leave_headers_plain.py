"""Headers of images are stored without compression."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0210"
down_revision = "0206"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0210_leave_headers_plain")
