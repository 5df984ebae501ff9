"""``fuzzymatching=true``: names are found by how any of their words begins (PS3.18 8.3.4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import FileDataset

    Make = Callable[..., FileDataset]

_NAMES = {
    "m": "MÜLLER^Jürgen^^Dr.",
    "y": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "o": "O'BRIEN^Sean",
    "q": "Quay-Lund^Ada",
}


def _uids(results: list[dict[str, Any]]) -> set[str]:
    return {one["0020000D"]["Value"][0] for one in results}


async def test_names_are_found_by_their_words(dicomweb: Any, make: Make) -> None:
    kept = {
        letter: make(
            PatientName=name, PatientID=letter, SpecificCharacterSet="ISO_IR 192", ReferringPhysicianName=other
        )
        for (letter, name), other in zip(_NAMES.items(), ("Ågren^Bo", "", "Ågren^Eva", "Nemo"), strict=True)
    }
    await dicomweb.store(*kept.values())
    letters = {str(image.StudyInstanceUID): letter for letter, image in kept.items()}

    async def found(path: str) -> str:
        async with dicomweb.get(path) as answer:
            assert answer.status == 200, await answer.text()
            assert "Warning" not in answer.headers
            return "".join(sorted(letters[uid] for uid in _uids(await answer.json(content_type=None))))

    for name, who in {
        "muller": "m", "Jürgen Müller": "m", "jurg,mull": "m", "JURGEN^MULLER": "m", "mueller": "", "uller": "",
        "tarou yam": "y", "山田": "y", "太": "y", "たろう": "y", "山田 tarou": "y", "yamada=ta": "y", "ヤマダ": "",
        "obrien": "o", "o\u2019brien": "o", "SEAN o'b": "o", "brien": "",
        "lund": "q", "quay-l": "q", "quayl": "", "ada lund": "q", "ada sean": "",
        "m*": "m", "*rg*": "m", "j?rgen": "m", "q*y": "q", "^": "moqy", "*": "moqy", "50%": "", "_ay": "",
    }.items():  # fmt: skip
        for level in ("studies", "series", "instances"):
            assert await found(f"/{level}?fuzzymatching=true&PatientName={quote(name)}") == who, (name, level)
    assert await found("/studies?ReferringPhysicianName=AGREN&fuzzymatching=true") == "mo"
    assert await found("/studies?ReferringPhysicianName=eva%20agr&fuzzymatching=true") == "o"
    assert await found("/studies?ReferringPhysicianName=ag&PatientName=jur&fuzzymatching=true") == "m"
    assert await found("/instances?00080090=ag&fuzzymatching=true") == "mo"
    assert await found("/studies?PatientID=q&fuzzymatching=true") == "q"
    assert await found("/studies?PatientName=muller&fuzzymatching=false") == ""


async def test_a_correction_is_found_at_once(dicomweb: Any, make: Make) -> None:
    await dicomweb.store(make(PatientName="Quay^Ada"))
    await dicomweb.conn.execute("UPDATE rr.patient SET name = 'Østberg^Ada'")
    assert len(await dicomweb.json("/studies?fuzzymatching=true&PatientName=ada%20ost")) == 1
    assert await dicomweb.json("/studies?fuzzymatching=true&PatientName=quay") == []


@pytest.mark.parametrize("letters", ["abcdefghijklmnopq"])
async def test_too_many_words_are_refused(dicomweb: Any, letters: str) -> None:
    assert await dicomweb.refusal(f"/studies?PatientName={'%20'.join(letters)}&fuzzymatching=true") == (
        400,
        "bad_payload",
    )
    assert await dicomweb.json(f"/studies?PatientName={'%20'.join(letters[1:])}&fuzzymatching=true") == []
