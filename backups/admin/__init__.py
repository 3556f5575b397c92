"""Stored configurations in the admin, a module per subject."""

from __future__ import annotations

from backups.admin import (
    archives,
    changes,
    freshness,
    remotes,
    retention,
    secrets,
    snapshots,
    suspects,
)

__all__ = [
    "archives",
    "changes",
    "freshness",
    "remotes",
    "retention",
    "secrets",
    "snapshots",
    "suspects",
]
