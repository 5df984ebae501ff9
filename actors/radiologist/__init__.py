"""The radiologist actor: presence."""
