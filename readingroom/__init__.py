"""The command line, the supervisor and the wiring."""

__version__ = "0.1.0"
