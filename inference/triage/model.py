"""The head-CT model: a network that looks where the classical measure lets it, on one core."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort
from scipy import ndimage

from inference.triage import manifest as manifests
from inference.triage import result
from inference.triage.hyperdense import VOXEL_ML, Hyperdense, Volume, measure, model_input
from inference.triage.manifest import BadModel
from inference.triage.preprocess import SIZE, Scan, to_lattice

if TYPE_CHECKING:
    from inference.triage.manifest import Manifest, Port
    from inference.triage.result import Finding

REFERENCE = Path(__file__).parent / "models" / "reference_head_ct"
PREPROCESSING = "head_ct_5.0x1.75x1.75_flat_intracranial/1"
_HEAD_ML = (400.0, 2300.0)  # inside a skull, as far as a scan shows it
_BATCH = 8


class HeadCtModel:
    """Loads once, warms up, then judges one scan after another; called in a thread.

    Raises:
        BadModel: the directory holds no model that this code can run.
    """

    def __init__(self, directory: Path = REFERENCE, *, threads: int = 1) -> None:
        self.manifest = manifests.read(directory)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                (directory / self.manifest.file).read_bytes(), options, providers=_providers()
            )
        except Exception as exc:  # onnxruntime has a class for each status and no common one
            raise BadModel(f"{directory.name}/{self.manifest.file}: {exc}") from exc
        _check(directory.name, self.manifest, self._session)
        self._input, self._output = self.manifest.inputs[0].name, self.manifest.outputs[0].name
        self.probability(np.zeros((1, SIZE, SIZE), np.float32))

    @property
    def name(self) -> str:
        """The model's name in ``row.ai``."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """The model's version in ``row.ai``."""
        return self.manifest.version

    def __call__(self, scan: Scan) -> Finding:
        """Judge a scan of a head."""
        hu = to_lattice(scan)
        found = measure(hu)
        inside_ml = found.intracranial_ml
        if not _HEAD_ML[0] < inside_ml < _HEAD_ML[1]:
            reason = "no brain in a closed skull was found"
            return result.not_assessed(self.name, self.version, reason, {"intracranial_ml": round(inside_ml, 1)})
        measures = {
            "suspected_ml": self.suspected_ml(found),
            "hyperdense_ml": found.bright_ml,
            "intracranial_ml": inside_ml,
            "slices": float(len(scan.hu)),
        }
        rounded = {name: round(amount, 2) for name, amount in measures.items()}
        return result.bleed(self.name, self.version, rounded, above_ml=self.manifest.operating_point.suspected_ml)

    def probability(self, seen: Volume) -> Volume:
        """Return the network's probability of blood in each voxel of its input."""
        around = np.clip(np.arange(len(seen))[:, None] + [-1, 0, 1], 0, len(seen) - 1)
        parts = [
            self._session.run([self._output], {self._input: seen[around[start : start + _BATCH]]})[0]
            for start in range(0, len(seen), _BATCH)
        ]
        logits = np.concatenate(parts)[:, 0]
        half: Volume = (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)
        return half.repeat(2, axis=1).repeat(2, axis=2)

    def network(self, found: Hyperdense) -> Volume:
        """Return the network's probability of blood where it may judge, else 0."""
        return np.where(found.judged, self.probability(model_input(found)), 0).astype(np.float32)

    def suspected_ml(self, found: Hyperdense) -> float:
        """Return the largest connected volume that the network calls blood; specks do not add up to one."""
        likely = self.network(found) > self.manifest.operating_point.probability
        labels, count = ndimage.label(likely)
        return float(np.bincount(labels.ravel())[1:].max() * VOXEL_ML) if count else 0.0


def _providers() -> list[str]:
    """Return CUDA first where it is, then the CPU."""
    present = ort.get_available_providers()
    return [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in present]


def _check(where: str, manifest: Manifest, session: ort.InferenceSession) -> None:
    """Refuse a model that wants or gives something else than its manifest and this code say."""
    if manifest.preprocessing != PREPROCESSING:
        raise BadModel(f"{where}: the preprocessing {manifest.preprocessing!r} is not known here")
    for kind, said, real in (
        ("input", manifest.inputs, session.get_inputs()),
        ("output", manifest.outputs, session.get_outputs()),
    ):
        if len(said) != 1 or [port.name for port in said] != [port.name for port in real]:
            raise BadModel(f"{where}: the graph's {kind}s are {[port.name for port in real]}")
        if not _fits(said[0], real[0].shape):
            raise BadModel(f"{where}: the graph's {kind} has shape {real[0].shape}, not {said[0].shape}")


def _fits(said: Port, shape: list[int | str]) -> bool:
    return len(said.shape) == len(shape) and all(
        isinstance(theirs, str) or ours == theirs for ours, theirs in zip(said.shape, shape, strict=True)
    )
