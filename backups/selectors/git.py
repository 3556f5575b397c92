"""The Git store of this installation."""

from __future__ import annotations

import functools
from pathlib import Path

from django.conf import settings

from backups.engine.errors import DeviceError
from backups.engine.git.branch import Branch
from backups.engine.git.failures import os_errors_named, store_failure
from backups.engine.git.signing import SshSigner
from backups.engine.git.store import GitStore
from backups.models import Snapshot, SnapshotState


@functools.cache
def git_store() -> GitStore:
    """The repository of this installation, made when it is not there yet.

    Raises DeviceError, also where there was one and it is gone, and on a host that is not the one
    where it lives.
    """
    path = settings.NETRAVEN.git_directory
    git_require_here()
    if not (path / "HEAD").exists():
        _refuse_new_history(path)
    return GitStore.open_or_create(path, sign=commit_signer())


def git_store_prepare() -> None:
    """Make the repository where it is not there yet, also where only a queue writes to it.

    Only for the workers that commit: their host is the one where it lives. Raises DeviceError.
    """
    path = settings.NETRAVEN.git_directory
    if not (path / "HEAD").exists():
        _refuse_new_history(path)
        GitStore.open_or_create(path, sign=commit_signer())


def git_is_queued() -> bool:
    """Whether commits are left to the workers of the queue ``git``."""
    return bool(settings.NETRAVEN.git_writer == "queue")


def git_is_here() -> bool:
    """Whether this host may read and write the repository.

    Where only a queue writes, a host without a repository is not the one where it lives, and makes
    none.
    """
    return not git_is_queued() or (settings.NETRAVEN.git_directory / "HEAD").exists()


def git_elsewhere() -> DeviceError:
    """The error of somebody who needs the repository on a host without it."""
    return store_failure(
        f"There is no Git store at {settings.NETRAVEN.git_directory} on this host: it lives where "
        "the queue 'git' is served (NETRAVEN_GIT_WRITER=queue); do this there."
    )


def git_require_here() -> None:
    """Raise DeviceError on a host that is not the one where the repository lives."""
    if not git_is_here():
        raise git_elsewhere()


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
