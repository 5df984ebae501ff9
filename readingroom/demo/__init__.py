"""A small believable world to try the system on."""
