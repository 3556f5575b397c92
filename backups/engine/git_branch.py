"""The branch that holds the history, and the right to move it.

Writers of NetRaven take turns by ``flock``, which the kernel frees when a process dies. Towards
other Git processes (a push into the repository, ``git gc``) the branch moves by Git's own rule:
``refs/heads/main.lock`` is created, the old value is compared, and the lock, which holds the new
value by then, is renamed over the branch.

A process that is killed in between would leave ``main.lock`` behind and block everybody. So the
lock is made as a hard link to a file of our own: the next writer, who holds the ``flock``, sees
that both are the same file, knows that it is a dead writer's, and removes it. A lock of another
Git process is never touched.

The repository must lie on a local file system: ``flock`` and hard links are not dependable on
network file systems.
"""

from __future__ import annotations

import fcntl
import functools
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from backups.engine.store_failures import damaged, store_failure
from backups.engine.synced_file import sync_folder

BRANCH = "refs/heads/main"
#: A commit takes milliseconds; whoever holds the lock this long is stopped or its disk hangs.
_TURN_TIMEOUT_SECONDS = 60.0
#: Git holds a branch's lock for a moment only; ``git gc`` somewhat longer.
_FOREIGN_LOCK_TIMEOUT_SECONDS = 10.0
_SHORTEST_WAIT_SECONDS = 0.001
_LONGEST_WAIT_SECONDS = 0.008
_COMMIT_ID = re.compile(r"[0-9a-f]{40}")


class Branch:
    """``refs/heads/main`` of one repository. Methods raise OSError as the system reports it."""

    def __init__(self, repository: Path) -> None:
        self._file = repository / BRANCH
        self._lock = self._file.with_suffix(".lock")
        self._staged = repository / "netraven-main.next"
        self._packed = repository / "packed-refs"
        self._turn = repository / "netraven.lock"

    def tip(self) -> str | None:
        """Return the newest commit's id, or None before the first one.

        Raises DeviceError when what is stored there is no commit id.
        """
        # Read again after packed-refs: a writer may have made the file in between.
        reads = (self._unpacked, self._packed_value, self._unpacked)
        value = next((found for read in reads if (found := read()) is not None), None)
        if value is not None and not _COMMIT_ID.fullmatch(value):
            raise damaged("its branch holds no commit id")
        return value

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the one right to write, against all processes and threads of NetRaven.

        Raises DeviceError when it is not free within a minute.
        """
        failure = (
            "Another process or thread holds the Git store and does not go on: look for a stopped "
            f"worker or a hanging disk ({self._turn})."
        )
        deadline = time.monotonic() + _TURN_TIMEOUT_SECONDS
        threads = _queue_of_threads(self._turn)
        if not threads.acquire(timeout=_TURN_TIMEOUT_SECONDS):
            raise store_failure(failure)
        try:
            with _locked_file(self._turn, deadline, failure):
                yield
        finally:
            threads.release()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other Git process from moving the branch. Only inside :meth:`turn`.

        Raises DeviceError when another Git process keeps the branch locked.
        """
        self._remove_own_lock()
        try:
            self._staged.touch(mode=0o644, exist_ok=False)
            _wait_until(
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
        return next((value for value, _, name in values if name == BRANCH), None)

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


@functools.cache
def _queue_of_threads(_lock_file: Path) -> threading.Lock:
    """Return the lock by which the threads of this process queue for one lock file.

    ``flock`` alone would be enough, but it can be waited for with a timeout only by asking again
    and again; a hundred threads that do so take the processor from the one that works.
    """
    return threading.Lock()


# A child has only the thread that forked: it must not inherit a lock that another one holds.
os.register_at_fork(after_in_child=_queue_of_threads.cache_clear)


@contextmanager
def _locked_file(file: Path, deadline: float, failure: str) -> Iterator[None]:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        _wait_until(lambda: _flock(descriptor), deadline=deadline, failure=failure)
        yield
    finally:
        # Closing is not enough where a fork has copied the descriptor.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_until(done: Callable[[], bool], *, deadline: float, failure: str) -> None:
    """Ask ``done`` again and again; raise DeviceError after the deadline (monotonic clock)."""
    wait = _SHORTEST_WAIT_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise store_failure(failure)
        time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads the writers, no secret
        wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
