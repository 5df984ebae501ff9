-- What DICOM queries sort and search by. Comparisons on these columns are leakproof, so that row-level
-- security lets the indexes be used: hence a stored key instead of an index on upper(name).
ALTER TABLE rr.patient ADD COLUMN name_key text COLLATE "C"
  GENERATED ALWAYS AS (upper(name COLLATE "pg_c_utf8") COLLATE "C") STORED;
CREATE INDEX patient_name ON rr.patient (tenant_id, name_key);
CREATE INDEX dicom_study_newest ON rr.dicom_study (tenant_id, study_date DESC, study_time DESC, study_uid);
CREATE INDEX access_subject ON rr.access (tenant_id, subject, at);
