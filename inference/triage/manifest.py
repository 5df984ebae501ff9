"""The page beside a model's weights: what it is, what it takes, when it speaks up, and what it is not."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

NAME = "manifest.json"


class BadModel(Exception):
    """A model directory that cannot be used; the message says what to mend."""


class Port(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input or output of the graph; a text in ``shape`` stands for any size."""

    name: str
    shape: list[int | str]
    dtype: str
    unit: str


class OperatingPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Above ``suspected_ml`` the study is suspected critical; a voxel counts above ``probability``."""

    suspected_ml: float
    probability: float


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``manifest.json``, every field of it required."""

    name: str
    version: str
    file: str
    sha256: str
    modality: str
    body_part: str
    contrast: bool
    preprocessing: str
    inputs: list[Port]
    outputs: list[Port]
    labels: list[str]
    operating_point: OperatingPoint
    licence: str
    training_data: str
    intended_use: str
    caveat: str


def read(directory: Path) -> Manifest:
    """Read a model's manifest and check its weights against it.

    Raises:
        BadModel: a file is missing, malformed or another than the manifest says.
    """
    try:
        manifest = msgspec.json.decode((directory / NAME).read_bytes(), type=Manifest)
        weights = (directory / manifest.file).read_bytes()
    except OSError as exc:
        raise BadModel(f"{directory.name}: {exc.strerror}: {exc.filename}") from exc
    except msgspec.DecodeError as exc:
        raise BadModel(f"{directory.name}/{NAME}: {exc}") from exc
    if sha256(weights).hexdigest() != manifest.sha256:
        raise BadModel(f"{directory.name}/{manifest.file} is not the file that the manifest describes (sha256)")
    if not 0 < manifest.operating_point.probability < 1 or manifest.operating_point.suspected_ml <= 0:
        raise BadModel(f"{directory.name}: the operating point is out of range")
    return manifest
