"""Where a store's repository is made, and what is refused in its place."""

from __future__ import annotations

from pathlib import Path

from backups.engine.git.branch import MAIN, branch_ref
from backups.engine.git.command import GitCommand
from backups.engine.git.failures import store_failure
from backups.engine.git.maintenance import MAINTENANCE
from backups.engine.git.turn import lock_name, writing_turn
from backups.engine.synced_file import TEMPORARY_PREFIX, write_synced

_HEAD = f"ref: {branch_ref(MAIN)}\n"
#: A hook that someone puts there must not run, and history only grows.
_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\thooksPath = /dev/null
[receive]
\tdenyNonFastForwards = true
\tdenyDeletes = true
"""
#: What a start that was killed, or the disk itself, may have left where the store is to be.
_HARMLESS_NAMES = frozenset(
    {"config", "lost+found", "netraven.lock", lock_name(MAINTENANCE), "objects", "refs"}
)


def prepare_repository(path: Path, git: GitCommand) -> None:
    """Make the store at ``path``, with mode 0750, where there is none; check the one that is there.

    Raises DeviceError when the place holds something else, or a repository that is not bare or has
    another main branch; OSError as the system reports it.
    """
    path.mkdir(mode=0o750, parents=True, exist_ok=True)
    refuse_foreign_folder(path)
    with writing_turn(path):
        if not (path / "HEAD").exists():
            _create(path)
    _check(path, git)


def refuse_foreign_folder(path: Path) -> None:
    """Raise DeviceError when the folder ``path`` holds other things and no store."""
    strangers = {
        entry.name
        for entry in path.iterdir()
        if entry.name not in _HARMLESS_NAMES and not entry.name.startswith(TEMPORARY_PREFIX)
    }
    if strangers and not (path / "HEAD").exists():
        raise store_failure(f"{path} is neither empty nor a Git store: choose an empty directory.")


def holds_objects(path: Path) -> bool:
    """Whether the store at ``path`` has any object (gitrepository-layout(5))."""
    objects = path / "objects"
    return any(objects.glob("[0-9a-f][0-9a-f]/*")) or any(objects.glob("pack/*.pack"))


def _create(path: Path) -> None:
    """Lay the repository out (gitrepository-layout(5)); HEAD, which completes it, comes last.

    ``git init`` would leave lock files behind when it is killed.
    """
    path.chmod(0o750)
    for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
        (path / folder).mkdir(parents=True, exist_ok=True)
    write_synced(path / "config", _CONFIG.encode(), mode=0o640)
    write_synced(path / "HEAD", _HEAD.encode(), mode=0o640)


def _check(path: Path, git: GitCommand) -> None:
    settings = git.run(["config", "--local", "--list"]).decode().splitlines()
    extended = any(line.startswith("extensions.") for line in settings)
    if "core.bare=true" not in settings or extended:
        raise store_failure(
            f"{path} is not a plain bare Git repository: choose an empty directory."
        )
    if (path / "HEAD").read_text() != _HEAD:
        raise store_failure(
            f"The repository at {path} is not on branch main: run "
            f"'git symbolic-ref HEAD {branch_ref(MAIN)}' in it, or choose an empty directory."
        )
