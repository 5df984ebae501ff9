"""What the header of an image that is transcoded says of its colours (PS3.3 C.7.6.3.1.2, PS3.5 8.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.dicomweb import encode
from gateway.dicomweb.decode import BASELINE
from gateway.dicomweb.negotiation import EXPLICIT_LITTLE, NATIVE

if TYPE_CHECKING:
    from storage.dicom import Stored

_SAMPLES, _PHOTOMETRIC, _PLANAR = "00280002", "00280004", "00280006"
_COLOURS = 3
MADE = encode.LOSSLESS | {EXPLICIT_LITTLE, encode.BASELINE}


def photometric(said: str, stored: str, made: str) -> str:
    """Return the photometric interpretation of colour frames that are transcoded.

    Args:
        said: what the stored header says.
        stored: the transfer syntax they lie in.
        made: the one they are sent in.
    """
    if made == encode.BASELINE:
        return "YBR_FULL_422"
    if stored in BASELINE or said in ("YBR_RCT", "YBR_ICT"):  # decoders turn these
        return "RGB"
    return "YBR_FULL" if said == "YBR_FULL_422" else said  # decoded to full pixels


def tell(header: dict[str, Any], place: Stored, made: str) -> None:
    """Let a header as DICOM JSON say what frames in a transfer syntax are; only colours differ."""
    stored = place.transfer_syntax
    if stored == made or (stored in NATIVE and made in NATIVE):
        return
    samples = (header.get(_SAMPLES, {}).get("Value") or [1])[0]
    said = (header.get(_PHOTOMETRIC, {}).get("Value") or [""])[0]
    if samples == _COLOURS:
        header[_PHOTOMETRIC] = {"vr": "CS", "Value": [photometric(said, stored, made)]}
        header[_PLANAR] = {"vr": "US", "Value": [0]}
