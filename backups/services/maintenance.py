"""Keeping the Git store small and quick."""

from __future__ import annotations

from backups.engine.git.maintenance import Maintenance
from backups.selectors.git import git_store


def git_store_maintain() -> Maintenance:
    """Pack the Git store, while backups go on. Raises DeviceError; nothing is lost then."""
    return git_store().maintain()
