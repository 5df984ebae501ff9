"""Which errors of the database mean *away, try again* rather than *we are wrong*."""

from __future__ import annotations

import asyncpg

AWAY: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a pooled connection that broke while nobody looked
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.ObjectNotInPrerequisiteStateError,
)
"""Connection refused or lost, server starting or stopping, out of slots or disk, deadlock, stale plan, closed database."""

NOT_READY: tuple[type[BaseException], ...] = (
    *AWAY,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.UndefinedTableError,
)
"""Away, or up and not yet migrated: no roles, no database, no schema."""

UNFIT: tuple[type[BaseException], ...] = (asyncpg.DataError,)
"""A value that no column can hold, such as text with a NUL."""
