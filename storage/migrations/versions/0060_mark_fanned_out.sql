-- A message is fanned out once, however long nobody delivered; receivers that come later start with the next.
ALTER TABLE rr.outbox ADD COLUMN fanned_at timestamptz;
UPDATE rr.outbox SET fanned_at = now();
CREATE INDEX outbox_new ON rr.outbox (seq) WHERE fanned_at IS NULL;
CREATE INDEX delivery_order ON rr.delivery (tenant_id, webhook_id, study_uid, seq) WHERE delivered_at IS NULL;
CREATE POLICY mark ON rr.outbox FOR UPDATE TO rr_delivery USING (true);
GRANT UPDATE (fanned_at) ON rr.outbox TO rr_delivery;
