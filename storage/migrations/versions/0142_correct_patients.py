"""A commit may correct the demographics of a patient."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0142"
down_revision = "0141"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0142_correct_patients")
