"""Files made from the schemas in ``gateway``: TypeScript types, AsyncAPI, the tables of ``docs/wire.md``."""
