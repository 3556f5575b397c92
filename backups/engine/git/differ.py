"""Comparing trees with one git process that stays, instead of one for each comparison.

``git diff-tree --stdin`` (git-diff-tree(1)) compares each pair of trees that it is given, echoes a
line that names no object, and flushes what it has written after each line. Starting git costs tens
of times as much as comparing two configurations.
"""

from __future__ import annotations

import atexit
import functools
import os
import selectors
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from backups.engine.git.command import OutputSink, repository_environment

#: After so long the process makes room for another one: it keeps packs open that are gone.
_LIFETIME_SECONDS = 60.0
_PIECE_BYTES = 64 * 1024


class Differ:
    """The git process for one repository. Methods raise OSError as the system reports it.

    One comparison runs at a time; whoever comes meanwhile is sent away, not kept waiting.
    """

    def __init__(self, repository: Path, options: tuple[str, ...]) -> None:
        self._repository = repository
        self._options = options
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._asked = 0

    def diff(self, old: str, new: str, sink: OutputSink, *, timeout_seconds: float) -> bool:
        """Write the patch from tree ``old`` to tree ``new`` into ``sink``.

        False when it is not whole: another comparison runs, it took too long, or git ended.
        """
        if not self._lock.acquire(blocking=False):
            return False
        is_whole = False
        try:
            with suppress(BrokenPipeError):
                is_whole = self._ask(self._running(), f"{old} {new}", sink, timeout_seconds)
        finally:
            if not is_whole:
                self.close()
            self._lock.release()
        return is_whole

    def close(self) -> None:
        """End the process; the next comparison starts another one."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)

    def forget(self) -> None:
        """Let go of the process, in a child of the one that it belongs to."""
        process, self._process = self._process, None
        self._lock = threading.Lock()
        if process is not None:
            process.returncode = 0  # the parent waits for it
            _close(process)

    def _running(self) -> subprocess.Popen[bytes]:
        now = time.monotonic()
        if self._process is not None and now - self._started > _LIFETIME_SECONDS:
            self.close()
        if self._process is None:
            self._started = now
            self._process = subprocess.Popen(
                ["git", "diff-tree", "--stdin", "-r", *self._options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={**os.environ, **repository_environment(self._repository)},
                start_new_session=True,
            )
        return self._process

    def _ask(
        self, process: subprocess.Popen[bytes], pair: str, sink: OutputSink, timeout_seconds: float
    ) -> bool:
        assert process.stdin is not None and process.stdout is not None  # both are pipes
        self._asked += 1
        # Lines of a patch begin with other signs.
        mark = f"end {self._asked}\n".encode("ascii")
        process.stdin.write(f"{pair}\n".encode("ascii") + mark)
        give_up = time.monotonic() + timeout_seconds
        tail = b"\n"
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not tail.endswith(b"\n" + mark):
                if not selector.select(max(0.0, give_up - time.monotonic())):
                    break
                piece = os.read(process.stdout.fileno(), _PIECE_BYTES)
                if not piece:
                    break
                sink.write(piece)
                tail = (tail + piece)[-len(mark) - 1 :]
            else:
                return True
        return False


@functools.cache
def differ(repository: Path, options: tuple[str, ...]) -> Differ:
    """The one ``Differ`` of this process for a repository and options of ``git diff-tree``."""
    made = Differ(repository, options)
    os.register_at_fork(after_in_child=made.forget)
    atexit.register(made.close)
    return made


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    _close(process)


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
