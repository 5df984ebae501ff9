-- What an audited change of readers, hours and policies was, and what it became: ids, times and settings, no names.
ALTER TABLE rr.access ADD COLUMN change jsonb CHECK (change IS NULL OR change ?& ARRAY['before', 'after']);
