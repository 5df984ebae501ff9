"""What a modality gets for an image, and what stands in rows, inbox and store when it has its answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from actors.domain.identity import apart_study_uid, study_key
from readingroom.demo.sender import NotAssociated, send
from tests.dicom.conftest import data_set  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.ingest.listener import Listener
