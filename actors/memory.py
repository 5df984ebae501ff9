"""Gives what was freed back to the machine: an allocator keeps it for the next peak, which a host has once, when it begins."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


@cache
def _trim() -> Any:
    """Return the C library's function, None where it has none."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Return free pages of the heap; milliseconds, without the interpreter's lock."""
    trim = _trim()
    if trim is not None:
        trim(0)
