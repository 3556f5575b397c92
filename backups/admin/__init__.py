"""Stored configurations in the admin, a module per subject."""

from __future__ import annotations

from backups.admin import archives, freshness, remotes, retention, secrets, snapshots, suspects

__all__ = ["archives", "freshness", "remotes", "retention", "secrets", "snapshots", "suspects"]
