-- Inference: whose a lease is, so that a worker that starts again frees what it held when it died;
-- and what was ordered, for images whose headers do not say which part of the body they show.
ALTER TABLE rr.inference_job ADD COLUMN worker text;
CREATE POLICY infer ON rr.orders FOR SELECT TO rr_infer USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
GRANT SELECT (tenant_id, study_uid, body) ON rr.orders TO rr_infer;
