"""Runs the processes of the stack: starts, watches, restarts and stops them.

Each process gets a session of its own, so that a Ctrl-C on the terminal reaches only the
supervisor, which then stops all in order. Where the kernel allows it (Linux), the processes end
when the supervisor is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import groupby
from pathlib import Path

from netraven_site.stack.account import Account
from netraven_site.stack.output import ProcessLog

_LAUNCHER = Path(__file__).with_name("launch.py")
_WATCH_SECONDS = 0.2
_STOP_POLL_SECONDS = 0.02
_FIRST_DELAY = 1.0
_LONGEST_DELAY = 30.0
#: A process that is stopped (not by a debugger) may hold what all others wait for.
_FROZEN_SECONDS = 30.0
#: A process that ran this long has recovered: the next restart is quick again.
_HEALTHY_SECONDS = 20.0


class Stage(IntEnum):
    """When a process is stopped: lower stages first, one after the other."""

    FRONT = 1
    WORKER = 2
    BROKER = 3
    DATABASE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """How one process is started and stopped."""

    name: str
    #: Program (an absolute path) and arguments; no secrets, every user of the machine sees them.
    argv: tuple[str, ...]
    stage: Stage
    #: The whole environment; nothing is inherited.
    environment: Mapping[str, str] = field(repr=False)
    directory: Path = Path("/")
    #: The system user to run as; None = the user of this process.
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    #: Seconds between the stop signal and SIGKILL.
    stop_seconds: float = 10.0
    #: What the process gets when the supervisor dies (Linux only).
    orphan_signal: signal.Signals = signal.SIGKILL
    #: Whether its output is shown; all of it goes to the log file in any case.
    shown: bool = True


def restart_delay(failures: int) -> float:
    """Seconds to wait before the restart after this many failures in a row: 1, 2, 4 … 30."""
    return min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(failures - 1, 10))


def describe_exit(code: int) -> str:
    """What ``Popen.returncode`` means, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:  # only two of the real-time signals have a name
        return f"was ended by signal {-code}"


def _is_stopped(child: int) -> bool:
    if not hasattr(os, "waitid"):  # macOS
        return False
    with suppress(ChildProcessError):
        return os.waitid(os.P_PID, child, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    return False


class _Child:
    """One supervised process, over all its restarts."""

    def __init__(self, spec: ProcessSpec, log: ProcessLog) -> None:
        self.spec = spec
        self.log = log
        #: None while it waits for its restart, and after ``stop``.
        self.process: subprocess.Popen[bytes] | None = None
        self.restart_at = 0.0
        #: Ends in a row, without a healthy time between them.
        self.failures = 0
        self.last_exit = 0
        self._started_at = 0.0
        self._frozen_since: float | None = None

    def start(self) -> None:
        """Raises OSError, or RuntimeError when there is no thread for the output."""
        self._started_at = time.monotonic()
        account = self.spec.account
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid())),
                str(int(self.spec.orphan_signal)),
                f"{account.uid}:{account.gid}" if account else "-",
                *self.spec.argv,
            ],
            env=dict(self.spec.environment),
            cwd=self.spec.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.log.follow(self.process.stdout)

    def note_end(self) -> float:
        """Clear up after the process has ended or never began; the seconds until its restart."""
        now = time.monotonic()
        if now - self._started_at >= _HEALTHY_SECONDS:
            self.failures = 0
        self.failures += 1
        self.last_exit = self.kill_group()
        delay = restart_delay(self.failures)
        self.restart_at = now + delay
        return delay

    def is_frozen(self) -> bool:
        """Whether somebody has stopped the process (SIGSTOP) and not let it go on for long."""
        if self.process is None or not _is_stopped(self.process.pid):
            self._frozen_since = None
            return False
        self._frozen_since = self._frozen_since or time.monotonic()
        return time.monotonic() - self._frozen_since >= _FROZEN_SECONDS

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        # Only the leader: Celery's prefork pool loses its tasks when its children get a TERM.
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill_group(self) -> int:
        """Kill what is left of the process and its children; its exit code."""
        process, self.process = self.process, None
        if process is None:
            return self.last_exit
        # macOS answers EPERM for a group that holds nothing but a zombie.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


class Supervisor:
    """The running processes of one stack. Thread-safe; a thread of its own restarts what dies."""

    def __init__(
        self,
        *,
        log_directory: Path,
        say: Callable[[str], None],
        echo: Callable[[str], None] | None = None,
    ) -> None:
        """``say`` gets the supervisor's own lines, ``echo`` those of the processes."""
        self._log_directory = log_directory
        self._say = say
        self._echo = echo
        self._children: dict[str, _Child] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._watcher_end = threading.Event()
        self._watcher: threading.Thread | None = None

    def start(self, spec: ProcessSpec) -> None:
        """Start a process and keep it running until ``stop``."""
        log = ProcessLog(spec.name, self._log_directory, self._echo if spec.shown else None)
        child = _Child(spec, log)
        with self._lock:
            self._children[spec.name] = child
            child.start()
        if self._watcher is None:
            # The kernel ties a process to the thread that started it: the watcher, which starts
            # processes again, therefore lives until all of them have stopped.
            self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
            self._watcher.start()

    def failure(self) -> str | None:
        """Which process is down, or was lately, and why; None = all run well."""
        with self._lock:
            failed = next((child for child in self._children.values() if child.failures), None)
        if failed is None:
            return None
        last = failed.log.last_line()
        hint = f": {last}" if last else ""
        ending = describe_exit(failed.last_exit)
        return f"{failed.spec.name} {ending}{hint} (more in {failed.log.path})"

    def hurry(self) -> None:
        """Make a ``stop`` that is under way kill at once."""
        self._hurry.set()

    def stop(self) -> None:
        """Stop all processes, stage by stage; kill what does not stop in its time."""
        self._stopping.set()
        with self._lock:
            children = sorted(self._children.values(), key=lambda child: child.spec.stage)
        for _, stage in groupby(children, key=lambda child: child.spec.stage):
            self._stop_stage(list(stage))
        self._watcher_end.set()
        if self._watcher is not None:
            self._watcher.join()
        for child in children:
            child.log.close()
        self._children.clear()

    def _stop_stage(self, children: Sequence[_Child]) -> None:
        begin = time.monotonic()
        for child in children:
            child.signal(child.spec.stop_signal)
        for child in children:
            if not self._wait_for_end(child, begin + child.spec.stop_seconds):
                self._say(f"{child.spec.name} did not stop in time and is killed")
            child.kill_group()

    def _wait_for_end(self, child: _Child, deadline: float) -> bool:
        while child.runs():
            if time.monotonic() >= deadline or self._hurry.is_set():
                return False
            time.sleep(_STOP_POLL_SECONDS)
        return True

    def _watch(self) -> None:
        while not self._watcher_end.wait(_WATCH_SECONDS):
            with self._lock:
                if not self._stopping.is_set():
                    self._restart_dead()

    def _restart_dead(self) -> None:
        for child in self._children.values():
            if child.process is None:
                if time.monotonic() >= child.restart_at:
                    self._start_again(child)
            elif child.is_frozen():
                self._say(f"{child.spec.name} was stopped and does not go on; it is killed")
                child.signal(signal.SIGKILL)
            elif not child.runs():
                delay = child.note_end()
                ending = describe_exit(child.last_exit)
                self._say(f"{child.spec.name} {ending}; it starts again in {delay:.0f} s")

    def _start_again(self, child: _Child) -> None:
        # An exception would end this thread, and all that it has started with it.
        try:
            child.start()
        except (OSError, RuntimeError) as error:
            delay = child.note_end()
            name, reason = child.spec.name, " ".join(str(error).split())
            self._say(f"{name} could not be started: {reason}; it is tried again in {delay:.0f} s")
