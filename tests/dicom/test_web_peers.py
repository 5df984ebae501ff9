"""DICOMweb clients and servers of others: the Python client round-trips, Orthanc stores to us and retrieves from us."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import imagecodecs
import numpy as np
import pytest
from dicomweb_client import DICOMwebClient
from pydicom.encaps import generate_frames
from pydicom.uid import generate_uid
from requests import HTTPError

from tests.dicom.conftest import World
from tests.dicom.test_peers import free_port
from tests.dicom.test_stow import part10
from tests.dicom.web import Orthanc, client, gateway, orthanc

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import FileDataset

    from tests.gateway import rest

__all__ = ["gateway"]
Images = "Callable[..., list[FileDataset]]"
MANY = ("CT_small.dcm", "MR_small_RLE.dcm", "examples_ybr_color.dcm", "SC_rgb_rle_2frame.dcm", "JPEG2000.dcm")
UNCOMPRESSED = (("application/octet-stream", "1.2.840.10008.1.2.1"),)
NATIVE = ("CT_small.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "SC_rgb_small_odd.dcm", "rtdose.dcm")


def values(results: list[dict[str, Any]], tag: str) -> list[Any]:
    return sorted(result[tag]["Value"][0] for result in results)


def one_study(images: Callable[..., list[FileDataset]], *names: str) -> list[FileDataset]:
    """Return images of many kinds, each a series of the same study."""
    made = [image for name in names for image in images(name)]
    for number, image in enumerate(made, 1):
        image.StudyInstanceUID, image.SeriesNumber = made[0].StudyInstanceUID, number
    return made


def data_set(image: FileDataset) -> bytes:
    """Return an image's bytes behind the file meta information, which is the archive's own."""
    return World.strip(part10(image))


def uids(image: FileDataset) -> tuple[str, str, str]:
    return str(image.StudyInstanceUID), str(image.SeriesInstanceUID), str(image.SOPInstanceUID)


def told(header: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a header that every server writes alike: not binary ones, nor the character set of JSON."""
    left_out = ("OB", "OW", "OF", "OD", "UN", "SQ", "DS", "FL", "FD")
    return {
        tag: [value or None for value in one["Value"]]
        for tag, one in header.items()
        if one.get("Value") and one["vr"] not in left_out and tag not in {"00080005", "00080056"}
    }


async def test_the_python_client_stores_and_searches_every_level(gateway: rest.World, images: Images) -> None:
    study = one_study(images, "CT_small.dcm", "CT_small.dcm", "MR_small.dcm")
    study[1].SeriesInstanceUID = study[0].SeriesInstanceUID

    def talk() -> None:
        web, uid = client(gateway), str(study[0].StudyInstanceUID)
        stored = web.store_instances(study, uid)
        assert [one.ReferencedSOPInstanceUID for one in stored.ReferencedSOPSequence] == [
            one.SOPInstanceUID for one in study
        ]
        assert "FailedSOPSequence" not in stored
        assert values(web.search_for_studies(search_filters={"PatientName": "quay*"}), "0020000D") == [uid]
        assert web.search_for_studies(search_filters={"PatientID": "nobody"}) == []
        [found] = web.search_for_studies(fields=["StudyDescription"], search_filters={"StudyInstanceUID": uid}, limit=5)
        assert found["00201208"]["Value"] == [3]
        both = sorted({str(one.SeriesInstanceUID) for one in study})
        assert values(web.search_for_series(uid), "0020000E") == both
        assert values(web.search_for_series(search_filters={"Modality": "MR"}), "0020000E") == [
            study[2].SeriesInstanceUID
        ]
        everyone = sorted(str(one.SOPInstanceUID) for one in study)
        assert values(web.search_for_instances(), "00080018") == everyone
        assert values(web.search_for_instances(uid, get_remaining=True, limit=2), "00080018") == everyone
        first = sorted(str(one.SOPInstanceUID) for one in study[:2])
        assert values(web.search_for_instances(uid, str(study[0].SeriesInstanceUID)), "00080018") == first
        with pytest.raises(HTTPError, match="400"):
            web.search_for_studies(search_filters={"StudyDate": "today"})

    await asyncio.to_thread(talk)


async def test_the_python_client_retrieves_what_it_stored(gateway: rest.World, images: Images) -> None:
    study = one_study(images, *MANY)
    sent = {uids(one): data_set(one) for one in study}

    def talk() -> None:
        web = client(gateway)
        web.store_instances(study)
        as_stored = (("application/dicom", "*"),)
        everything = web.retrieve_study(str(study[0].StudyInstanceUID), media_types=as_stored)
        assert {uids(one): data_set(one) for one in everything} == sent
        assert len(list(web.iter_study(str(study[0].StudyInstanceUID), media_types=as_stored))) == len(study)
        assert len(web.retrieve_study_metadata(str(study[0].StudyInstanceUID))) == len(study)
        for one in study:
            [alone] = web.retrieve_series(*uids(one)[:2], media_types=as_stored)
            assert data_set(alone) == sent[uids(one)]
            assert data_set(web.retrieve_instance(*uids(one), media_types=as_stored)) == sent[uids(one)]
            [header] = web.retrieve_series_metadata(*uids(one)[:2])
            assert header == web.retrieve_instance_metadata(*uids(one))
            assert told(header) == told(one.to_json_dict())

    await asyncio.to_thread(talk)


@pytest.mark.parametrize("name", [*NATIVE, *MANY[1:]])
async def test_the_python_client_gets_frames_and_pictures(gateway: rest.World, images: Images, name: str) -> None:
    (image,) = images(name)
    syntax, count = image.file_meta.TransferSyntaxUID, int(image.get("NumberOfFrames") or 1)
    numbers = list(range(1, count + 1))

    def talk() -> None:
        web = client(gateway)
        web.store_instances([image])
        if syntax.is_encapsulated:
            whole = list(generate_frames(image.PixelData, number_of_frames=count))
            kind = {"1.2.840.10008.1.2.5": "image/dicom-rle", "1.2.840.10008.1.2.4.50": "image/jpeg"}.get(
                syntax, "image/jp2"
            )
            found = web.retrieve_instance_frames(*uids(image), numbers, media_types=((kind, str(syntax)),))
            assert found == whole
            assert (
                list(web.iter_instance_frames(*uids(image), numbers[:1], media_types=((kind, str(syntax)),)))
                == whole[:1]
            )
        native = web.retrieve_instance_frames(*uids(image), numbers, media_types=UNCOMPRESSED)
        pixels = np.frombuffer(
            b"".join(native), f"<{'i' if image.PixelRepresentation else 'u'}{image.BitsAllocated // 8}"
        )
        if not (syntax.is_compressed and "YBR" in image.PhotometricInterpretation):
            assert np.array_equal(pixels, image.pixel_array.reshape(-1))
        for kind, read in (("image/png", imagecodecs.png_decode), ("image/jpeg", imagecodecs.jpeg8_decode)):
            shown = read(web.retrieve_instance_rendered(*uids(image), media_types=(kind,)))
            assert shown.shape[:2] == (image.Rows, image.Columns)
            one = web.retrieve_instance_frames_rendered(*uids(image), [1], media_types=(kind,))
            assert read(one).shape[:2] == (image.Rows, image.Columns)
        small = web.retrieve_series_rendered(*uids(image)[:2], media_types=("image/png",), params={"viewport": "16,16"})
        assert max(imagecodecs.png_decode(small).shape[:2]) == 16

    await asyncio.to_thread(talk)


async def test_the_python_client_gets_bulk_data(gateway: rest.World, images: Images) -> None:
    (image,) = images()
    image.add_new(0x00420011, "OB", bytes(range(256)) * 40)

    def talk() -> None:
        web = client(gateway)
        web.store_instances([image])
        url = web.retrieve_instance_metadata(*uids(image))["00420011"]["BulkDataURI"]
        url = gateway.url + urlsplit(url).path  # the client asks for metadata with a Host that lacks the port
        assert web.retrieve_bulkdata(url) == [image.EncapsulatedDocument]
        assert list(web.iter_bulkdata(url)) == [image.EncapsulatedDocument]
        assert web.retrieve_bulkdata(url, media_types=("application/octet-stream",)) == [image.EncapsulatedDocument]

    await asyncio.to_thread(talk)


@pytest.mark.dcmtk
async def test_orthanc_stores_searches_and_retrieves(gateway: rest.World, images: Images, tmp_path: Path) -> None:
    study = one_study(images, *MANY)
    sent = {str(one.SOPInstanceUID): one for one in study}

    def talk(peer: Orthanc) -> None:
        for one in study:
            peer.ask("/instances", part10(one))
        resources = peer.ask("/instances")
        assert len(resources) == len(study)
        peer.ask("/dicom-web/servers/room/stow", {"Resources": resources, "Synchronous": True})
        [found] = peer.ask("/dicom-web/servers/room/qido", {"Uri": "/studies", "Arguments": {"PatientName": "QUAY*"}})

        assert found["0020000D"]["Value"] == str(study[0].StudyInstanceUID)
        for one in peer.ask("/studies"):
            peer.ask(f"/studies/{one}", method="DELETE")
        assert peer.ask("/instances") == []
        (study_uid, series_uid, sop_uid) = uids(study[0])
        one = {"Study": study_uid, "Series": series_uid, "Instance": sop_uid}
        for resource, count in ((one, 1), ({"Study": study_uid}, len(study))):
            peer.ask("/dicom-web/servers/room/retrieve", {"Resources": [resource], "Synchronous": True})
            assert len(peer.ask("/instances")) == count
        for resource in peer.ask("/instances"):
            back = peer.ask(f"/instances/{resource}/file")
            [original] = [one for uid, one in sent.items() if uid.encode() in back]
            assert World.strip(back) == data_set(original)

    with orthanc(tmp_path / "orthanc", free_port(), gateway.url, gateway.tokens["amy"]) as peer:
        await asyncio.to_thread(talk, peer)


@pytest.mark.dcmtk
async def test_one_client_gets_the_same_from_orthanc_and_from_us(
    gateway: rest.World, images: Images, tmp_path: Path
) -> None:
    study = one_study(images, "CT_small.dcm", "MR_small.dcm", "SC_rgb_small_odd.dcm")

    def talk(theirs: DICOMwebClient) -> None:
        ours, uid = client(gateway), str(study[0].StudyInstanceUID)
        for web in (ours, theirs):
            web.store_instances(study)
        for level in (
            lambda web: values(web.search_for_studies(search_filters={"PatientID": "4711"}), "0020000D"),
            lambda web: values(web.search_for_series(uid), "0020000E"),
            lambda web: values(web.search_for_instances(uid), "00080018"),
            lambda web: sorted(one.PixelData for one in web.retrieve_study(uid)),
            lambda web: [web.retrieve_instance_frames(*uids(one), [1], media_types=UNCOMPRESSED) for one in study],
            lambda web: [told(web.retrieve_instance_metadata(*uids(one))) for one in study],
        ):
            assert level(ours) == level(theirs)

    with orthanc(tmp_path / "orthanc", free_port(), gateway.url, gateway.tokens["amy"]) as peer:
        theirs = DICOMwebClient(f"{peer.url}/dicom-web")
        await asyncio.to_thread(talk, theirs)


async def test_a_study_that_is_not_there_is_not_found(gateway: rest.World) -> None:
    def talk() -> None:
        web = client(gateway)
        for ask in (web.retrieve_study_metadata, web.search_for_series, web.retrieve_study):
            with pytest.raises(HTTPError, match="404"):
                ask(generate_uid())

    await asyncio.to_thread(talk)
