-- Who has read a study stands in its state, which holds no demographics.
CREATE POLICY deliver ON rr.study FOR SELECT TO rr_delivery USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
CREATE POLICY deliver ON rr.study_archive FOR SELECT TO rr_delivery USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
GRANT SELECT (tenant_id, study_uid, doc, archived_at) ON rr.study TO rr_delivery;
GRANT SELECT (tenant_id, study_uid, doc) ON rr.study_archive TO rr_delivery;
