"""What DIMSE services beside C-STORE keep: whole-tenant callers, certificates, announced images, owed commitments."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0120"
down_revision = "0110"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0120_add_dimse_services")
