"""The right to write to a repository, which the processes and threads of NetRaven take in turns.

It is a ``flock``, which the kernel frees when a process dies. The repository must lie on a local
file system: ``flock`` is not dependable on network file systems.
"""

from __future__ import annotations

import fcntl
import functools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backups.engine.git.failures import store_failure

#: A commit takes milliseconds; whoever holds the lock this long is stopped or its disk hangs.
_TURN_TIMEOUT_SECONDS = 60.0
_SHORTEST_WAIT_SECONDS = 0.001
_LONGEST_WAIT_SECONDS = 0.008


@contextmanager
def writing_turn(repository: Path) -> Iterator[None]:
    """Hold the one right to write to ``repository``, against all of NetRaven.

    Raises DeviceError when it is not free within a minute, OSError as the system reports it.
    """
    file = repository / "netraven.lock"
    failure = (
        "Another process or thread holds the Git store and does not go on: look for a stopped "
        f"worker or a hanging disk ({file})."
    )
    deadline = time.monotonic() + _TURN_TIMEOUT_SECONDS
    threads = _queue_of_threads(file)
    if not threads.acquire(timeout=_TURN_TIMEOUT_SECONDS):
        raise store_failure(failure)
    try:
        with _locked_file(file, deadline, failure):
            yield
    finally:
        threads.release()


@contextmanager
def alone(repository: Path, name: str) -> Iterator[bool]:
    """Do one kind of work on ``repository`` in one process at a time; False where another does.

    ``name`` becomes part of a file name. Raises OSError.
    """
    file = repository / lock_name(name)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        yield _flock(descriptor)
    finally:
        os.close(descriptor)


def lock_name(name: str) -> str:
    """Return the name of the file that :func:`alone` locks."""
    return f"netraven-{name}.lock"


def wait_until(done: Callable[[], bool], *, deadline: float, failure: str) -> None:
    """Ask ``done`` again and again; raise DeviceError after the deadline (monotonic clock)."""
    wait = _SHORTEST_WAIT_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise store_failure(failure)
        time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads the writers, no secret
        wait = min(2 * wait, _LONGEST_WAIT_SECONDS)


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
        wait_until(lambda: _flock(descriptor), deadline=deadline, failure=failure)
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
