"""The Git store of this installation."""

from __future__ import annotations

import functools

from django.conf import settings

from backups.engine.git_store import GitStore


@functools.cache
def git_store() -> GitStore:
    """The repository of this installation, made when it is not there yet. Raises DeviceError."""
    return GitStore.open_or_create(settings.NETRAVEN.git_directory)
