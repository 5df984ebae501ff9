"""Where images enter: C-STORE and STOW-RS."""
