"""The command line, the supervisor and the wiring."""
