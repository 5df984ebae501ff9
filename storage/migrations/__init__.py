"""The schema, one migration a file."""
