"""What the viewer is told at its start: our modules, our mode, and the DICOMweb root of the same origin."""

from __future__ import annotations

import json
from typing import Any

DATA_SOURCE = "readingroom"


def viewer_config() -> dict[str, Any]:
    """Return OHIF's ``window.config``; a session cookie does the rest."""
    return {
        "name": "reading-room",
        "routerBasename": None,
        "showStudyList": False,  # the extension brings its own page at /
        "extensions": ["/rr-ext/reading-room.mjs"],
        "modes": ["/rr-ext/reading-room-mode.mjs"],
        "customizationService": {},
        "showWarningMessageForCrossOrigin": False,
        "showCPUFallbackMessage": True,
        "showLoadingIndicator": True,
        "investigationalUseDialog": {"option": "never"},
        "disableConfirmationPrompts": True,
        "strictZSpacingForVolumeViewport": True,
        "maxNumberOfWebWorkers": 2,
        "maxNumRequests": {"interaction": 40, "thumbnail": 12, "prefetch": 12},
        "defaultDataSourceName": DATA_SOURCE,
        "dataSources": [
            {
                "namespace": "reading-room.dataSourcesModule.dicomweb",
                "sourceName": DATA_SOURCE,
                "configuration": {
                    "friendlyName": "Reading room",
                    "name": DATA_SOURCE,
                    "qidoRoot": "/dicom-web",
                    "wadoRoot": "/dicom-web",
                    "qidoSupportsIncludeField": True,
                    "imageRendering": "wadors",
                    "thumbnailRendering": "wadors",
                    "enableStudyLazyLoad": True,
                    "supportsFuzzyMatching": False,
                    "supportsWildcard": True,
                    "supportsReject": False,
                    "dicomUploadEnabled": False,
                    "omitQuotationForMultipartRequest": True,
                    "bulkDataURI": {"enabled": True},
                },
            }
        ],
    }


def config_script() -> str:
    """Return the script that sets ``window.config``."""
    return f"window.config = {json.dumps(viewer_config(), separators=(',', ':'))};\n"
