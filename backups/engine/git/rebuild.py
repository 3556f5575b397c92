"""A new repository that takes the place of a damaged one.

It is built in a folder inside the old one, so that both are on one file system also where the
store is a mount point, and the file that writers lock stays the same. What was there before is
moved into another folder beside it and never deleted here.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from backups.engine.git.command import GitCommand
from backups.engine.git.commits import Sign
from backups.engine.git.failures import os_errors_named, store_failure
from backups.engine.git.inspection import ObjectSource
from backups.engine.git.maintenance import MAINTENANCE
from backups.engine.git.store import GitStore
from backups.engine.git.turn import alone, lock_name
from backups.engine.synced_file import sync_folder

#: What is still to be written to the database; see ``backups.services.relink``.
JOURNAL = "netraven-relink.jsonl"
_ASIDE = "replaced-"
_NEW = "rebuild"
_LOCK = "netraven.lock"
_KEPT = frozenset({_LOCK, lock_name(MAINTENANCE), _NEW, "lost+found"})


class Rebuild:
    """Replaces the repository at ``path``. DeviceError when disk or repository fail."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._new = self._path / _NEW

    @property
    def journal(self) -> Path:
        """The journal of a repository that is in place; its rows are not all written yet."""
        return self._path / JOURNAL

    @property
    def new(self) -> Path:
        """The repository that is being built."""
        return self._new

    @property
    def new_journal(self) -> Path:
        """The journal of the repository that is being built."""
        return self._new / JOURNAL

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every other repair away, and the maintenance of the repository that is replaced.

        Maintenance would put packs of the old repository into the new one. Raises DeviceError
        when one of them is under way.
        """
        with os_errors_named(self._path):
            self._path.mkdir(mode=0o750, parents=True, exist_ok=True)
            # The folder itself: it is there as long as the store, whatever is exchanged in it.
            folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _lock_or_refuse(folder)
            with os_errors_named(self._path), alone(self._path, MAINTENANCE) as is_free:
                if not is_free:
                    raise store_failure(
                        "A maintenance of the Git store is under way: try again when it is done."
                    )
                yield
        finally:
            os.close(folder)

    def begin(self, *, sign: Sign | None) -> GitStore:
        """An empty repository to fill, with signed commits if ``sign`` is given.

        One that was left unfinished is thrown away.
        """
        with os_errors_named(self._path):
            if self._new.exists():
                shutil.rmtree(self._new)
            return GitStore.open_or_create(self._new, sign=sign)

    def abandon(self) -> None:
        """Give the disk space back that an unfinished repository takes."""
        shutil.rmtree(self._new, ignore_errors=True)

    def sources(self) -> list[ObjectSource]:
        """The objects of the repository that is replaced, then of those replaced earlier.

        They are read through the new repository, so that packs of one whose HEAD or settings are
        damaged can be read too. Only after ``begin``.
        """
        folders = [self._path / "objects", *(aside / "objects" for aside in self.asides())]
        return [self._source(folder) for folder in folders if folder.is_dir()]

    def asides(self) -> list[Path]:
        """The repositories that were replaced, newest first."""
        if not self._path.is_dir():
            return []
        return sorted(self._path.glob(f"{_ASIDE}*"), reverse=True)

    def put_in_place(self, now: datetime) -> Path:
        """Let the new repository take the place of the old one; gives where that is now.

        Only inside the writing turn. A kill in between leaves no HEAD: no store, which nobody
        writes to, and the next repair begins anew with all that is in the folders.
        """
        aside = self._unused_name(now)
        with os_errors_named(self._path):
            aside.mkdir(mode=0o750)
            for name in sorted(self._replaced(), key=lambda name: name != "HEAD"):
                (self._path / name).rename(aside / name)
            (self._new / _LOCK).unlink(missing_ok=True)
            names = [entry.name for entry in self._new.iterdir()]
            for name in sorted(names, key=lambda name: name == "HEAD"):
                (self._new / name).rename(self._path / name)
            self._new.rmdir()
            sync_folder(aside)
            sync_folder(self._path)
        return aside

    def discard(self, aside: Path) -> None:
        """Delete a repository that was replaced. Raises DeviceError."""
        with os_errors_named(aside):
            shutil.rmtree(aside)

    def _replaced(self) -> list[str]:
        names = [entry.name for entry in self._path.iterdir()]
        return [name for name in names if name not in _KEPT and not name.startswith(_ASIDE)]

    def _unused_name(self, now: datetime) -> Path:
        first = self._path / f"{_ASIDE}{now:%Y%m%dT%H%M%S}Z"
        name, number = first, 1
        while name.exists():
            number += 1
            name = first.with_name(f"{first.name}-{number}")
        return name

    def _source(self, folder: Path) -> ObjectSource:
        git = GitCommand(self._new)
        environment = {"GIT_OBJECT_DIRECTORY": str(folder)}

        def run(arguments: Sequence[str], stdin: bytes) -> bytes:
            return git.execute(arguments, stdin, environment=environment).checked(arguments[0])

        return ObjectSource(folder, run)


def _lock_or_refuse(folder: int) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise store_failure("Another repair of the Git store is under way.") from None
