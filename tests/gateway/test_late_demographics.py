"""Merges and moves over REST, and what DICOMweb says of whose the images are."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pydicom
from pydicom.data import get_testdata_file

from tests.gateway.rest import ORDER, Answer, World

UID = "1.2.826.0.1.5"
WHY = {"reason": "one person"}


def image(study: str, number: int = 1, **of: str) -> bytes:
    made = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    made.StudyInstanceUID, made.SeriesInstanceUID, made.AccessionNumber = study, f"{study}.1", "A1"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"{study}.1.{number}"
    for name, value in {"PatientName": "PHANTOM^Iris", "PatientBirthDate": "19610412", "PatientSex": "F", **of}.items():
        setattr(made, name, value)
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


async def store(rest: World, file: bytes, who: str = "tess") -> Answer:
    body = b"--rr\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--rr--\r\n"
    sent = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=rr'}
    return await rest.call("POST", "/dicom-web/studies?site=harbor", raw=body, who=who, headers=sent)


async def row(rest: World, uid: str, **seen: Any) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            answer = await rest.get(f"/api/studies/{uid}", "tess")
            if answer.status == 200 and all(answer.json[k] == v for k, v in seen.items()):
                found: dict[str, Any] = answer.json
                return found
            await asyncio.sleep(0.05)


async def said(rest: World, uid: str) -> list[tuple[str, str]]:
    """Return name and number as metadata, and searches at each level, give them."""
    found = []
    base = f"/dicom-web/studies/{uid}"
    for path in (
        f"{base}/metadata",
        f"{base}/instances?includefield=all",
        f"/dicom-web/studies?StudyInstanceUID={uid}",
    ):
        answer = await rest.get(path, "ada")
        assert answer.status == 200, answer.body
        one = answer.json[0]
        found.append((one["00100010"]["Value"][0]["Alphabetic"], one["00100020"]["Value"][0]))
    return found


async def test_a_merge_shows_everywhere_but_in_the_files_and_can_be_undone(rest: World) -> None:
    sent = image(UID, PatientID="77")
    assert (await store(rest, sent)).status == 200
    await row(rest, UID, images=1)
    await rest.ordered("B1", patient={**ORDER["patient"], "mrn": "88"})  # type: ignore[dict-item]
    assert await said(rest, UID) == [("PHANTOM^Iris", "77")] * 3
    tag = (await rest.get(f"/dicom-web/studies/{UID}/metadata", "ada")).headers["ETag"]
    done = await rest.post("/api/patients/77/merge", {"into": "88", **WHY}, "tess")
    assert (done.status, done.json["merged"]) == (200, [UID])
    assert (await row(rest, UID))["patient"]["mrn"] == "88"
    assert await said(rest, UID) == [("PHANTOM^Iris", "88")] * 3
    changed = await rest.get(f"/dicom-web/studies/{UID}/metadata", "ada", headers={"If-None-Match": tag})
    assert changed.status == 200
    found = (await rest.get("/dicom-web/studies?PatientID=88", "ada")).json
    assert [one["0020000D"]["Value"][0] for one in found] == [UID]
    assert (await rest.get("/dicom-web/studies?PatientID=77", "ada")).json == []
    raw = await rest.get(
        f"/dicom-web/studies/{UID}",
        "ada",
        headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'},
    )
    assert sent[sent.index(b"\x08\x00\x05\x00") :] in raw.body  # the data set, byte for byte
    # Late images under the old number and under the new one stand with the others.
    for number, mrn in ((2, "77"), (3, "88")):
        assert (await store(rest, image(UID, number, PatientID=mrn))).status == 200
    assert (await row(rest, UID, images=3))["flags"] == ["no_order"]
    history = (await rest.get(f"/api/studies/{UID}/history", "max")).json["items"]
    [event] = [e for e in history if e["type"] == "PatientMerged"]
    assert (event["by"], event["data"]["reason"]) == (rest.ids["tess"], "one person")
    again = await rest.post("/api/patients/77/merge", {"into": "99", **WHY}, "tess")
    assert (again.status, again.code) == (409, "wrong_status")
    back = await rest.post("/api/patients/77/unmerge", {"reason": "two people"}, "tess")
    assert (back.status, back.json["merged"]) == (200, [UID])
    assert await said(rest, UID) == [("PHANTOM^Iris", "77")] * 3
    assert (await rest.post("/api/patients/77/unmerge", WHY, "tess")).code == "wrong_status"


async def test_a_corrected_name_is_in_the_metadata_too(rest: World) -> None:
    ordered = await rest.ordered("A1", study_uid=UID, patient={**ORDER["patient"], "mrn": "77"})  # type: ignore[dict-item]
    assert ordered["study_uid"] == UID
    assert (await store(rest, image(UID, PatientID="77"))).status == 200
    await row(rest, UID, images=1, flags=[])
    assert await said(rest, UID) == [("PHANTOM^Iris", "77")] * 3
    await rest.ordered("A1", patient={**ORDER["patient"], "mrn": "77", "name": "NEWNAME^Iris"})  # type: ignore[dict-item]
    assert await said(rest, UID) == [("NEWNAME^Iris", "77")] * 3


async def test_contradictions_want_a_confirm_and_a_foreign_site_an_admin(rest: World) -> None:
    await store(rest, image(UID, PatientID="77"))
    await row(rest, UID, images=1)
    await rest.ordered("B1", patient={**ORDER["patient"], "mrn": "88", "sex": "M"})  # type: ignore[dict-item]
    refused = await rest.post("/api/patients/77/merge", {"into": "88", **WHY}, "tess")
    assert (refused.status, refused.code, refused.json["differ"]) == (409, "confirm_needed", ["sex"])
    assert (await rest.post("/api/patients/77/merge", {"into": " ", **WHY}, "tess")).json["field"] == "into"
    assert (await rest.post("/api/patients/78/merge", {"into": "88", **WHY}, "tess")).code == "not_found"
    # Another site's order names the same issuer: what she does not see she does not change.
    issuer = (await rest.sql("SELECT issuer FROM rr.site WHERE (tenant_id, site_id) = ('north', 'harbor')"))[0][
        "issuer"
    ]
    await rest.ordered("M1", "mia", patient={**ORDER["patient"], "mrn": "77", "issuer": issuer})  # type: ignore[dict-item]
    body = {"into": "88", "site": "harbor", "confirm": True, **WHY}
    refused = await rest.post("/api/patients/77/merge", body, "tess")
    assert (refused.status, refused.code) == (403, "forbidden")
    done = await rest.post("/api/patients/77/merge", body, "amy")
    assert (done.status, len(done.json["merged"])) == (200, 2)


async def test_a_study_is_moved_to_an_order_and_to_a_patient(rest: World) -> None:
    await rest.ordered("A1", patient={**ORDER["patient"], "mrn": "77"})  # type: ignore[dict-item]
    await rest.ordered("A2", patient={**ORDER["patient"], "mrn": "88"})  # type: ignore[dict-item]
    await store(rest, image(UID, PatientID="77"))
    seen = await row(rest, UID, images=1, accession_number="A1", flags=[])
    url = f"/api/studies/{UID}/move"
    stale = await rest.post(url, {"version": 0, "accession_number": "A2", **WHY}, "tess")
    assert (stale.status, stale.code, stale.json["row"]["accession_number"]) == (409, "stale_version", "A1")
    moved = await rest.post(url, {"version": seen["version"], "accession_number": "A2", **WHY}, "tess")
    assert (moved.status, moved.json["row"]["patient"]["mrn"]) == (200, "88")
    assert await said(rest, UID) == [("PHANTOM^Iris", "88")] * 3
    for wrong in ({}, {"mrn": "77", "accession_number": "A1"}):
        answer = await rest.post(url, {"version": moved.json["version"], **wrong, **WHY}, "tess")
        assert (answer.status, answer.code) == (422, "bad_payload")
    nobody = await rest.post(url, {"version": moved.json["version"], "mrn": "404", **WHY}, "tess")
    assert (nobody.status, nobody.code) == (404, "not_found")
    hers = await rest.post(url, {"version": moved.json["version"], "mrn": "77", **WHY}, "tess")
    assert (hers.json["row"]["patient"]["mrn"], hers.json["row"]["accession_number"]) == ("77", "A2")
    history = (await rest.get(f"/api/studies/{UID}/history", "max")).json["items"]
    was = [e["data"]["was"] for e in history if e["type"] == "StudyMoved"]
    undone = await rest.post(url, {"version": hers.json["version"], "patient_id": was[-1], **WHY}, "amy")
    assert undone.json["row"]["patient"]["mrn"] == "88"
