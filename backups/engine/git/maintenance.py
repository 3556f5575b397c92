"""Packing a repository, safely while other processes commit.

Every save leaves four small files. Here they become packs, in which a configuration costs what
differs from its neighbours. Nothing is thrown away that a process may still be about to use:
objects that nothing refers to stay for two weeks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backups.engine.git.command import GitCommand
from backups.engine.git.failures import store_failure
from backups.engine.git.turn import alone, writing_turn

#: From so many packs on they become one; up to then each run adds one.
_PACKS_AT_MOST = 20
#: The kind of work that only one process does at a time; a repair keeps it away.
MAINTENANCE = "maintenance"
_UNREACHABLE_FOR = "2.weeks.ago"
#: Git holds a lock for moments. One of this age was left by a git that was killed.
_STALE_SECONDS = 3600
_LOCKS = ("*.lock", "refs/heads/*.lock", "objects/info/*.lock", "objects/info/commit-graphs/*.lock")
#: Locks of ours are files that stay; the kernel frees them (``git_turn``).
_OWN_LOCKS = "netraven"
#: Bounds the memory that comparing objects takes, per thread.
_LIMITS = ("-c", "pack.windowMemory=128m", "-c", "pack.threads=2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a repository consists of."""

    bytes_on_disk: int
    loose_objects: int
    packs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """What one maintenance found and what it left."""

    before: Size
    after: Size
    #: Locks of Git that a killed process had left behind, as paths inside the repository.
    removed_locks: tuple[str, ...] = ()


def maintain(repository: Path, git: GitCommand) -> Maintenance:
    """Pack loose objects, branches and the graph of commits; join the packs when they are many.

    Raises DeviceError when another maintenance is under way or git fails; nothing is lost then,
    and the next one goes on. OSError as the system reports it.
    """
    with alone(repository, MAINTENANCE) as is_free:
        if not is_free:
            raise store_failure(
                "Another maintenance of the Git store is under way, or a repair: try again later."
            )
        with writing_turn(repository):
            removed_locks = tuple(_remove_stale_locks(repository))
        before = _size(repository, git)
        if before.packs >= _PACKS_AT_MOST:
            _run(git, "repack", "-d", "-l", "-A", f"--unpack-unreachable={_UNREACHABLE_FOR}")
        else:
            _run(git, "repack", "-d", "-l")
        _run(git, "prune", f"--expire={_UNREACHABLE_FOR}")
        with writing_turn(repository):
            _run(git, "pack-refs", "--all")
        _run(git, "commit-graph", "write", "--reachable", "--changed-paths")
        return Maintenance(before=before, after=_size(repository, git), removed_locks=removed_locks)


def _remove_stale_locks(repository: Path) -> Iterator[str]:
    """Remove Git's locks that nobody holds any more, and name them.

    Only in the writing turn and while no other maintenance or repair is under way: no process of
    NetRaven holds one then.
    """
    oldest = time.time() - _STALE_SECONDS
    for pattern in _LOCKS:
        for file in repository.glob(pattern):
            if file.name.startswith(_OWN_LOCKS):
                continue
            with suppress(FileNotFoundError):
                if file.lstat().st_mtime < oldest:
                    file.unlink()
                    yield str(file.relative_to(repository))


def _run(git: GitCommand, command: str, *options: str) -> None:
    """Run one step. A lock that another git holds is named by git's own words."""
    quiet = ["--quiet"] if command == "repack" else []
    answer = git.execute([*_LIMITS, command, *quiet, *options])
    if answer.status != 0:
        reason = " ".join(answer.complaints.split())[:300]
        raise store_failure(
            f"Maintenance of the Git store stopped at 'git {command}': {reason or answer.status}"
        )


def _size(repository: Path, git: GitCommand) -> Size:
    lines = git.run(["count-objects", "-v"]).decode().splitlines()
    counts = {name: value for name, _, value in (line.partition(": ") for line in lines)}
    return Size(
        bytes_on_disk=sum(
            _bytes_on_disk(Path(folder) / name)
            for folder, _, names in os.walk(repository)
            for name in names
        ),
        loose_objects=int(counts["count"]),
        packs=int(counts["packs"]),
    )


def _bytes_on_disk(file: Path) -> int:
    """Return what a file takes; 0 when a writer has just removed or renamed it."""
    try:
        return file.lstat().st_blocks * 512
    except FileNotFoundError:
        return 0
