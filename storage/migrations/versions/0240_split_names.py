"""The words of patients' names are kept apart, so that fuzzy matching finds them by an index."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0240"
down_revision = "0230"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0240_split_names")
