"""The database of one machine: `stack_up`, `stack_status`, `stack_down`, and copies of databases for tests.

PostgreSQL with TimescaleDB, embedded or the one of `DATABASE_URL`. Leaves tables and grants to the hub's migrations.
"""

from wardlink.local.database.roles import DATABASE, OWNER, ROLES
from wardlink.local.database.stack import (
    Database,
    Status,
    create_database,
    remove_database,
    stack_down,
    stack_status,
    stack_up,
)

__all__ = [
    "DATABASE",
    "OWNER",
    "ROLES",
    "Database",
    "Status",
    "create_database",
    "remove_database",
    "stack_down",
    "stack_status",
    "stack_up",
]
