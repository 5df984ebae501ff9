"""AI triage: raises acuity, never lowers it."""
