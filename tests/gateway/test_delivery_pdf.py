"""A report on paper says what the report says, whatever was typed into it."""

from __future__ import annotations

import io
from typing import Any

import pypdf
import pytest

from gateway.delivery import pdf

ROW = {
    "patient": {"name": "Quay^Ada^M", "mrn": "4711", "birth_date": "1970-01-02", "sex": "F"},
    "site": {"id": "main", "name": "Harbor St Aldous"}, "accession_number": "A-1", "procedure": "CT HEAD", "modality": "CT",
    "priority": "STAT", "images": 3,
}  # fmt: skip
REPORT = {
    "report_id": "r-1", "study_uid": "1.2.3", "status": "final", "version": 3,
    "sections": {"technique": "Axial.", "comparison": "", "findings": "No bleed.\nNo shift.", "impression": "Nothing acute."},
    "signed_by": "u1", "signed_at": "2026-01-02T03:04:05.678Z", "addenda": [],
}  # fmt: skip


def _pages(document: bytes) -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(document)).pages]


def _text(**changes: Any) -> str:
    return "\n".join(_pages(pdf.render(REPORT | changes, ROW, {"u1": "Rita Sol, MD", "u2": "Sam Lee"})))


def test_it_names_patient_site_and_examination() -> None:
    text = _text()
    for said in ("Quay, Ada M", "4711", "1970-01-02", "F", "A-1", "Harbor St Aldous", "CT HEAD"):
        assert said in text
    for said in ("Technique", "Findings", "No bleed.", "No shift.", "Impression", "Nothing acute."):
        assert said in text
    assert "Comparison" not in text
    assert "Signed by Rita Sol, MD, 2026-01-02 03:04 UTC" in text
    assert "version 3" in text


@pytest.mark.parametrize(("status", "banner"), [("draft", "DRAFT"), ("prelim", "PRELIMINARY"), ("final", "FINAL")])
def test_it_says_what_it_is(status: str, banner: str) -> None:
    text = _text(status=status, signed_by=None if status == "draft" else "u1")
    assert [word for word in ("DRAFT", "PRELIMINARY", "FINAL") if word in text] == [banner]
    assert ("Not signed" in text) == (status == "draft")


def test_addenda_follow_with_who_and_when() -> None:
    addendum = {"text": "The left side is meant.", "by": "u2", "at": "2026-01-03T00:00:00.000Z"}
    text = _text(addenda=[addendum])
    assert "Addendum" in text
    assert "Sam Lee, 2026-01-03 00:00 UTC" in text
    assert text.index("The left side is meant.") > text.index("Nothing acute.")


def test_pages_are_numbered() -> None:
    pages = _pages(pdf.render(REPORT | {"sections": {"findings": "A line of it.\n" * 150}}, ROW))
    assert len(pages) > 2
    assert all(f"{n} / {len(pages)}" in page for n, page in enumerate(pages, 1))


@pytest.mark.parametrize(
    "typed",
    [
        '#panic("x")', '#import "/etc/passwd": *', '#read("/etc/passwd")', "*not bold* _not italic_ `code` $x^2$",
        "<label> @reference", "= Not a heading", "// not a comment", "/* nor this", '"]) #eval("1+1")', "\\u{41} \\ line",
        "{{ }} [ ] #{", "https://example.org", "- not a list", "#sys.inputs",
    ],
)  # fmt: skip
def test_what_is_typed_is_text_and_never_code(typed: str) -> None:
    text = _text(
        sections={"impression": typed}, addenda=[{"text": typed, "by": typed, "at": "2026-01-03T00:00:00.000Z"}]
    )
    squeezed = "".join(text.split())
    assert squeezed.count("".join(typed.split())) == 3


@pytest.mark.parametrize(
    "typed",
    ["مرحبا بالعالم", "שלום", "山田太郎 출혈 없음", "Ødem Größe ≥ 5 µm → ½", "🙂", "a\u0000\u0007\tb", "\ufeff\ud7ff"],
)
def test_no_script_is_too_much(typed: str) -> None:
    assert len(_pages(pdf.render(REPORT | {"sections": {"findings": typed}}, ROW))) == 1


def test_letters_beyond_ascii_are_there() -> None:
    assert "Ödem Größe ≥ 5 µm" in _text(sections={"findings": "Ödem Größe ≥ 5 µm"})


def test_text_cannot_be_turned_around() -> None:
    assert "no bleed" in _text(sections={"findings": "\u202eno bleed\u202c"})


def test_a_name_in_one_script_only() -> None:
    row = ROW | {"patient": {"name": "=Yamada^Taro", "mrn": "1", "birth_date": "", "sex": ""}}
    [page] = _pages(pdf.render(REPORT, row))
    assert "Yamada, Taro" in page
    assert "not given" in page
    assert pdf.render(REPORT, ROW | {"patient": None})


def test_fonts_travel_with_it() -> None:
    [page] = pypdf.PdfReader(io.BytesIO(pdf.render(REPORT, ROW))).pages
    for font in page["/Resources"]["/Font"].values():
        [inner] = font["/DescendantFonts"]
        descriptor = inner.get_object()["/FontDescriptor"]
        assert {"/FontFile", "/FontFile2", "/FontFile3"} & set(descriptor)
