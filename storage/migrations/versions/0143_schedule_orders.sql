ALTER TABLE rr.orders ADD COLUMN ordered_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX dicom_study_header ON rr.dicom_study (tenant_id, header_study_uid);
