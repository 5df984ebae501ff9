"""How a policy comes into force: drafted, tried in the shadow, tried on days by lot, live; and how two differ.

```
draft ⇄ shadow ⇄ by_day ─→ live     (draft → by_day and → live at once are allowed; live ends when another is made live,
  └────────────────────────↗          and a policy that was live is brought back by making it live again)
```
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from actors.domain.errors import WrongStatus

if TYPE_CHECKING:
    from collections.abc import Iterable


class Mode(StrEnum):
    """What a version is for: nothing yet, decisions without effect, the days of its lot, everything."""

    DRAFT = "draft"
    SHADOW = "shadow"
    BY_DAY = "by_day"
    LIVE = "live"


MOVES: dict[Mode, frozenset[Mode]] = {
    Mode.DRAFT: frozenset({Mode.SHADOW, Mode.BY_DAY, Mode.LIVE}),
    Mode.SHADOW: frozenset({Mode.DRAFT, Mode.BY_DAY, Mode.LIVE}),
    Mode.BY_DAY: frozenset({Mode.DRAFT, Mode.SHADOW, Mode.LIVE}),
    Mode.LIVE: frozenset({Mode.LIVE}),
}


def move(version: int, now: Mode, to: Mode, *, in_force: bool) -> None:
    """Check that a version may change its mode.

    Raises:
        WrongStatus: it may not; the sentence says what to do.
    """
    if now is Mode.LIVE and in_force and to is not Mode.LIVE:
        raise WrongStatus(f"Version {version} is in force: make another version live instead.", {"field": "mode"})
    if to not in MOVES[now]:
        message = f"Version {version} was live before: bring it back with rollback, or draft its text anew."
        raise WrongStatus(message, {"field": "mode"})


def differences(before: Any, after: Any, path: str = "") -> list[dict[str, Any]]:
    """Return ``{path, before, after}`` of each value that differs, by path; what is not there is None.

    Lists of objects are compared place by place, other lists as a whole.
    """
    if _objects(before) and _objects(after):
        before, after = dict(_numbered(before)), dict(_numbered(after))
    if isinstance(before, dict) and isinstance(after, dict):
        found: list[dict[str, Any]] = []
        for name in sorted(before.keys() | after.keys(), key=lambda n: (len(n), n) if n.isdigit() else (0, n)):
            found += differences(before.get(name), after.get(name), f"{path}.{name}".lstrip("."))
        return found
    return [] if before == after else [{"path": path, "before": before, "after": after}]


def _objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _numbered(values: list[Any]) -> Iterable[tuple[str, Any]]:
    return ((str(n), one) for n, one in enumerate(values))
