"""The Git store of this installation."""

from __future__ import annotations

import functools
from pathlib import Path

from django.conf import settings

from backups.engine.git.branch import Branch
from backups.engine.git.failures import os_errors_named, store_failure
from backups.engine.git.signing import SshSigner
from backups.engine.git.store import GitStore
from backups.models import Snapshot, SnapshotState


@functools.cache
def git_store() -> GitStore:
    """The repository of this installation, made when it is not there yet.

    Raises DeviceError, also where there was one and it is gone.
    """
    path = settings.NETRAVEN.git_directory
    if not (path / "HEAD").exists():
        _refuse_new_history(path)
    return GitStore.open_or_create(path, sign=commit_signer())


def commit_signer() -> SshSigner | None:
    """What signs the commits of this installation; None where they are not signed."""
    key = settings.NETRAVEN.git_signing_key
    return SshSigner(key) if key else None


def git_store_to_write() -> GitStore:
    """The same, for somebody who is about to add a commit.

    Raises DeviceError where the history is gone from a repository that is there.
    """
    path = settings.NETRAVEN.git_directory
    store = git_store()
    with os_errors_named(path):
        is_empty = Branch(path).tip() is None
    if is_empty:
        _refuse_new_history(path)
    return store


def _refuse_new_history(path: Path) -> None:
    """An empty store is right only before the first snapshot came into Git.

    A commit to it would begin a history without all that the database knows of, and hide that the
    other one is gone.
    """
    if Snapshot.objects.filter(state=SnapshotState.COMMITTED).exists():
        raise store_failure(
            f"The Git store at {path} is gone or empty, but snapshots were in it: check that its "
            "disk is mounted; if so, run 'python manage.py verify_store --repair'."
        )
