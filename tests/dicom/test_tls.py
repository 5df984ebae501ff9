"""DICOM under TLS: who is let in, by which certificate, and that nobody waits for one who says nothing."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined] # made at run time
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from actors.domain.errors import BadPayload
from gateway.ingest.limits import Limits
from gateway.ingest.listener import Listener, NoCertificate
from readingroom.demo.sender import send
from storage import peers
from storage.peers import Ae
from storage.pool import Database
from tests.dicom.raw import Raw
from tests.dicom.test_query_retrieve import FIND, query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.dicom.conftest import World

Images = "Callable[..., list[FileDataset]]"


def certificate(directory: Path, name: str) -> Path:
    """Make a certificate of its own with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = directory / f"{name}.pem"
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + pem)
    return path


@pytest.fixture
async def shielded(world: World, tmp_path: Path) -> AsyncIterator[Listener]:
    """A listener with a TLS port; CT1's row names its certificate, the site's others show none."""
    world.settings.dicom_tls_port = 0
    world.settings.dicom_tls_cert = certificate(tmp_path, "room")
    pem = certificate(tmp_path, "ct1").read_text()
    begin = pem.index("-----BEGIN CERT")
    await world.conn.execute(
        "INSERT INTO rr.ae (tenant_id, site_id, ae_id, aet, host, port, certificate)"
        " VALUES ('north', 'harbor', 'c1', 'CT1', '127.0.0.1', 1, $1)",
        ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(pem[begin : pem.index("-----END CERT") + 25] + "\n")),
    )
    listener = Listener(world.settings)
    await listener.start()
    yield listener
    await listener.stop()


def client(tmp_path: Path, show: str | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(tmp_path / "room.pem")
    if show:
        path = tmp_path / f"{show}.pem"
        context.load_cert_chain(path if path.exists() else certificate(tmp_path, show))
    return context


def echo(port: int, aet: str, context: ssl.SSLContext | None) -> int | None:
    """Return the status of an echo, None without association."""
    ae = AE(aet)
    ae.acse_timeout = ae.network_timeout = 20
    ae.add_requested_context(Verification)
    association = ae.associate(
        "127.0.0.1", port, ae_title="READINGROOM", tls_args=(context, "localhost") if context else None
    )
    if not association.is_established:
        return None
    status = int(association.send_c_echo().Status)
    association.release()
    return status


async def test_a_caller_is_who_its_certificate_says(
    world: World, shielded: Listener, images: Images, tmp_path: Path
) -> None:
    (image,) = images()
    ae = AE("ANYTHING")
    ae.add_requested_context(CTImageStorage)

    def store() -> int:
        association = ae.associate(
            "127.0.0.1", shielded.tls_port, ae_title="READINGROOM", tls_args=(client(tmp_path, "ct1"), "localhost")
        )
        assert association.is_established
        status = association.send_c_store(image).Status
        association.release()
        return int(status)

    assert await asyncio.to_thread(store) == 0
    (row,) = await world.rows("SELECT tenant_id, site_id FROM rr.dicom_study")
    assert tuple(row.values()) == ("north", "harbor")


async def test_a_title_whose_row_names_a_certificate_is_nothing_without_it(shielded: Listener, tmp_path: Path) -> None:
    assert await asyncio.to_thread(echo, shielded.tls_port, "CT1", client(tmp_path, "ct1")) == 0
    assert await asyncio.to_thread(echo, shielded.tls_port, "CT1", client(tmp_path)) is None
    assert await asyncio.to_thread(echo, shielded.port, "CT1", None) is None


async def test_an_unknown_certificate_is_refused_whatever_title_it_comes_with(
    shielded: Listener, tmp_path: Path
) -> None:
    for aet in ("CT1", "NORTH_MAIN"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(_greet, shielded.tls_port, client(tmp_path, "stranger"))
        assert await asyncio.to_thread(echo, shielded.tls_port, aet, client(tmp_path)) == (0 if aet != "CT1" else None)


def _greet(port: int, context: ssl.SSLContext) -> None:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        if not sock.recv(1):  # of TLS 1.3, a client hears here that it is refused
            raise ConnectionError("closed")


async def test_with_an_authority_every_caller_shows_a_certificate(world: World, tmp_path: Path) -> None:
    world.settings.dicom_tls_port = 0
    world.settings.dicom_tls_cert = certificate(tmp_path, "room")
    world.settings.dicom_tls_ca = certificate(tmp_path, "authority")
    listener = Listener(world.settings)
    await listener.start()
    try:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(_greet, listener.tls_port, client(tmp_path))
        assert await asyncio.to_thread(echo, listener.tls_port, "NORTH_MAIN", client(tmp_path, "authority")) == 0
    finally:
        await listener.stop()


async def test_those_who_say_nothing_keep_nobody_waiting(world: World, shielded: Listener, tmp_path: Path) -> None:
    assert world.settings
    silent = [socket.create_connection(("127.0.0.1", shielded.tls_port)) for _ in range(8)]
    try:
        silent[1].sendall(b"\x16\x03\x01\x02\x00\x01")  # half a greeting
        loop = asyncio.get_running_loop()
        started = loop.time()
        assert await asyncio.to_thread(echo, shielded.tls_port, "CT1", client(tmp_path, "ct1")) == 0
        assert loop.time() - started < 8  # a handshake may take ten seconds before it is ended
    finally:
        for sock in silent:
            sock.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
async def test_old_versions_are_refused(shielded: Listener, tmp_path: Path, version: ssl.TLSVersion) -> None:
    context = client(tmp_path)
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.to_thread(_greet, shielded.tls_port, context)


async def test_a_port_without_certificate_does_not_open(world: World) -> None:
    world.settings.dicom_tls_port = 0
    listener = Listener(world.settings)
    with pytest.raises(NoCertificate, match="dicom_tls_cert"):
        await listener.start()
    await listener.stop()


async def test_images_move_under_tls_to_the_one_whose_certificate_the_row_names(
    world: World, shielded: Listener, images: Images, tmp_path: Path
) -> None:
    (image,) = images()
    await asyncio.to_thread(send, [image], "127.0.0.1", shielded.port, aet="NORTH_MAIN")
    taken: list[str] = []

    def take(event: evt.Event) -> int:
        taken.append(event.request.AffectedSOPInstanceUID)
        return 0

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path, "pacs"))
    taker = AE("PACS")
    taker.add_supported_context(CTImageStorage)
    server = taker.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, take)], ssl_context=context
    )

    def move() -> int:
        ae = AE("NORTH_MAIN")
        ae.add_requested_context(StudyRootQueryRetrieveInformationModelMove)
        association = ae.associate("127.0.0.1", shielded.port, ae_title="READINGROOM")
        asked = Dataset()
        asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", image.StudyInstanceUID
        answers = list(association.send_c_move(asked, "PACS", StudyRootQueryRetrieveInformationModelMove))
        association.release()
        return int(answers[-1][0].Status)

    try:
        for name, status in (("stranger", 0xA702), ("pacs", 0x0000)):
            path = tmp_path / f"{name}.pem"
            pem = (path if path.exists() else certificate(tmp_path, name)).read_text()
            await world.conn.execute("DELETE FROM rr.ae WHERE aet = 'PACS'")
            await world.conn.execute(
                "INSERT INTO rr.ae (tenant_id, site_id, ae_id, aet, host, port, tls, certificate)"
                " VALUES ('north', 'main', 'p1', 'PACS', '127.0.0.1', $1, true, $2)",
                server.server_address[1], pem[: pem.index("-----END CERT") + 25] + "\n",
            )  # fmt: skip
            await asyncio.sleep(0.6)  # the rows are read again within half a second
            assert await asyncio.to_thread(move) == status
    finally:
        server.shutdown()
    assert taken == [image.SOPInstanceUID]


async def test_one_group_does_not_take_the_associations_of_another(world: World) -> None:
    world.settings.dicom_associations = 2
    listener = Listener(world.settings)
    await listener.start()
    try:
        with Raw(listener.port) as one, Raw(listener.port) as two, Raw(listener.port) as three:
            assert [await asyncio.to_thread(raw.associate) for raw in (one, two)] == [2, 2]
            three.sock.settimeout(20)
            assert await asyncio.to_thread(three.associate, "NORTH_HARBOR") == 3
            assert await asyncio.to_thread(echo, listener.port, "NORTH_MAIN", None) is None
            await world.conn.execute("UPDATE rr.ae SET called_aet = NULL WHERE aet = 'SOUTH_MAIN'")
            await asyncio.sleep(0.6)  # the rows are read again within half a second
            assert await asyncio.to_thread(echo, listener.port, "SOUTH_MAIN", None) == 0
        async with asyncio.timeout(10):
            while await asyncio.to_thread(echo, listener.port, "NORTH_MAIN", None) is None:
                await asyncio.sleep(0.05)
    finally:
        await listener.stop()


async def test_too_many_questions_are_told_to_come_later(world: World, listener: Listener) -> None:
    assert world.settings
    listener._services.limits = Limits(requests_per_s=0.5)
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.2.3"}
    answers = [(await asyncio.to_thread(query, listener.port, FIND, **keys))[0] for _ in range(4)]
    assert answers[0] == 0
    assert answers[-1] == 0xA700


async def test_rows_of_one_title_are_apart_by_certificate_only_if_these_differ(world: World, tmp_path: Path) -> None:
    db = Database(world.settings.dsn("rr_admin"))
    await db.open()
    pems = [certificate(tmp_path, name).read_text() for name in ("one", "two")]
    try:
        async with db.scope() as conn:
            await peers.add_ae(conn, Ae("north", "main", "MR1", "h", 104, certificate=pems[0]))
            await peers.add_ae(conn, Ae("north", "harbor", "MR1", "h", 104, certificate=pems[1]))
            await peers.add_ae(conn, Ae("south", "main", "MR1", "h", 104))
        for pem in (pems[0], None):
            with pytest.raises(BadPayload, match="already belongs"):
                async with db.scope() as conn:
                    await peers.add_ae(
                        conn,
                        Ae(
                            "north", "harbor" if pem else "main", "MR1", "h", 104, "X" if pem else None, certificate=pem
                        ),
                    )
        with pytest.raises(BadPayload, match="PEM"):
            async with db.scope() as conn:
                await peers.add_ae(conn, Ae("north", "main", "MR2", "h", 104, certificate="nonsense"))
    finally:
        await db.close()
