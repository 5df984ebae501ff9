"""Policies are drafted, tried in the shadow and by day, made live and brought back."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0150"
down_revision = "0143"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0150_try_policies")
