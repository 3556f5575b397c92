"""What differs between two revisions."""

from __future__ import annotations

from backups.models import Snapshot
from backups.selectors.git import git_store
from backups.selectors.snapshots import SnapshotNotFound


def unified_diff(*, old: Snapshot, new: Snapshot) -> str:
    """The redacted difference as a unified diff; empty when there is none.

    Raises SnapshotNotFound while one of them is not in Git yet, DeviceError when Git fails.
    """
    for snapshot in (old, new):
        if not snapshot.blob:
            raise SnapshotNotFound(
                f"{snapshot.device.hostname}: the revision is not in Git yet; it is brought there "
                "within minutes"
            )
    hunks = git_store().diff(old.blob, new.blob)
    return f"--- {_label(old)}\n+++ {_label(new)}\n{hunks}" if hunks else ""


def _label(snapshot: Snapshot) -> str:
    return f"{snapshot.device.hostname}@{snapshot.commit[:10]}"
