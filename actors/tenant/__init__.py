"""The tenant actor: who decides."""
