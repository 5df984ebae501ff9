-- Fuzzy matching of names (PS3.18 8.3.4.2). A name without case and accents; letters that do not decompose are spelt out.
CREATE FUNCTION rr.fold_name(given text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT replace(replace(replace(replace(translate(
           lower(regexp_replace(normalize(given, NFKD) COLLATE "C", '[\u0300-\u036f]', '', 'g') COLLATE "pg_c_utf8") COLLATE "C",
           'øđłðıς''’ʼ‘', 'odldiσ'), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th')
$$;
-- Its words, of every component and script (PS3.5 6.2.1.1); a word holds at most 64 characters, as does a component group.
CREATE FUNCTION rr.name_words(name text) RETURNS SETOF text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT DISTINCT left(w, 64) FROM regexp_split_to_table(rr.fold_name(name) COLLATE "C", '[\u0001-\u0020^,=-]+') w WHERE w <> ''
$$;

-- Words are compared with >= and <, which are leakproof, so that row-level security lets the index be used.
CREATE TABLE rr.patient_word (
  tenant_id  text NOT NULL CHECK (tenant_id <> ''),
  patient_id text NOT NULL,
  word       text COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant_id, patient_id, word),
  FOREIGN KEY (tenant_id, patient_id) REFERENCES rr.patient ON DELETE CASCADE
);
INSERT INTO rr.patient_word SELECT p.tenant_id, p.patient_id, w FROM rr.patient p, rr.name_words(p.name) w;
CREATE INDEX patient_word_found ON rr.patient_word (tenant_id, word, patient_id);

CREATE FUNCTION rr.split_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    DELETE FROM rr.patient_word WHERE tenant_id = NEW.tenant_id AND patient_id = NEW.patient_id;
  END IF;
  INSERT INTO rr.patient_word SELECT NEW.tenant_id, NEW.patient_id, w FROM rr.name_words(NEW.name) w;
  RETURN NULL;
END $$;
CREATE TRIGGER split_new_name AFTER INSERT ON rr.patient FOR EACH ROW EXECUTE FUNCTION rr.split_name();
CREATE TRIGGER split_other_name AFTER UPDATE OF name ON rr.patient FOR EACH ROW
  WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION rr.split_name();

ALTER TABLE rr.patient_word ENABLE ROW LEVEL SECURITY;
ALTER TABLE rr.patient_word FORCE ROW LEVEL SECURITY;
CREATE POLICY host ON rr.patient_word TO rr_host USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
CREATE POLICY ingest ON rr.patient_word TO rr_ingest USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
-- Whoever may see the patient: the policies of rr.patient hold within.
CREATE POLICY app ON rr.patient_word TO rr_app USING (tenant_id = ANY((SELECT rr.tenants())::text[]) AND ((SELECT rr.all_sites())
  OR EXISTS (SELECT 1 FROM rr.patient p WHERE p.tenant_id = patient_word.tenant_id AND p.patient_id = patient_word.patient_id)));
GRANT SELECT, INSERT, DELETE ON rr.patient_word TO rr_host, rr_ingest;
GRANT SELECT ON rr.patient_word TO rr_app;
GRANT EXECUTE ON FUNCTION rr.fold_name, rr.name_words TO rr_app;
