"""Images and the inbox entry that tells of them become durable in one round trip."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0010"
down_revision = "0002"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0010_add_store_images")
