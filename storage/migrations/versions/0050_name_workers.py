"""Inference jobs name the worker that holds them."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0050"
down_revision = "0020"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0050_name_workers")
