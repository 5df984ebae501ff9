"""What DIMSE services beside C-STORE keep: whole-tenant callers, certificates, announced images, owed commitments."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0070"
down_revision = "0060"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0070_add_dimse_services")
