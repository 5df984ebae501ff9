"""Settings of one instance: flags and ``READINGROOM_*`` variables, with what its directory remembers."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from platformdirs import user_data_path
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

if TYPE_CHECKING:
    from collections.abc import Mapping

ROLES = ("rr_host", "rr_app", "rr_ingest", "rr_login", "rr_timer", "rr_delivery", "rr_infer", "rr_admin", "rr_keeper")


def default_data() -> Path:
    """Return where an instance lives when nobody says otherwise."""
    return Path("/var/lib/readingroom") if os.geteuid() == 0 else user_data_path("readingroom")


class Settings(BaseSettings):
    """Everything a process needs to know; children inherit it through the environment."""

    model_config = SettingsConfigDict(env_prefix="READINGROOM_", extra="ignore")

    data: Path = Field(default_factory=default_data)
    host: str = "127.0.0.1"
    port: int = 8080
    dicom_port: int = 11112
    dicom_listeners: int = 1
    dicom_associations: int = 100  # that one tenant may have open at a listener
    dicom_images_per_s: float = Field(default=0, ge=0)  # of one tenant at a listener; answers wait, 0: any number
    dicom_tls_port: int | None = None
    dicom_tls_cert: Path | None = None  # PEM: our certificate, and its key unless that is apart
    dicom_tls_key: Path | None = None
    dicom_tls_ca: Path | None = None  # whose certificates callers show; then each must show one
    gateways: int = 1
    shards: int = Field(default=64, ge=1, le=4096)  # of an instance for good: its database remembers them
    shard_hosts: int = Field(default=1, ge=0)  # 0: as many as the nodes' resource `shard` has room for
    autoscale: bool = False  # ask Ray's autoscaler for room as open studies and queues need it
    inference_workers: int = 1
    aet: str = "READINGROOM"
    database_url: str | None = None  # an administrator's URL of an external PostgreSQL
    redis_url: str | None = None
    ray_address: str | None = None
    log_level: str = "INFO"
    archive_after_days: float = 30  # after which the state of a closed study is put away
    encrypt_objects: bool = True
    verify_reads: float = Field(default=0.01, ge=0, le=1)  # of the images that are read
    scrub_mb_s: float = Field(default=2, ge=0)  # how fast all images are checked, again and again; 0: not at all
    objects_url: str | None = None  # a bucket that images go to: s3://, gs://, az://
    objects_cold_url: str | None = None  # where files of studies closed long ago may go: as objects_url, or file:///…
    tier_mb_s: float = Field(default=20, ge=0)  # how fast a listener moves them; 0: it moves none
    objects_secret: SecretStr | None = None  # what the object store's keys follow from; several machines share it

    @property
    def run(self) -> Path:
        """Sockets and pid files of this run."""
        return self.data / "run"

    @property
    def objects(self) -> Path:
        """The object store."""
        return self.data / "objects"

    @property
    def objects_key(self) -> bytes | None:
        """What the keys of the object store follow from; None when files are not encrypted."""
        if not self.encrypt_objects:
            return None
        given = self.objects_secret
        return (given.get_secret_value() if given else self.secret("objects")).encode()

    @property
    def admin_dsn(self) -> str:
        """The database as its owner: migrations and roles only."""
        if self.database_url:
            return self.database_url
        return f"postgresql://rr:{quote(self.secret('postgres'))}@/rr?host={quote(str(self.run), safe='')}&port=5432"

    def dsn(self, role: str) -> str:
        """The database as one of :data:`ROLES`."""
        parts = urlsplit(self.admin_dsn)
        place = parts.netloc.rpartition("@")[2]
        login = f"{role}:{quote(self.secret('roles'))}"
        return urlunsplit(parts._replace(netloc=f"{login}@{place}"))

    @property
    def valkey_url(self) -> str:
        """Valkey or Redis."""
        return self.redis_url or f"unix://{self.run}/valkey.sock"

    @property
    def ray(self) -> str:
        """Where Ray's head answers now; a restarted head has another port.

        Raises:
            FileNotFoundError: no head was started yet.
        """
        return self.ray_address or f"127.0.0.1:{(self.run / 'ray.port').read_text().strip()}"

    def publish_ray_port(self, port: int) -> None:
        """Tell every process where the head that was just started answers."""
        fresh = self.run / "ray.port.new"
        fresh.write_text(f"{port}\n")
        fresh.replace(self.run / "ray.port")

    def secret(self, name: str) -> str:
        """Return a secret of this instance, made at first use and readable by its owner only."""
        path = self.data / "secrets.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        if name not in known:
            known[name] = secrets.token_urlsafe(32)
            self.data.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(f".{os.getpid()}")
            fresh.touch(mode=0o600)
            fresh.write_text(json.dumps(known))
            fresh.replace(path)
        return known[name]

    def environment(self) -> Mapping[str, str]:
        """Return the variables that give a child these very settings."""
        named = self.model_dump(exclude_none=True, exclude={"objects_secret"})  # its own variable is inherited
        return {f"READINGROOM_{name.upper()}": str(value) for name, value in named.items()}
