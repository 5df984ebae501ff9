"""``python -m readingroom.codegen [--check]``: write the generated files, or say which are not up to date."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from readingroom.codegen.asyncapi import asyncapi
from readingroom.codegen.tables import filled
from readingroom.codegen.typescript import typescript

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]


def files() -> dict[Path, str]:
    """Return what each generated file should hold."""
    page = ROOT / "docs/wire.md"
    return {
        ROOT / "ohif-extension/src/live/wire.ts": typescript(),
        ROOT / "docs/asyncapi.json": asyncapi(),
        page: filled(page.read_text()),
    }


def main(argv: Sequence[str]) -> int:
    """Write or check; 1 when a check finds a difference."""
    stale = [path for path, text in files().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
        if "--check" not in argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files()[path])
    return int(bool(stale) and "--check" in argv)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
