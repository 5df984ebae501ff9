"""Parts of statements about studies (``d``) that nobody works on: what retention and tiering have in common."""

from __future__ import annotations

# Its state (s) and its last event (j).
STATE = """
  LEFT JOIN rr.study s ON s.tenant_id = d.tenant_id AND s.study_uid = d.study_uid
  LEFT JOIN rr.journal j ON j.tenant_id = d.tenant_id AND j.entity = 'study/' || d.study_uid AND j.version = s.rev
"""
# Closed, and not about to hear of anything; a phantom is nobody's to read.
CLOSED = """
   AND CASE WHEN s.study_uid IS NULL THEN d.phantom ELSE NOT s.open END
   AND NOT EXISTS (SELECT 1 FROM rr.inbox i WHERE i.tenant_id = d.tenant_id AND i.study_uid = d.study_uid)
"""
