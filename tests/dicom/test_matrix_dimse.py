"""Who may what over DIMSE: every service, for every kind of caller, two groups with two sites each.

The table is written from the interface's description. A caller of one site sees and changes that site only, a caller
of a whole group that group only, a stranger nothing; each refusal is the one that the standard has for it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined] # made at run time
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)

from readingroom.demo.sender import NotAssociated, send
from tests.dicom.test_query_retrieve import FIND, PATIENT_FIND, identifier, move, query
from tests.dicom.test_workflow import COMMITMENT, IAN, MPPS, ORDERS, Hears, begun, commit, over, told, wanted, worklist

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import FileDataset

    from gateway.ingest.listener import Listener
    from tests.dicom.conftest import World

OURS = "READINGROOM"
SITES = [("north", "main"), ("north", "harbor"), ("south", "main"), ("south", "harbor")]
GET = StudyRootQueryRetrieveInformationModelGet
REJECTED = 1  # permanently, by the service user: PS3.8 9.3.4
CALLING, CALLED = 3, 7


@dataclass(frozen=True)
class Who:
    """A caller: where its images go, and what it is told when it has no business here."""

    aet: str
    called: str = OURS
    place: tuple[str, str] | None = None
    wide: bool = False
    reason: int | None = None

    @property
    def sees(self) -> set[tuple[str, str]]:
        """The sites whose studies it finds and fetches."""
        assert self.place
        return {site for site in SITES if site[0] == self.place[0]} if self.wide else {self.place}


CALLERS = [
    *(Who(f"{tenant.upper()}_{site.upper()}", place=(tenant, site)) for tenant, site in SITES),
    Who("NORTH_ALL", place=("north", "main"), wide=True),  # of the whole group: its own images are the main site's
    Who("SOUTH_ALL", place=("south", "main"), wide=True),
    Who("NOBODY", reason=CALLING),
    Who("SOUTH_FAR", reason=CALLING),  # known, but calls from elsewhere
    Who("NORTH_MAIN", "ELSEWHERE", reason=CALLED),
    Who("NORTH_NARROW", reason=CALLED),  # known, but calls us by another name
]
KNOWN = [who for who in CALLERS if who.place]
STRANGERS = [who for who in CALLERS if who.reason]


@pytest.fixture
async def rooms(world: World) -> World:
    """Callers of every kind."""
    await world.conn.execute("""
        DELETE FROM rr.ae;
        INSERT INTO rr.site (tenant_id, site_id, name, issuer) VALUES ('south', 'harbor', 'Harbor', 'south-harbor');
        INSERT INTO rr.ae (tenant_id, site_id, ae_id, aet, called_aet, source, host, port) VALUES
          ('north', 'main', 'a1', 'NORTH_MAIN', NULL, NULL, 'localhost', 1),
          ('north', 'harbor', 'a2', 'NORTH_HARBOR', NULL, '127.0.0.0/8', 'localhost', 1),
          ('south', 'main', 'a3', 'SOUTH_MAIN', 'READINGROOM', NULL, 'localhost', 1),
          ('south', 'harbor', 'a4', 'SOUTH_HARBOR', NULL, NULL, 'localhost', 1),
          ('south', 'main', 'a5', 'SOUTH_FAR', NULL, '10.0.0.0/8', 'localhost', 1),
          ('north', 'main', 'a6', 'NORTH_NARROW', 'NARROW', NULL, 'localhost', 1),
          ('north', 'main', 'a7', 'NORTH_ALL', NULL, NULL, 'localhost', 1),
          ('south', 'main', 'a8', 'SOUTH_ALL', NULL, NULL, 'localhost', 1);
        UPDATE rr.ae SET wide = true WHERE aet LIKE '%_ALL';
    """)
    return world


def echo(port: int, who: Who) -> int | tuple[int, int, int]:
    """Return the status of an echo, or result, source and reason of the rejection."""
    ae = AE(who.aet)
    ae.add_requested_context(Verification)
    association = ae.associate("127.0.0.1", port, ae_title=who.called)
    if not association.is_established:
        said = association.acceptor.primitive
        return said.result, said.result_source, said.diagnostic
    status = int(association.send_c_echo().Status)
    association.release()
    return status


def fetch(port: int, who: Who, **keys: Any) -> tuple[int, list[str]]:
    """Return the final status of a C-GET and the instances that came."""
    came: list[str] = []

    def take(event: evt.Event) -> int:
        came.append(event.request.AffectedSOPInstanceUID)
        return 0

    ae = AE(who.aet)
    ae.add_requested_context(GET)
    ae.add_requested_context(CTImageStorage)
    association = ae.associate(
        "127.0.0.1", port, ae_title=who.called, ext_neg=[build_role(CTImageStorage, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, take)],
    )  # fmt: skip
    answers = list(association.send_c_get(identifier(keys), GET))
    association.release()
    return answers[-1][0].Status, came


async def store(listener: Listener, images: list[FileDataset], who: Who) -> list[int | None]:
    sent = await asyncio.to_thread(send, images, "127.0.0.1", listener.port, aet=who.aet, called=who.called)
    return [one.status for one in sent]


@pytest.mark.parametrize("who", STRANGERS, ids=str)
async def test_a_stranger_gets_no_association_and_hears_why(rooms: World, listener: Listener, who: Who) -> None:
    assert await asyncio.to_thread(echo, listener.port, who) == (REJECTED, 1, who.reason)
    assert await rooms.value("SELECT count(*) FROM rr.dicom_study") == 0


@pytest.mark.parametrize("who", KNOWN, ids=str)
async def test_who_is_known_is_answered_an_echo(rooms: World, listener: Listener, who: Who) -> None:
    assert rooms.store.root
    assert await asyncio.to_thread(echo, listener.port, who) == 0


async def test_images_become_the_callers_whatever_they_say(
    rooms: World, listener: Listener, images: Callable[..., list[FileDataset]]
) -> None:
    for who in KNOWN:
        (image,) = images(InstitutionName="Harbor", IssuerOfPatientID="south-harbor", StationName="SOUTH_MAIN")
        assert await store(listener, [image], who) == [0]
        for table in ("dicom_study", "series", "instance", "inbox"):
            site = "body->>'site_id'" if table == "inbox" else "site_id"
            rows = await rooms.rows(
                f"SELECT DISTINCT tenant_id, {site} AS site_id FROM rr.{table} WHERE study_uid = $1",
                image.StudyInstanceUID,
            )
            assert [(row["tenant_id"], row["site_id"]) for row in rows] == [who.place], (who, table)


async def test_no_caller_adds_to_a_study_of_another_site_and_none_learns_that_it_exists(
    rooms: World, listener: Listener, images: Callable[..., list[FileDataset]]
) -> None:
    """An image under a known study is answered as under an unknown one, and stands by itself where it came from."""
    for owner in KNOWN[:4]:
        theirs, more = images(count=2)
        assert await store(listener, [theirs], owner) == [0]
        for who in KNOWN:
            if who.place != owner.place:
                assert await store(listener, [more, theirs], who) == [0, 0], (owner, who)
        rows = await rooms.rows(
            "SELECT tenant_id, site_id, images FROM rr.dicom_study WHERE header_study_uid = $1", theirs.StudyInstanceUID
        )
        counts = {(row["tenant_id"], row["site_id"]): row["images"] for row in rows}
        assert counts == {place: 1 if place == owner.place else 2 for place in SITES}, owner
        assert len(rows) == len(SITES)
    assert await rooms.value("SELECT count(*) FROM rr.kept_apart") == 0


@pytest.fixture
async def studies(
    rooms: World, listener: Listener, images: Callable[..., list[FileDataset]]
) -> dict[tuple[str, str], FileDataset]:
    """An image of every site; the patients have the same number."""
    assert rooms
    made = {}
    for who in KNOWN[:4]:
        (image,) = images()
        assert await store(listener, [image], who) == [0]
        assert who.place
        made[who.place] = image
    return made


QUERIES = [
    (FIND, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": ""}),
    (FIND, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "PatientName": "QUAY*"}),
    (FIND, {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "", "SeriesInstanceUID": ""}),
    (FIND, {"QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": "", "SOPInstanceUID": ""}),
    (PATIENT_FIND, {"QueryRetrieveLevel": "STUDY", "PatientID": "4711", "StudyInstanceUID": ""}),
    (PATIENT_FIND, {"QueryRetrieveLevel": "IMAGE", "PatientID": "4711", "StudyInstanceUID": ""}),
]


@pytest.mark.parametrize("who", KNOWN, ids=str)
async def test_queries_find_what_the_caller_may_see_at_every_level_by_any_key(
    listener: Listener, studies: dict[tuple[str, str], FileDataset], who: Who
) -> None:
    seen = {str(studies[site].StudyInstanceUID) for site in who.sees}
    for model, keys in QUERIES:
        status, found = await asyncio.to_thread(query, listener.port, model, who.aet, **keys)
        assert (status, {one.StudyInstanceUID for one in found}) == (0, seen), (who, keys)
        for site, image in studies.items():
            named = keys | {"StudyInstanceUID": image.StudyInstanceUID}
            status, found = await asyncio.to_thread(query, listener.port, model, who.aet, **named)
            assert (status, len(found)) == (0, site in who.sees), (who, site, keys)
    keys = {
        "QueryRetrieveLevel": "PATIENT",
        "PatientID": "4711",
        "IssuerOfPatientID": "",
        "NumberOfPatientRelatedStudies": "",
    }
    status, found = await asyncio.to_thread(query, listener.port, PATIENT_FIND, who.aet, **keys)
    assert {one.IssuerOfPatientID for one in found} == {f"{tenant}-{site}" for tenant, site in who.sees}
    assert {one.NumberOfPatientRelatedStudies for one in found} == {1}


@pytest.mark.parametrize("who", KNOWN, ids=str)
async def test_a_caller_gets_its_own_images_and_of_others_not_even_that_they_exist(
    listener: Listener, studies: dict[tuple[str, str], FileDataset], who: Who
) -> None:
    for site, image in studies.items():
        uids = {
            "STUDY": {"StudyInstanceUID": image.StudyInstanceUID},
            "SERIES": {"StudyInstanceUID": image.StudyInstanceUID, "SeriesInstanceUID": image.SeriesInstanceUID},
            "IMAGE": {"SOPInstanceUID": image.SOPInstanceUID},
        }
        for level, keys in uids.items():
            got = await asyncio.to_thread(fetch, listener.port, who, QueryRetrieveLevel=level, **keys)
            assert got == (0, [image.SOPInstanceUID] if site in who.sees else []), (who, site, level)
    assert await asyncio.to_thread(fetch, listener.port, who, QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3") == (
        0,
        [],
    )


@pytest.mark.parametrize("who", KNOWN, ids=str)
async def test_images_move_only_where_caller_and_destination_both_may_see_them(
    rooms: World, listener: Listener, studies: dict[tuple[str, str], FileDataset], who: Who
) -> None:
    taken: list[str] = []

    def take(event: evt.Event) -> int:
        taken.append(event.request.AffectedSOPInstanceUID)
        return 0

    taker = AE("TAKER")
    taker.add_supported_context(CTImageStorage)
    server = taker.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])
    await rooms.conn.execute("UPDATE rr.ae SET host = '127.0.0.1', port = $1", server.server_address[1])
    await asyncio.sleep(0.6)  # read again within half a second
    try:
        for other in KNOWN:
            assert who.place
            assert other.place
            may = other.place[0] == who.place[0] and (who.wide or other.wide or other.place == who.place)
            for site, image in studies.items():
                taken.clear()
                answers = await asyncio.to_thread(
                    move, listener.port, other.aet, who.aet, QueryRetrieveLevel="STUDY",
                    StudyInstanceUID=str(image.StudyInstanceUID),
                )  # fmt: skip
                assert answers[-1][0].Status == (0 if may else 0xA801), (who, other, site)
                wanted = [image.SOPInstanceUID] if may and site in who.sees & other.sees else []
                assert taken == wanted, (who, other, site)
    finally:
        server.shutdown()


@pytest.mark.parametrize("who", KNOWN, ids=str)
async def test_worklist_steps_notices_and_commitments_stay_within_what_the_caller_may_see(
    rooms: World, listener: Listener, studies: dict[tuple[str, str], FileDataset], who: Who
) -> None:
    for n, (tenant, site) in enumerate(SITES, 1):
        await rooms.conn.execute(ORDERS.format(tenant=tenant, site=site, n=n))
    assert who.place
    listed = await asyncio.to_thread(worklist, listener.port, who.aet)
    assert {item.StudyInstanceUID.split(".")[2] for item in listed} == {str(SITES.index(s) + 1) for s in who.sees}
    for n, (site, image) in enumerate(studies.items()):
        own, uid = site == who.place, str(image.StudyInstanceUID)
        before = await rooms.value("SELECT count(*) FROM rr.inbox WHERE body->>'kind' = 'announced'")
        step = f"1.2.9.{n}"
        steps = [("create", step, begun(uid)), ("set", step, over([str(image.SOPInstanceUID)]))]
        assert await asyncio.to_thread(told, listener.port, steps, who.aet) == [0, 0], (who, site)
        notice = identifier({"StudyInstanceUID": uid})
        assert await asyncio.to_thread(told, listener.port, [("create", step, notice)], who.aet, IAN) == [0], (
            who,
            site,
        )
        after = await rooms.value("SELECT count(*) FROM rr.inbox WHERE body->>'kind' = 'announced'")
        assert after - before == (2 if own else 0), (who, site)
        (row,) = await rooms.rows("SELECT tenant_id, site_id FROM rr.performed_step WHERE study_uid = $1", uid)
        assert tuple(row.values()) == who.place
        hears = Hears()
        asked = wanted((str(image.SOPClassUID), str(image.SOPInstanceUID)))
        assert await asyncio.to_thread(commit, listener.port, asked, hears, stay=True, aet=who.aet) == 0
        assert (await hears.one())[0] == (1 if site in who.sees else 2), (who, site)


async def test_nobody_changes_anothers_step_or_learns_of_it(rooms: World, listener: Listener) -> None:
    assert await asyncio.to_thread(told, listener.port, [("create", "1.2.9", begun("1.2.3"))], KNOWN[0].aet) == [0]
    for who in KNOWN[1:4]:
        assert await asyncio.to_thread(told, listener.port, [("set", "1.2.9", over([]))], who.aet) == [0x0112]
        assert await asyncio.to_thread(told, listener.port, [("create", "1.2.9", begun("1.2.3"))], who.aet) == [0]
    assert await rooms.value("SELECT count(*) FROM rr.performed_step WHERE status = 'IN PROGRESS'") == 4


@pytest.mark.parametrize("who", STRANGERS, ids=str)
async def test_a_stranger_queries_nothing(
    listener: Listener, studies: dict[tuple[str, str], FileDataset], who: Who
) -> None:
    assert studies
    ae = AE(who.aet)
    for model in (FIND, PATIENT_FIND, GET, MPPS, IAN, COMMITMENT):
        ae.add_requested_context(model)
    association = await asyncio.to_thread(ae.associate, "127.0.0.1", listener.port, ae_title=who.called)
    assert not association.is_established


async def test_an_echo_or_an_image_of_a_stranger_leaves_nothing(
    rooms: World, listener: Listener, images: Callable[..., list[FileDataset]]
) -> None:
    for who in STRANGERS:
        with pytest.raises(NotAssociated):
            await store(listener, images(), who)
    assert await rooms.value("SELECT count(*) FROM rr.instance") == 0
    assert not rooms.files()
