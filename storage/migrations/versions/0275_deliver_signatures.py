"""Deliveries say who signed, as REST does."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0275"
down_revision = "0270"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0275_deliver_signatures")
