"""Text of any specific character set as Unicode (PS3.5 6.1, PS3.3 C.12.1.1.2)."""

from __future__ import annotations

import threading
import warnings
from functools import lru_cache

from pydicom import charset
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

Encodings = tuple[str, ...]
DEFAULT: Encodings = ("ascii",)

_ESCAPE = b"\x1b"
_warnings = threading.Lock()  # the warning filter is the interpreter's, not the thread's


@lru_cache(maxsize=256)
def encodings(specific_character_set: bytes) -> Encodings:
    """Return Python's codecs for a value of (0008,0005); unknown terms read as the default repertoire."""
    terms = [term.strip() for term in specific_character_set.decode("ascii", "replace").rstrip("\0 ").split("\\")]
    with _warnings, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return tuple(charset.convert_encodings(terms)) or DEFAULT
        except (LookupError, ValueError):
            return DEFAULT


def decode(raw: bytes, codecs: Encodings, *, name: bool = False) -> str:
    """Return the text without padding or NUL; what cannot be read becomes U+FFFD, never an error.

    Args:
        raw: the value as received.
        codecs: of the data set, see :func:`encodings`.
        name: whether ``^`` and ``=`` also reset the code extension (value representation PN).
    """
    if raw.isascii() and _ESCAPE not in raw:
        text = raw.decode("ascii")
    elif len(codecs) == 1 and _ESCAPE not in raw:
        text = raw.decode("latin-1" if codecs[0] == "ascii" else codecs[0], "replace")
    else:
        text = _extended(raw, codecs, name=name)
    text = text.rstrip("\0 ")
    return text.replace("\0", "") if "\0" in text else text


def _extended(raw: bytes, codecs: Encodings, *, name: bool) -> str:
    delimiters = PN_DELIMS if name else TEXT_VR_DELIMS
    with _warnings, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return charset.decode_bytes(raw, list(codecs), delimiters)
