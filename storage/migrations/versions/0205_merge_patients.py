"""A patient's number can be given up for another's, and a study can belong to another patient than its images say."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0205"
down_revision = "0200"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0205_merge_patients")
