"""The main job in Chromium, on the whole stack; pictures are left in ``.artifacts/browser``."""

from __future__ import annotations

from contextlib import suppress
from urllib.error import HTTPError

import pytest

from tests.browser.conftest import MANAGER, PASSWORD, READER, TWICE, Room, act

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.dcmtk]

PHANTOM = {"mrn": "004417", "name": "PHANTOM^Iris", "birth_date": "1961-04-12", "sex": "F"}


def test_a_stat_study_is_offered_drawn_signed_and_leaves_the_board(room: Room) -> None:
    order = room.order(
        accession_number="A26-118204",
        priority="STAT",
        procedure="CT head without contrast",
        modality="CT",
        body_part="HEAD",
        patient=PHANTOM,
        site="harbor-st-aldous",
        expected_instances=28,
    )
    files = room.head_ct("story", order)
    told = act(
        "story.mjs",
        base=room.base,
        reader={"email": READER, "password": PASSWORD},
        manager={"email": MANAGER, "password": PASSWORD},
        send=room.storescu(files[:20]),
        sendRest=room.storescu(files[20:]),
        study_uid=order["study_uid"],
        patient="PHANTOM",
    )
    assert told["offer_ms"] < 10_000
    assert told["pixels_ms"] < 60_000


def test_pages_work_by_keyboard_and_hold_up_to_axe(room: Room) -> None:
    orders = [
        room.order(
            accession_number=f"A26-2000{number}",
            priority=priority,
            procedure="CT head without contrast",
            modality="CT",
            body_part="HEAD",
            patient={"mrn": f"00{number}", "name": f"SPECIMEN^Olga{number}", "birth_date": "1938-01-01", "sex": "F"},
            site="harbor-st-aldous",
            expected_instances=3,
        )
        for number, priority in enumerate(("STAT", "URGENT", "ROUTINE"))
    ]
    act(
        "pages.mjs",
        base=room.base,
        reader={"email": READER, "password": PASSWORD},
        manager={"email": MANAGER, "password": PASSWORD},
        twice={"email": TWICE, "password": PASSWORD},
        send=room.storescu(room.head_ct("pages", orders[0])[:3]),
    )


def test_a_blind_second_reader_signs_before_the_two_readings_are_compared(room: Room) -> None:
    second = "nora@night.example"
    person = ("--tenant", "night-readers", "--role", "radiologist", "--email", second, "--name", "Nora Skylark")
    room.command("admin", "user", "add", *person, "--password", PASSWORD)
    for number in range(3):  # what the pages have left is offered to nobody here
        with suppress(HTTPError):
            room.cancel(f"A26-2000{number}")
    room.policy(second_reads={"double": [{"procedure": ["second look"]}]})
    order = room.order(
        accession_number="A26-300001",
        priority="STAT",
        procedure="CT head, second look",
        modality="CT",
        body_part="HEAD",
        patient={"mrn": "00930", "name": "SPECIMEN^Twice", "birth_date": "1938-01-01", "sex": "F"},
        site="harbor-st-aldous",
        expected_instances=3,
    )
    act(
        "second.mjs",
        base=room.base,
        first={"email": READER, "password": PASSWORD},
        second={"email": second, "password": PASSWORD},
        manager={"email": MANAGER, "password": PASSWORD},
        send=room.storescu(room.head_ct("second", order)[:3]),
        study_uid=order["study_uid"],
        patient="SPECIMEN",
    )
