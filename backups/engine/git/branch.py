"""A branch of the store, and how it is moved.

Writers of NetRaven take turns (``git_turn``). Towards other Git processes (a push into the
repository, ``git gc``) a branch moves by Git's own rule: ``refs/heads/NAME.lock`` is created, the
old value is compared, and the lock, which holds the new value by then, is renamed over the branch.

A process that is killed in between would leave the lock behind and block everybody. So the lock
is made as a hard link to a file of our own: the next writer, whose turn it is, sees that both are
the same file, knows that it is a dead writer's, and removes it. A lock of another Git process is
never touched.

The repository must lie on a local file system: hard links are not dependable on network file
systems.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from backups.engine.git.failures import damaged
from backups.engine.git.turn import wait_until
from backups.engine.synced_file import sync_folder

MAIN = "main"
#: Foreign history that is older than what main had of its device already.
IMPORTED = "imported"
#: Git holds a branch's lock for a moment only; ``git gc`` somewhat longer.
_FOREIGN_LOCK_TIMEOUT_SECONDS = 10.0
_COMMIT_ID = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")


def branch_ref(name: str) -> str:
    """Return the full name of a branch. Raises ValueError for a name that the store has not."""
    if not _NAME.fullmatch(name):
        raise ValueError("A branch has 1 to 61 lower-case letters, digits and inner hyphens.")
    return f"refs/heads/{name}"


class Branch:
    """One branch of one repository. Methods raise OSError as the system reports it."""

    def __init__(self, repository: Path, name: str = MAIN) -> None:
        self._ref = branch_ref(name)
        self._file = repository / self._ref
        self._lock = self._file.with_name(f"{name}.lock")
        self._staged = repository / f"netraven-{name}.next"
        self._packed = repository / "packed-refs"

    def tip(self) -> str | None:
        """Return the newest commit's id, or None before the first one.

        Raises DeviceError when what is stored there is no commit id.
        """
        # Read again after packed-refs: a writer may have made the file in between.
        reads = (self._unpacked, self._packed_value, self._unpacked)
        value = next((found for read in reads if (found := read()) is not None), None)
        if value is not None and not _COMMIT_ID.fullmatch(value):
            raise damaged(f"its branch {self._file.name} holds no commit id")
        return value

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other Git process from moving the branch. Only inside the writing turn.

        Raises DeviceError when another Git process keeps the branch locked.
        """
        self._remove_own_lock()
        try:
            self._staged.touch(mode=0o644, exist_ok=False)
            wait_until(
                self._link_lock,
                deadline=time.monotonic() + _FOREIGN_LOCK_TIMEOUT_SECONDS,
                failure=f"Another Git process holds {self._lock}: let it finish; if none runs, "
                "delete that file.",
            )
            yield
        finally:
            self._remove_own_lock()

    def move_to(self, commit: str) -> None:
        """Make ``commit`` the newest one, synced to disk. Only inside :meth:`locked`."""
        with self._staged.open("w") as staged:
            staged.write(f"{commit}\n")
            staged.flush()
            os.fsync(staged.fileno())
        self._lock.replace(self._file)
        sync_folder(self._file.parent)

    def _unpacked(self) -> str | None:
        try:
            return self._file.read_text("utf-8", "replace").removesuffix("\n")
        except FileNotFoundError:
            return None

    def _packed_value(self) -> str | None:
        try:
            lines = self._packed.read_text("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return None
        values = (line.partition(" ") for line in lines)
        return next((value for value, _, name in values if name == self._ref), None)

    def _link_lock(self) -> bool:
        try:
            self._lock.hardlink_to(self._staged)
        except FileExistsError:
            return False
        return True

    def _remove_own_lock(self) -> None:
        """Remove the lock if it is ours or a dead writer's, and the file that marks it as such."""
        with suppress(FileNotFoundError):
            if self._lock.samefile(self._staged):
                self._lock.unlink()
        self._staged.unlink(missing_ok=True)
