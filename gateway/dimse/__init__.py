"""DIMSE services beside C-STORE: query, retrieve, commitment, worklist, performed steps, availability (PS3.4)."""
