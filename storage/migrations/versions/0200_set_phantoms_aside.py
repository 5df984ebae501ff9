"""Images of quality control phantoms are stored and readable, and are nobody's to read."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0200"
down_revision = "0196"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0200_set_phantoms_aside")
