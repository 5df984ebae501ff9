"""One study from its stored images to a finding: choose a series, read it, judge it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from inference.triage import result, series
from inference.triage.preprocess import Scan, read
from inference.triage.result import NotAssessed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import BinaryIO

    from actors.domain.jobs import StoredImage
    from inference.triage.result import Finding


class Model(Protocol):
    """Whatever judges a scan."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def __call__(self, scan: Scan) -> Finding: ...


class Unreadable(Exception):
    """A stored file cannot be read now; the sentence names the cause, not the patient."""


def assess(model: Model, images: Sequence[StoredImage], ordered: str, open_: Callable[[str], BinaryIO]) -> Finding:
    """Return what the model says of a study; a study it may not judge is *not assessed*, with the reason.

    Raises:
        Unreadable: a stored file is missing or its disk fails; another attempt may succeed.
    """
    try:
        chosen = series.choose(images, ordered)
        return model(read([partial(open_, image.path) for image in chosen]))
    except NotAssessed as exc:
        return result.not_assessed(model.name, model.version, str(exc))
    except OSError as exc:
        raise Unreadable(exc.strerror or type(exc).__name__) from exc
