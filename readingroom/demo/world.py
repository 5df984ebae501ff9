"""The demo's world: two reading groups, their hospitals and people. Every name is made up, and meant to look it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from actors.domain.words import SITE_BOUND, Role
from storage import admin, peers
from storage.pool import Database

if TYPE_CHECKING:
    from readingroom.settings import Settings
    from storage.pool import Connection

PASSWORD = "demo-only"  # noqa: S105 - these people exist in a demo alone
_SHIFT_H = (1, 11)  # on duty since so many hours, and for so many more


@dataclass(frozen=True, slots=True)
class Hospital:
    """A site of a group, and the AE title that its machines call from."""

    name: str
    aet: str
    jurisdiction: str | None = None


@dataclass(frozen=True, slots=True)
class Doctor:
    """A radiologist: where she may read, and what she reads best."""

    name: str
    who: str
    licences: tuple[str, ...] = ()
    subspecialties: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """A tenant of the demo; its people log in as ``WHO@SHORT.example``."""

    name: str
    short: str
    time_zone: str
    hospitals: tuple[Hospital, ...]
    doctors: tuple[Doctor, ...]
    staff: tuple[tuple[str, Role], ...]
    ids: dict[str, str] = field(default_factory=dict)  # "tenant", and the site of each AE title, once set up

    def email(self, who: str) -> str:
        """Return somebody's address."""
        return f"{who}@{self.short}.example"

    def everyone(self) -> list[tuple[str, str, Role]]:
        """Return name, address and role of each person."""
        doctors = [(d.name, self.email(d.who), Role.RADIOLOGIST) for d in self.doctors]
        return doctors + [(name, self.email(role.value.partition("_")[0]), role) for name, role in self.staff]


_MAINE, _NEW_HAMPSHIRE, _NORWAY = "US-ME", "US-NH", "NO"


def groups() -> list[Group]:
    """Return the two groups."""
    return [
        Group(
            "Night Harbor Radiology", "harbor", "America/New_York",
            (Hospital("Harbor St. Aldous", "HSA_CT1", _MAINE), Hospital("Meridian Valley", "MVH_CT1", _NEW_HAMPSHIRE),
             Hospital("Clinic at Lake Invented", "LIC_MR1")),
            (Doctor("Iris Mockford", "mockford", (_MAINE, _NEW_HAMPSHIRE), ("neuro",)),
             Doctor("Basil Fixture", "fixture", (_MAINE, _NEW_HAMPSHIRE))),
            (("Petra Overview", Role.MANAGER), ("Tom Scannable", Role.TECHNOLOGIST), ("Vera Lookup", Role.VIEWER),
             ("Dr. Reginald Askwell", Role.REFERRING_PHYSICIAN), ("Ada Minister", Role.ADMIN)),
        ),
        Group(
            "Nordkap Teleradiologi", "nordkap", "Europe/Oslo",
            (Hospital("Nordkap Klinikk", "NKK_CT1", _NORWAY), Hospital("Isle of Wren Trust", "IWR_CT1")),
            (Doctor("Ola Plassholder", "plassholder", (_NORWAY,), ("neuro", "chest")),
             Doctor("Yuna Sampleton", "sampleton", (_NORWAY,))),
            (("Max Mustersjef", Role.MANAGER), ("Tuva Testbilde", Role.TECHNOLOGIST), ("Vidar Innsyn", Role.VIEWER),
             ("Dr. Henvis Erlend", Role.REFERRING_PHYSICIAN), ("Anne Oppsett", Role.ADMIN)),
        ),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hook:
    """Where signed reports are delivered."""

    url: str
    secret: str


async def people(settings: Settings, world: list[Group], hook: Hook | None = None) -> None:
    """Set up groups, hospitals, AE titles and people in a running instance, as ``readingroom admin`` would."""
    db = await Database(settings.dsn("rr_admin"), max_size=1).open()
    try:
        async with db.scope() as conn:
            for group in world:
                await _group(conn, group, hook)
    finally:
        await db.close()


async def _group(conn: Connection, group: Group, hook: Hook | None) -> None:
    tenant_id = group.ids["tenant"] = await admin.add_tenant(conn, group.name, group.time_zone)
    for hospital in group.hospitals:
        site_id = await admin.add_site(conn, tenant_id, hospital.name, jurisdiction=hospital.jurisdiction)
        group.ids[hospital.aet] = site_id
        await peers.add_ae(conn, peers.Ae(tenant_id, site_id, hospital.aet, "127.0.0.1", 104))
    sites = sorted(group.ids[h.aet] for h in group.hospitals)
    for name, email, role in group.everyone():
        bound = sites if role in SITE_BOUND else []
        await admin.add_person(conn, admin.Person(email, role, tenant_id, name, PASSWORD, bound))
    now = datetime.now(UTC)
    for doctor in group.doctors:
        user_id = await admin.person(conn, group.email(doctor.who))
        group.ids[doctor.who] = user_id
        what = admin.Reader(list(doctor.licences), list(doctor.subspecialties))
        await admin.set_reader(conn, tenant_id, user_id, what)
        before, after = (timedelta(hours=hours) for hours in _SHIFT_H)
        await admin.add_shift(conn, tenant_id, user_id, now - before, now + after)
    if hook is not None:
        await peers.add_webhook(conn, tenant_id, None, hook.url, hook.secret)
