"""Where a patient is, told from what a hospital writes freely into an image's header; not guessed where it says nothing."""

from __future__ import annotations

import re

from actors.domain.words import Setting

_WORDS = {  # in this order: who lies in the emergency ward is an emergency
    Setting.EMERGENCY: r"emergency|emerg|ed|er|a&e|ae|casualty|resus|resuscitation|trauma bay|notaufnahme|urgences",
    Setting.INPATIENT: r"in-?patient|ward|icu|ccu|nicu|picu|itu|imc|station|stroke unit",
    Setting.OUTPATIENT: r"out-?patient|clinic|ambulatory|opd|ambulanz|ambulatoire",
}
_TOLD = {setting: re.compile(rf"(?<![a-z0-9])({words})(?![a-z0-9])") for setting, words in _WORDS.items()}


def setting_of(*texts: str) -> str:
    """Return the setting that the first telling text names, "" when none does.

    Args:
        texts: Current Patient Location (0038,0300), then Requesting Service (0032,1033).
    """
    for text in texts:
        said = text.lower()
        for setting, told in _TOLD.items():
            if told.search(said):
                return setting.value
    return ""
