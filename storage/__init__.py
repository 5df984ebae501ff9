"""PostgreSQL and the object store: every statement the system runs."""
