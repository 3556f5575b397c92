"""Writing a file so that it is there whole, or not at all, whatever happens."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

#: Git removes old files of this name when it prunes (git-prune(1)); a killed writer leaves one.
TEMPORARY_PREFIX = "tmp_obj_"


def write_synced(target: Path, data: bytes, *, mode: int) -> None:
    """Write ``data`` to ``target``, replacing what is there; on disk before it has its name.

    Raises OSError; then ``target`` is as before and nothing else is left behind.
    """
    descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
