"""Indexes for DICOM queries: newest studies, names in capitals, who opened a study."""

from __future__ import annotations

from storage.migrations.script import run_file

revision = "0020"
down_revision = "0010"


def upgrade() -> None:
    """Apply the file beside this one."""
    run_file("0020_index_images")
