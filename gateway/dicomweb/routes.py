"""DICOMweb (PS3.18) as a table: search, retrieve, frames, rendered images. STOW-RS is ingest's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from gateway.dicomweb.access import Reader, reading
from gateway.dicomweb.frames import Frames, Images
from gateway.dicomweb.metadata import Metadata
from gateway.dicomweb.qido import Qido
from gateway.dicomweb.rendered import Rendered
from gateway.dicomweb.transcode import Transcoder
from gateway.dicomweb.wado import Wado
from storage.objects import object_store

if TYPE_CHECKING:
    from gateway.deps import Deps

ROOT = "/dicom-web"
_STUDY = ROOT + "/studies/{study}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"


def routes(deps: Deps) -> list[web.RouteDef]:
    """Return the routes of search and retrieve."""
    reader = Reader(deps)
    store = object_store(deps.settings)
    images = Images(store)
    transcoder = Transcoder(images, store)
    qido, wado, headers = Qido(deps), Wado(reader, store, transcoder), Metadata(reader)
    frames, rendered = Frames(reader, images, transcoder), Rendered(reader, images)
    table = {
        ROOT + "/studies": qido.studies,
        ROOT + "/series": qido.series,
        ROOT + "/instances": qido.instances,
        _STUDY + "/series": qido.series,
        _STUDY + "/instances": qido.instances,
        _SERIES + "/instances": qido.instances,
        _INSTANCE + "/frames/{frames}": frames.frames,
        _INSTANCE + "/frames/{frames}/rendered": rendered.rendered,
        _INSTANCE + "/frames/{frames}/thumbnail": rendered.thumbnail,
        _INSTANCE + "/bulkdata/{path:.+}": wado.bulkdata,
    }
    for level in (_STUDY, _SERIES, _INSTANCE):
        table |= {
            level: wado.instances,
            level + "/metadata": headers.metadata,
            level + "/rendered": rendered.rendered,
            level + "/thumbnail": rendered.thumbnail,
        }
    return [web.get(path, reading(handler)) for path, handler in table.items()]
