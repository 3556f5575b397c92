"""The Git store as a part of a backup of the whole installation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.utils import timezone

from backups.engine.errors import DeviceError
from backups.engine.git import copying
from backups.engine.git.command import OutputSink
from backups.engine.git.failures import damaged, os_errors_named, store_failure
from backups.engine.git.layout import holds_objects, refuse_foreign_folder
from backups.engine.git.maintenance import MAINTENANCE
from backups.engine.git.rebuild import Rebuild
from backups.engine.git.store import GitStore
from backups.engine.git.turn import alone, writing_turn
from backups.selectors.git import git_require_here, git_store

#: What the store's references name, by their full names.
References = Mapping[str, str]


@contextmanager
def history_kept_still() -> Iterator[None]:
    """Keep maintenance and repairs away from the store, while backups of devices go on.

    Raises DeviceError when there is no store where one has to be, and while one of them works.
    """
    git_require_here()
    git_store()
    path = settings.NETRAVEN.git_directory
    with os_errors_named(path), alone(path, MAINTENANCE) as is_free:
        if not is_free:
            raise store_failure("The Git store is being maintained or repaired: try again later.")
        yield


def history_references() -> dict[str, str]:
    """What the store's references name at this moment. Raises DeviceError."""
    return copying.references(settings.NETRAVEN.git_directory)


def history_write(references: References, sink: OutputSink) -> None:
    """Give ``sink`` all that ``references`` lead to. Raises DeviceError when some is damaged."""
    copying.write_pack(settings.NETRAVEN.git_directory, references.values(), sink)


def history_require_sound() -> None:
    """Raise DeviceError when git finds damage: a pack would be copied with what is wrong in it."""
    problems = git_store().fsck()
    if problems:
        raise damaged(problems[0])


def history_require_room(references: References) -> None:
    """Raise DeviceError unless the store is empty, or holds precisely ``references`` already.

    What is there is deleted in the end, so anything else is refused, also a store that has lost
    its branches.
    """
    path = settings.NETRAVEN.git_directory
    found = history_references()
    if found and found == dict(references):
        return
    if path.exists():
        with os_errors_named(path):
            refuse_foreign_folder(path)
            is_used = bool(found) or holds_objects(path)
        if is_used:
            raise store_failure(
                f"There is a Git store with a history at {path}: move it away, or set "
                "NETRAVEN_GIT_PATH"
            )


def history_try(pieces: Iterable[bytes], references: References) -> None:
    """Unpack what ``history_write`` gave into a folder that is deleted again.

    Raises DeviceError when it is not whole.
    """
    with TemporaryDirectory(prefix="netraven-check-") as folder:
        path = Path(folder) / "configs.git"
        GitStore.open_or_create(path)
        copying.read_pack(path, pieces, references)


def history_restore(pieces: Iterable[bytes], references: References) -> None:
    """Make the store of a pack that ``history_write`` gave; nothing is there before all of it is.

    ``pieces`` are always read to their end. Raises DeviceError, and leaves the place as it was.
    """
    rebuild = Rebuild(settings.NETRAVEN.git_directory)
    with rebuild.alone():
        history_require_room(references)
        rebuild.begin(sign=None)
        try:
            copying.read_pack(rebuild.new, pieces, references)
            with writing_turn(settings.NETRAVEN.git_directory):
                rebuild.discard(rebuild.put_in_place(timezone.now()))
        except (DeviceError, OSError):
            rebuild.abandon()
            raise
