"""The fast header reader and pydicom say the same; broken data never get further than a refusal."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import msgspec
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from gateway.ingest import header, part10

_FILES = sorted((Path(pydicom.data.__file__).parent / "test_files").rglob("*.dcm"))
CT = "1.2.840.10008.5.1.4.1.1.2"


def encoded(data: Dataset, *, implicit: bool = False) -> bytes:
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, implicit
    write_dataset(file, data)
    return file.getvalue()


def minimal(**attributes: Any) -> Dataset:
    data = Dataset()
    data.SOPClassUID = CT
    data.SOPInstanceUID, data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3.4", "1.2.3.5", "1.2.3.6"
    for keyword, value in attributes.items():
        setattr(data, keyword, value)
    return data


def plain(value: Any) -> Any:
    """Return JSON without the differences that mean nothing: empty values, padding inside values."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if inner not in ([], "", None)}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return (value.strip() or None) if isinstance(value, str) else value


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.name)
def test_both_ways_through_a_header_say_the_same(path: Path) -> None:
    content = path.read_bytes()
    try:
        meta = part10.meta(content)
        fast = header._fast(content[meta.end :], explicit=meta.transfer_syntax != header.IMPLICIT, whole=True)
        careful = header.careful(content[meta.end :], meta.transfer_syntax)
    except (part10.Incomplete, header.Unparsable):
        return
    if meta.transfer_syntax in header._NOT_PLAIN or fast is None:
        return
    for tag, element in careful.items():
        if tag[3] in "02468ACE" and element["vr"] not in {"UN", "SQ"} and "Value" in element:
            assert plain(fast[tag]) == plain(element), tag


def test_the_fast_way_reads_implicit_and_explicit_alike() -> None:
    item = Dataset()
    item.CodeValue, item.CodeMeaning = "T-A0100", "Brain"
    data = minimal(PatientName="A^B", Rows=512, AnatomicRegionSequence=[item], SmallestImagePixelValue=5)
    read = [
        header.read(encoded(data, implicit=implicit), syntax)
        for implicit, syntax in ((False, ExplicitVRLittleEndian), (True, ImplicitVRLittleEndian))
    ]
    assert read[0] == read[1]
    assert read[0].nested("AnatomicRegionSequence", "CodeMeaning") == "Brain"


@pytest.mark.parametrize(("charset", "name"), [
    ("", "Quay^Ada"), ("ISO_IR 100", "Buc^Jérôme"), ("ISO_IR 101", "Wałęsa^Ł"), ("ISO_IR 144", "Чехов^Антон"),
    ("ISO_IR 126", "Διονυσιος^A"), ("ISO_IR 192", "Wang^XiaoDong=王^小东"), ("GB18030", "Wang^XiaoDong=王^小东"),
    ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう"), ("\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동"),
    ("ISO_IR 13\\ISO 2022 IR 87", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"), ("ISO_IR 166", "นามสกุล^A"), ("ISO_IR 138", "שרון^A"),
])  # fmt: skip
def test_names_of_every_character_set_become_unicode(charset: str, name: str) -> None:
    data = minimal()
    if charset:
        data.SpecificCharacterSet = charset.split("\\")
    data.PatientName = name
    found = header.read(encoded(data), ExplicitVRLittleEndian)
    assert found.first("PatientName") == name.partition("=")[0]
    parts = dict(zip(("Alphabetic", "Ideographic", "Phonetic"), name.split("="), strict=False))
    assert found.data["00100010"]["Value"] == [parts]


def test_text_in_no_declared_character_set_is_kept_as_far_as_it_can_be_read() -> None:
    data = encoded(minimal(PatientName="XXXX^A")).replace(b"XXXX", b"M\xfcl\0")
    assert header.read(data, ExplicitVRLittleEndian).first("PatientName") == "Mül^A"
    wrong = encoded(minimal(SpecificCharacterSet="ISO_IR 192", PatientName="XXXX^A")).replace(b"XXXX", b"M\xfcl ")
    assert header.read(wrong, ExplicitVRLittleEndian).first("PatientName") == "M�l ^A"


def test_json_holds_nothing_that_the_database_cannot() -> None:
    data = minimal(StudyDescription="a\0b", SliceThickness="1e400", RealWorldValueIntercept=float("nan"))
    text = msgspec.json.encode(header.read(encoded(data), ExplicitVRLittleEndian).data)
    assert b"\\u0000" not in text
    assert msgspec.json.decode(text)["00409224"] == {"vr": "FD"}


def test_long_binary_values_are_left_out() -> None:
    found = header.read(encoded(minimal(ICCProfile=b"x" * 5000)), ExplicitVRLittleEndian)
    assert found.data["00282000"] == {"vr": "OB"}


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", [None, "../../etc/passwd", "x" * 40])
def test_without_the_uids_that_name_it_nothing_is_stored(keyword: str, value: str | None) -> None:
    data = minimal()
    if value is None:
        delattr(data, keyword)
    else:
        vr = "LO"  # as UI pydicom would not take it
        data.add_new(keyword, vr, value)
    with pytest.raises(header.Unparsable, match=keyword):
        header.read(encoded(data), ExplicitVRLittleEndian)


def test_deep_nesting_is_refused() -> None:
    deep = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    with pytest.raises(header.Unparsable):
        header.read(encoded(minimal()) + deep * 5000, ExplicitVRLittleEndian)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_header_is_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray((_FILES[0].parent / "CT_small.dcm").read_bytes()[300:6000])
    whole = bytearray(encoded(minimal(PatientName="A^B", StudyDescription="x" * 40))) + whole
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        try:
            found = header.read(bytes(whole[:cut]), syntax)
        except header.Unparsable:
            continue
        assert b"\\u0000" not in msgspec.json.encode(found.data)


@pytest.mark.parametrize("path", _FILES[:20], ids=lambda path: path.name)
def test_our_part_10_header_is_read_back(path: Path) -> None:
    content = path.read_bytes()
    try:
        received = part10.meta(content)
    except part10.Incomplete:
        return
    ours = part10.preamble(received.sop_class, received.sop_uid, received.transfer_syntax, "CT1")
    assert part10.meta(ours + content[received.end :]) == part10.Meta(
        received.sop_class, received.sop_uid, received.transfer_syntax, len(ours)
    )
    assert int.from_bytes(ours[140:144], "little") == len(ours) - 144
