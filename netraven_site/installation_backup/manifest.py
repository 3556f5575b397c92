"""What a backup says of itself, before and after everything else in it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class Sequence(BaseModel):
    """Where the numbers of a column stand; they are not used again, whatever was deleted."""

    model_config = ConfigDict(frozen=True)

    table: str
    column: str
    last_value: int
    is_called: bool


class Manifest(BaseModel):
    """The first part of a backup. It holds fingerprints of keys, and no key."""

    model_config = ConfigDict(frozen=True)

    #: Of the database's clock, at the moment that the backup shows.
    made_at: datetime
    version: str
    #: App and name of each migration that the tables have.
    migrations: list[tuple[str, str]]
    #: The columns of each table, in the order in which they are copied.
    tables: dict[str, list[str]]
    sequences: list[Sequence]
    #: The commit that each reference of the Git store names.
    references: dict[str, str]
    #: Fingerprints of the encryption keys that stored values need, by id.
    encryption_keys: dict[str, str]
    redaction_key: str


class Totals(BaseModel):
    """The last part of a backup: a file that ends with it is whole."""

    model_config = ConfigDict(frozen=True)

    #: Rows of each table.
    rows: dict[str, int]
    git_bytes: int
