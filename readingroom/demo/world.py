"""The demo's world: two reading groups, their hospitals and people, and studies that never were anybody's."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from readingroom import ray_head
from readingroom.demo.phantom import head_ct
from readingroom.demo.sender import send
from storage import provision
from storage.pool import Database

if TYPE_CHECKING:
    from pathlib import Path

    from readingroom.demo.sender import Sent
    from readingroom.settings import Settings

PASSWORD = "demo-only"  # noqa: S105 - these people exist in a demo alone
READY_S = 90.0


@dataclass(frozen=True, slots=True)
class Hospital:
    """A site of a group, and the AE title its scanner calls from."""

    name: str
    aet: str
    jurisdiction: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A tenant of the demo; its people log in as ``ROLE@NAME.example``."""

    name: str
    short: str
    hospitals: tuple[Hospital, ...]
    readers: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]  # name, licences, subspecialties
    ids: dict[str, str] = field(default_factory=dict)

    def email(self, who: str) -> str:
        """Return somebody's address."""
        return f"{who}@{self.short}.example"


def groups() -> list[Group]:
    """Return the two groups."""
    return [
        Group(
            "Night Harbor Radiology", "harbor",
            (Hospital("Harbor St. Aldous", "HSA_CT1", "US-ME"), Hospital("Meridian Valley", "MVH_CT1")),
            (("Iris Mockford", ("US-ME",), ("neuro",)), ("Basil Fixture", ("US-ME",), ())),
        ),
        Group(
            "Nordkap Teleradiology", "nordkap",
            (Hospital("Nordkap Klinik", "NKK_CT1"), Hospital("Isle of Wren Trust", "IWR_CT1")),
            (("Ola Placehold", (), ("neuro", "chest")), ("Yuna Sampleton", (), ())),
        ),
    ]  # fmt: skip


class Instance:
    """A whole stack of one's own, started as a user would start it."""

    def __init__(self, data: Path, port: int = 0, dicom_port: int = 0) -> None:
        self.data = data
        self._ports = (port, dicom_port)
        self._process: asyncio.subprocess.Process | None = None
        self.url, self.dicom = "", ("127.0.0.1", 0)

    async def start(self) -> None:
        """Return once it says that it is ready.

        Raises:
            RuntimeError: it ended, or was not ready in time.
        """
        command = [sys.executable, "-m", "readingroom.cli.main", "up", "--attached", "--data", str(self.data)]
        command += ["--port", str(self._ports[0]), "--dicom-port", str(self._ports[1])]
        with (self.data / "up.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=os.environ | {"PYTHONPATH": ray_head.python_path()},
            )  # fmt: skip
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        async with asyncio.timeout(READY_S):
            while line := (await self._process.stdout.readline()).decode():
                if line.startswith("ready "):
                    _, self.url, _, dicom = line.split()
                    host, _, port = dicom.rpartition(":")
                    self.dicom = (host, int(port))
                    return
        raise RuntimeError(f"the stack did not start: see {self.data}/up.log")

    async def stop(self) -> None:
        """Stop it, as Ctrl-C would."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(20):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()


async def people(settings: Settings, world: list[Group], webhooks: str | None = None, secret: str = "") -> None:
    """Set up groups, hospitals, AE titles and people."""
    db = await Database(settings.dsn("rr_admin"), max_size=1).open()
    try:
        async with db.scope() as conn:
            for group in world:
                tenant_id = group.ids["tenant"] = await provision.add_tenant(conn, group.name)
                sites = []
                for hospital in group.hospitals:
                    site_id = await provision.add_site(conn, tenant_id, hospital.name, hospital.jurisdiction)
                    group.ids[hospital.aet] = site_id
                    sites.append(site_id)
                    await provision.add_ae(conn, tenant_id, site_id, hospital.aet, "127.0.0.1", 104)
                for number, (name, licences, subspecialties) in enumerate(group.readers, 1):
                    skills = provision.Skills(licences, subspecialties)
                    email = group.email(f"reader{number}")
                    await provision.add_user(
                        conn, tenant_id, "radiologist", email, name=name, password=PASSWORD, skills=skills
                    )
                for role in ("manager", "technologist", "viewer", "admin"):
                    bound = sites if role in ("technologist", "viewer") else []
                    await provision.add_user(
                        conn, tenant_id, role, group.email(role), name=role.title(), password=PASSWORD, sites=bound
                    )
                if webhooks:
                    await provision.add_webhook(conn, tenant_id, webhooks, None, secret)
    finally:
        await db.close()


def study(number: int, order: dict[str, str], *, bleed: bool, slices: int = 24) -> tuple[dict[str, str], list[Any]]:
    """Return a patient who never was, and a generated head CT."""
    patient = {
        "name": f"PHANTOM^N{number:03d}",
        "mrn": f"{100000 + number}",
        "birth_date": f"19{40 + number % 50}-0{1 + number % 9}-12",
        "sex": "FM"[number % 2],
    }
    return patient, head_ct(number, bleed, patient, order=order, slices=slices, size=128)


async def transmit(images: list[Any], instance: Instance, aet: str, within_s: float = 60) -> list[Sent]:
    """Send a study as its scanner would: again, when the listener was not there."""
    loop = asyncio.get_running_loop()
    end, answers = loop.time() + within_s, list["Sent"]()
    while loop.time() < end:
        try:
            answers = await asyncio.to_thread(send, images, *instance.dicom, aet=aet)
        except Exception:  # noqa: BLE001 - refused, reset or gone: a scanner tries again
            answers = []
        if answers and all(a.status == 0 for a in answers) and len(answers) == len(images):
            return answers
        await asyncio.sleep(0.5)
    return answers
