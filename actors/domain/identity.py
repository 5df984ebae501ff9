"""Who and what: keys of entities, and the person behind a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID, uuid5
from zlib import crc32

from actors.domain.words import SITE_BOUND, Role

_DIVISION = {"shards": 64}
_MINTED = UUID("5a2f6c1e-7f1d-5e0c-9a4b-3f6f0d8e21aa")


def shards() -> int:
    """Return how many logical shards there are."""
    return _DIVISION["shards"]


def divide(count: int) -> None:
    """Say how many logical shards this process's instance was made with; once, before the first key is used."""
    _DIVISION["shards"] = count


class Key(NamedTuple):
    """Identity of an entity; two tenants may hold the same ``name``."""

    kind: str  # study | radiologist | tenant
    tenant_id: str
    name: str

    @property
    def entity(self) -> str:
        """The key within its tenant, as the journal spells it."""
        return f"{self.kind}/{self.name}"

    @property
    def shard(self) -> int:
        """The logical shard, stable over runs and hosts."""
        return crc32(f"{self.kind}/{self.tenant_id}/{self.name}".encode()) % _DIVISION["shards"]

    def __str__(self) -> str:
        return f"{self.kind}/{self.tenant_id}/{self.name}"

    @classmethod
    def of(cls, tenant_id: str, entity: str) -> Key:
        """Return the key of a journal row's ``entity``."""
        kind, _, name = entity.partition("/")
        return cls(kind, tenant_id, name)


def study_key(tenant_id: str, study_uid: str) -> Key:
    """Return the key of a study."""
    return Key("study", tenant_id, study_uid)


def radiologist_key(tenant_id: str, user_id: str) -> Key:
    """Return the key of a radiologist within a tenant."""
    return Key("radiologist", tenant_id, user_id)


def tenant_key(tenant_id: str) -> Key:
    """Return the key of a tenant's decider."""
    return Key("tenant", tenant_id, tenant_id)


def minted_study_uid(tenant_id: str, site_id: str, accession_number: str) -> str:
    """Return the Study Instance UID given to an order (PS3.5 B.2, the UUID-derived root).

    The same order always gets the same UID, so a repeated order reaches the same entity.
    """
    return f"2.25.{uuid5(_MINTED, f'order/{tenant_id}/{site_id}/{accession_number}').int}"


def apart_study_uid(tenant_id: str, site_id: str, study_uid: str) -> str:
    """Return our UID for images that a second site sent under a UID that another site owns."""
    return f"2.25.{uuid5(_MINTED, f'apart/{tenant_id}/{site_id}/{study_uid}').int}"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking, as the session says; never as a payload says."""

    user_id: str
    tenant_id: str  # "" for an operator
    role: Role
    sites: frozenset[str] = frozenset()  # of a site-bound role
    name: str = ""

    @property
    def all_sites(self) -> bool:
        """Whether the role sees every site of its tenant."""
        return self.role not in SITE_BOUND and self.role is not Role.OPERATOR

    def sees(self, site_id: str) -> bool:
        """Whether the site is in view."""
        return self.all_sites or site_id in self.sites
