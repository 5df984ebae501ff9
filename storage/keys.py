"""Keys of the object store: one a study, wrapped by its group's, which follows from the instance's master key.

A study's key lies beside its files, made once by whoever writes the first of them. Without that file, 40 bytes,
nothing of the study can be read again: that is how a study is erased from backups too (crypto-erase).
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from storage.sealed import KEY_BYTES, WRAPPED_BYTES, Damaged

if TYPE_CHECKING:
    from storage.shelves import Shelf

NAME = "key"
_REMEMBERED = 4096
REMEMBERED_S = 60.0  # a key that was erased is used no longer than that


class Keys:
    """Study keys by directory.

    Args:
        master: the instance's secret, 32 bytes or more.
        shelf: where the store's files lie; a study's are named ``TENANT/aa/STUDY/…``.
    """

    def __init__(self, master: bytes, shelf: Shelf) -> None:
        self._master, self._shelf = master, shelf
        self._group = lru_cache(maxsize=_REMEMBERED)(self._group_key)
        self._kept = lru_cache(maxsize=_REMEMBERED)(self._read)

    def of(self, study: str) -> bytes:
        """Return a study's key, as it is or was less than a minute ago.

        Raises:
            FileNotFoundError: it was erased, or never made.
            Damaged: it was not wrapped by this instance's master key.
        """
        return self._kept(study, int(monotonic() // REMEMBERED_S))

    def make(self, study: str) -> bytes:
        """Return a study's key, made now if this is its first file.

        Raises:
            OSError: the disk is full, or the object store away.
        """
        with suppress(FileNotFoundError):
            return self.of(study)
        wrapped = aes_key_wrap(self._group(study.partition("/")[0]), secrets.token_bytes(KEY_BYTES))
        with suppress(FileExistsError):  # somebody else was first: hers it is
            self._shelf.create(f"{study}/{NAME}", wrapped)
        return self.of(study)

    def _read(self, study: str, _minute: int) -> bytes:
        wrapped = self._shelf.read(f"{study}/{NAME}")
        try:
            return aes_key_unwrap(self._group(study.partition("/")[0]), wrapped[:WRAPPED_BYTES])
        except (InvalidUnwrap, ValueError) as exc:
            raise Damaged("the study's key does not open with this instance's key") from exc

    def _group_key(self, tenant_id: str) -> bytes:
        info = b"reading room: objects of " + tenant_id.encode()
        return HKDF(SHA256(), KEY_BYTES, None, info).derive(self._master)
