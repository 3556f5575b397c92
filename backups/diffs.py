"""What differs between two revisions."""

from __future__ import annotations

import difflib

from backups.models import Snapshot
from backups.selectors import snapshot_text

_CONTEXT_LINES = 3


def unified_diff(*, old: Snapshot, new: Snapshot) -> str:
    """The redacted difference as a unified diff; empty when there is none."""
    lines = difflib.unified_diff(
        snapshot_text(snapshot=old).splitlines(keepends=True),
        snapshot_text(snapshot=new).splitlines(keepends=True),
        fromfile=_label(old),
        tofile=_label(new),
        n=_CONTEXT_LINES,
    )
    return "".join(lines)


def _label(snapshot: Snapshot) -> str:
    return f"{snapshot.device.hostname}@{snapshot.commit[:10] or 'pending'}"
