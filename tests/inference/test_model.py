"""The model: its manifest is checked, a clear bleed is flagged, a clean head is not, nothing is called normal."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from inference.triage import result
from inference.triage.manifest import BadModel, read
from inference.triage.model import REFERENCE, HeadCtModel
from inference.triage.preprocess import Scan
from readingroom.demo.phantom import head_hu

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def model() -> HeadCtModel:
    return HeadCtModel()


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return shutil.copytree(REFERENCE, tmp_path / "model")


def _scan(seed: int, *, bleeds: bool) -> Scan:
    return Scan(head_hu(seed, bleeds=bleeds).astype(np.float32), (5.0, 0.875, 0.875))


@pytest.mark.parametrize("seed", range(6))
def test_a_clear_bleed_is_suspected_critical_with_its_volume(model: HeadCtModel, seed: int) -> None:
    finding = model(_scan(seed, bleeds=True))
    assert (finding.status, finding.acuity) == ("ok", "suspected_critical")
    assert finding.headline.startswith("Possible intracranial haemorrhage, ")
    assert finding.headline.endswith(" mL (reference model, not clinically validated)")
    assert finding.measures["suspected_ml"] > 5


def test_most_clean_heads_are_not_flagged_and_none_is_called_normal(model: HeadCtModel) -> None:
    findings = [model(_scan(seed, bleeds=False)) for seed in range(10)]
    assert sum(f.acuity == "nothing_flagged" for f in findings) >= 9
    assert not any("normal" in f.headline.lower() for f in findings)
    assert all("not clinically validated" in f.headline for f in findings)


@pytest.mark.parametrize("hu", [-1000.0, 0.0, 40.0])
def test_what_is_no_head_is_not_assessed(model: HeadCtModel, hu: float) -> None:
    finding = model(Scan(np.full((28, 128, 128), hu, np.float32), (5.0, 1.75, 1.75)))
    assert (finding.status, finding.acuity) == ("not_assessed", "not_assessed")
    assert finding.headline == "Not assessed: no brain in a closed skull was found"


def test_the_same_scan_gives_the_same_finding(model: HeadCtModel) -> None:
    assert model(_scan(1, bleeds=True)) == model(_scan(1, bleeds=True)) == HeadCtModel()(_scan(1, bleeds=True))


def test_the_manifest_says_what_the_model_is_and_is_not() -> None:
    manifest = read(REFERENCE)
    assert (manifest.modality, manifest.body_part, manifest.contrast) == ("CT", "HEAD", False)
    assert manifest.caveat == result.CAVEAT
    assert "no basis for a diagnosis" in manifest.intended_use
    assert (REFERENCE / manifest.file).stat().st_size < 1_000_000


def _set(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.update(fields)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda manifest: manifest.pop("licence"), "missing required field `licence`"),
        (_set(extra=1), "unknown field `extra`"),
        (_set(sha256="0" * 64), "not the file that the manifest describes"),
        (_set(file="other.onnx"), "No such file"),
        (_set(preprocessing="guess/1"), "preprocessing 'guess/1' is not known here"),
        (_set(operating_point={"suspected_ml": 0, "probability": 0.5}), "operating point is out of range"),
        (_set(inputs=[{"name": "image", "shape": [1], "dtype": "float32", "unit": ""}]), r"inputs are \['hu'\]"),
        (_set(outputs=[{"name": "logit", "shape": ["n", 9, 64, 64], "dtype": "float32", "unit": ""}]), "has shape"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_with_the_reason(
    copied: Path, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    path = copied / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(BadModel, match=reason):
        HeadCtModel(copied)


def test_weights_that_are_no_graph_are_refused(copied: Path) -> None:
    from hashlib import sha256  # noqa: PLC0415 - only here

    (copied / "model.onnx").write_bytes(b"not a graph")
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["sha256"] = sha256(b"not a graph").hexdigest()
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BadModel, match=r"model\.onnx"):
        HeadCtModel(copied)


def test_no_manifest_no_model(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="No such file"):
        HeadCtModel(tmp_path)
