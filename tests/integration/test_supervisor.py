"""The supervisor with small real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from netraven_site.stack import leftovers
from netraven_site.stack.output import printable
from netraven_site.stack.supervisor import (
    ProcessSpec,
    Stage,
    Supervisor,
    describe_exit,
    restart_delay,
)
from tests.support.waiting import wait_for

_SLEEP = "import time; time.sleep(600)"
#: Ignores TERM, then prints its process id.
_DEAF = "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid())"
_PARENT = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {sleep!r}]).pid)"


class Recorder:
    """A supervisor and everything it and its processes have said."""

    def __init__(self, directory: Path) -> None:
        self.said: list[str] = []
        self.shown: list[str] = []
        self.supervisor = Supervisor(
            log_directory=directory / "log", say=self.said.append, echo=self.shown.append
        )


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    recorder = Recorder(tmp_path)
    yield recorder
    recorder.supervisor.hurry()
    recorder.supervisor.stop()


def _spec(
    code: str, *, name: str = "child", stage: Stage = Stage.WORKER, stop_seconds: float = 20
) -> ProcessSpec:
    return ProcessSpec(
        name=name,
        argv=(sys.executable, "-c", code),
        stage=stage,
        environment={"PYTHONUNBUFFERED": "1"},
        stop_seconds=stop_seconds,
    )


def _gone(pid: int) -> bool:
    """Ended, if perhaps not yet reaped."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], check=False, capture_output=True, text=True
    ).stdout
    return state.strip()[:1] in ("", "Z")


def _shown_pid(recorder: Recorder) -> int:
    """The number that the only process prints once it is ready."""
    wait_for(lambda: bool(recorder.shown), "the process prints its number")
    return int(recorder.shown[0].removeprefix("[child] "))


def test_the_delay_grows_from_one_second_to_thirty() -> None:
    assert [restart_delay(failures) for failures in (1, 2, 3, 4, 5, 6)] == [1, 2, 4, 8, 16, 30]
    assert restart_delay(10_000) == 30


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert (
        printable("a\x1b[2Jb\tc\x07ü")
        == "a\N{REPLACEMENT CHARACTER}[2Jb\tc\N{REPLACEMENT CHARACTER}ü"
    )


def test_the_output_is_shown_with_the_name_and_kept_in_a_file(
    recorder: Recorder, tmp_path: Path
) -> None:
    recorder.supervisor.start(_spec(f"print('hello'); {_SLEEP}"))
    wait_for(lambda: "[child] hello" in recorder.shown, "the line is shown")
    assert (tmp_path / "log" / "child.log").read_text(encoding="utf-8") == "hello\n"


def test_the_environment_is_the_given_one_only(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_SECRET", "inherited")
    recorder.supervisor.start(_spec(f"import os; print(os.environ.get('SOME_SECRET')); {_SLEEP}"))
    wait_for(lambda: "[child] None" in recorder.shown, "the process has started")


def test_a_process_that_ends_is_named_and_started_again(recorder: Recorder) -> None:
    recorder.supervisor.start(_spec("print('reason', flush=True); raise SystemExit(3)"))
    wait_for(lambda: recorder.shown.count("[child] reason") == 2, "the second start")
    assert recorder.said[0] == "child ended with exit code 3; it starts again in 1 s"
    failure = recorder.supervisor.failure()
    assert failure is not None
    assert failure.startswith("child ended with exit code 3: reason (more in ")


def _without_folder(recorder: Recorder, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting needs the folder, and it has gone."""
    folder.rmdir()
    wait_for(lambda: len(recorder.said) > 2, "two failures to start")
    folder.mkdir()


def _without_thread(recorder: Recorder, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the system has no thread left for the output."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        wait_for(lambda: len(recorder.said) > 2, "two failures to start")


@pytest.mark.parametrize("hinder", [_without_folder, _without_thread])
def test_what_cannot_be_started_again_is_tried_until_it_can(
    recorder: Recorder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hinder: Callable[[Recorder, Path, pytest.MonkeyPatch], None],
) -> None:
    monkeypatch.setattr("netraven_site.stack.supervisor._FIRST_DELAY", 0.1)
    folder = tmp_path / "folder"
    folder.mkdir()
    recorder.supervisor.start(replace(_spec(f"{_DEAF}; {_SLEEP}"), directory=folder))
    os.kill(_shown_pid(recorder), signal.SIGKILL)
    hinder(recorder, folder, monkeypatch)
    assert recorder.said[0] == "child was ended by SIGKILL; it starts again in 0 s"
    assert recorder.said[1].startswith("child could not be started: ")
    assert recorder.said[1].endswith("; it is tried again in 0 s")
    wait_for(lambda: len(recorder.shown) == 2, "the process runs again")


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    assert describe_exit(-(signal.SIGRTMIN + 1)) == f"was ended by signal {signal.SIGRTMIN + 1}"


def test_what_does_not_stop_in_time_is_killed(recorder: Recorder) -> None:
    recorder.supervisor.start(_spec(f"{_DEAF}; {_SLEEP}", stop_seconds=0.3))
    pid = _shown_pid(recorder)
    recorder.supervisor.stop()
    assert recorder.said == ["child did not stop in time and is killed"]
    assert _gone(pid)


def test_what_is_stopped_for_long_is_killed_and_started_again(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold what all others wait for: a lock of the Git store, a row."""
    recorder.supervisor.start(_spec(f"{_DEAF}; {_SLEEP}"))
    pid = _shown_pid(recorder)
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, "a stopped process")
    os.kill(pid, signal.SIGCONT)
    monkeypatch.setattr("netraven_site.stack.supervisor._FROZEN_SECONDS", 0.5)
    assert recorder.said == []
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: len(recorder.shown) == 2, "another process")
    assert recorder.said == [
        "child was stopped and does not go on; it is killed",
        "child was ended by SIGKILL; it starts again in 1 s",
    ]
    assert _gone(pid)


def test_hurry_does_not_wait(recorder: Recorder) -> None:
    recorder.supervisor.start(_spec(f"{_DEAF}; {_SLEEP}", stop_seconds=60))
    _shown_pid(recorder)
    recorder.supervisor.hurry()
    begin = time.monotonic()
    recorder.supervisor.stop()
    assert time.monotonic() - begin < 10


def test_children_of_a_process_go_with_it(recorder: Recorder) -> None:
    recorder.supervisor.start(_spec(f"{_PARENT.format(sleep=_SLEEP)}; {_SLEEP}"))
    grandchild = _shown_pid(recorder)
    recorder.supervisor.stop()
    wait_for(lambda: _gone(grandchild), "the grandchild has gone", 5)


def test_lower_stages_stop_first(recorder: Recorder) -> None:
    tell = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit('bye')); print('up')"
    for name, stage in (("server", Stage.DATABASE), ("page", Stage.FRONT)):
        recorder.supervisor.start(_spec(f"{tell}; {_SLEEP}", name=name, stage=stage))
    wait_for(lambda: len(recorder.shown) == 2, "both have started")
    recorder.supervisor.stop()
    wait_for(lambda: len(recorder.shown) == 4, "both have said good-bye")
    assert recorder.shown[2:] == ["[page] bye", "[server] bye"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl(2) is Linux only")
def test_the_processes_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from netraven_site.stack.supervisor import Supervisor
from tests.integration.test_supervisor import _DEAF, _SLEEP, _spec
supervisor = Supervisor(log_directory=Path({str(tmp_path)!r}), say=print, echo=print)
supervisor.start(_spec(_DEAF + ";" + _SLEEP))
time.sleep(600)
"""
    command = [sys.executable, "-u", "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline().removeprefix("[child] "))
        assert not _gone(child)
        parent.kill()
    wait_for(lambda: _gone(child), "the child has gone", 5)


def test_leftovers_are_found_by_their_mark_and_ended(tmp_path: Path) -> None:
    marked = subprocess.Popen([sys.executable, "-c", _SLEEP], env={leftovers.MARKER: str(tmp_path)})
    stranger = subprocess.Popen(
        [sys.executable, "-c", _SLEEP], env={leftovers.MARKER: str(tmp_path / "other")}
    )
    try:
        wait_for(lambda: bool(leftovers.marked(tmp_path)), "the mark can be read")
        assert [process.pid for process in leftovers.marked(tmp_path)] == [marked.pid]
        leftovers.end(leftovers.marked(tmp_path))
        assert marked.wait(timeout=5) == -signal.SIGTERM
        assert stranger.poll() is None
    finally:
        for process in (marked, stranger):
            process.kill()
            process.wait()


def test_a_server_is_known_by_number_name_and_user() -> None:
    own = os.getpid()
    name = Path(f"/proc/{own}/comm").read_text(encoding="utf-8").strip()
    assert leftovers.find_server(own, name, os.getuid()) is not None
    assert leftovers.find_server(own, "postgres", os.getuid()) is None
    assert leftovers.find_server(own, name, os.getuid() + 1) is None
