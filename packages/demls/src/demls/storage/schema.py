"""How do tables look in each version of the file, and how does an older file become a newer one?

A migration is a list of statements, run in one transaction with the row that records it; a migration that has been
released is never edited.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Migration:
    """The step that ends in schema ``version``."""

    version: int
    what: str
    statements: tuple[str, ...]


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        1,
        "records, outbox, cursors, timeline and settings",
        (
            "CREATE TABLE scopes (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
            """CREATE TABLE records (
                scope INTEGER NOT NULL REFERENCES scopes (id),
                key BLOB NOT NULL,
                value BLOB NOT NULL,
                PRIMARY KEY (scope, key)
            )""",
            # AUTOINCREMENT: an id that people or bots have seen is never given again, also after deletion.
            """CREATE TABLE outbox (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                scope INTEGER NOT NULL REFERENCES scopes (id),
                topic BLOB NOT NULL,
                payload BLOB NOT NULL
            )""",
            """CREATE TABLE cursors (
                scope INTEGER NOT NULL REFERENCES scopes (id),
                topic BLOB NOT NULL,
                cursor BLOB NOT NULL,
                PRIMARY KEY (scope, topic)
            ) WITHOUT ROWID""",
            """CREATE TABLE timeline (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                scope INTEGER NOT NULL REFERENCES scopes (id),
                at INTEGER NOT NULL,
                kind TEXT NOT NULL,
                body BLOB NOT NULL
            )""",
            "CREATE TABLE settings (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
        ),
    ),
    Migration(
        2,
        "find one scope's timeline without reading the others'",
        ("CREATE INDEX timeline_of_scope ON timeline (scope, id)",),
    ),
    Migration(
        3,
        "large records in pieces; one that is there whole stays so until it is written next",
        (
            """CREATE TABLE large (
                scope INTEGER NOT NULL REFERENCES scopes (id),
                key BLOB NOT NULL,
                pieces BLOB NOT NULL,
                PRIMARY KEY (scope, key)
            ) WITHOUT ROWID""",
            # AUTOINCREMENT: whoever remembers a piece that is gone does not find another in its place.
            "CREATE TABLE pieces (id INTEGER PRIMARY KEY AUTOINCREMENT, uses INTEGER NOT NULL)",
            "CREATE TABLE contents (piece INTEGER PRIMARY KEY, bytes BLOB NOT NULL)",
        ),
    ),
)

SCHEMA_VERSION = MIGRATIONS[-1].version

VERSION_TABLE = "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, what TEXT NOT NULL)"
