"""The commands of ``readingroom``."""
