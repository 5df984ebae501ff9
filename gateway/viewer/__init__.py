"""The browser's side as files: the prebuilt OHIF viewer, our modules, and the light log-in and board pages."""

from gateway.viewer.serving import routes

__all__ = ["routes"]
