"""Hostile and broken devices in one run with healthy ones: nobody else notices them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from backups.engine.errors import ErrorCategory
from netraven_site.demo.simulator import FaultKind
from netraven_site.demo.simulator.misbehaviour import NOISE, NOISE_EVERY, with_lookalikes
from netraven_site.stack.processes import CONTROL_THREADS
from tests.acceptance.hostile_lab import (
    DEADLINE_SECONDS,
    GARBLED,
    HEALTHY,
    HUGE,
    HUGE_LINES,
    IMPOSTOR,
    LONG_BANNER,
    LOOKALIKES,
    LOST,
    SETTINGS,
    Aftermath,
    after_the_runs,
)
from tests.support.git_repository import assert_sound
from tests.support.hostile import BANNER_LINE, Hostility
from tests.support.up import Up
from tests.support.waiting import wait_for
from tests.support.worker_watch import connections_to, threads_by_worker

pytestmark = pytest.mark.slow

_GRACE_SECONDS = 5
_BANNER = BANNER_LINE[:16].decode()
_MAX_MEMORY = 300 * 1024 * 1024
#: What has to be left of each piece of noise.
_SHOWN = dict(zip(NOISE, ["", "", r"\xff\xfe\x80", "", r"\xc3", "", r"\u202e\u2066"], strict=True))
#: C0 without tab and line feed, DEL, C1, and what changes the direction of writing.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """All runs are over, on a stack of their own."""
    up = Up.prepared(tmp_path_factory.mktemp("hostile") / "data", **SETTINGS)
    try:
        with after_the_runs(up.start(), tmp_path_factory.mktemp("inventory")) as aftermath:
            yield aftermath
    finally:
        up.kill_all()


@pytest.mark.parametrize("kind", LOST, ids=str)
def test_a_lost_device_says_what_is_wrong(
    aftermath: Aftermath, kind: FaultKind | Hostility
) -> None:
    result = aftermath.results[kind.value]
    assert (result.status, result.category) == ("FAILED", LOST[kind].value), result.message
    assert result.message
    assert "\n" not in result.message
    assert result.seconds < DEADLINE_SECONDS + _GRACE_SECONDS


def test_a_changed_host_key_gets_no_password(aftermath: Aftermath) -> None:
    result = aftermath.results[IMPOSTOR]
    assert (result.status, result.category) == ("FAILED", ErrorCategory.HOST_KEY.value)
    before, after = aftermath.attempts
    assert before >= 1
    assert after == before


def test_healthy_devices_do_not_notice(aftermath: Aftermath) -> None:
    results = [aftermath.results[hostname] for hostname in HEALTHY]
    assert {result.status for result in results} == {"SUCCEEDED"}
    for hostname in HEALTHY:
        assert aftermath.committed(hostname) == aftermath.expected(aftermath.fleet.config(hostname))


@pytest.mark.parametrize("hostname", [GARBLED, LOOKALIKES, LONG_BANNER, HUGE])
def test_what_only_looks_bad_is_backed_up_whole(aftermath: Aftermath, hostname: str) -> None:
    result = aftermath.results[hostname]
    assert result.status == "SUCCEEDED", result.message
    printed = _printed(aftermath, hostname)
    assert len(printed.splitlines()) >= (HUGE_LINES if hostname == HUGE else 500)
    committed = aftermath.committed(hostname)
    assert committed.splitlines() == aftermath.expected(printed).splitlines()
    assert not _CONTROLS.search(committed)
    assert aftermath.secrets.found_in(committed.encode()) == set()


def _printed(aftermath: Aftermath, hostname: str) -> str:
    """What the device has shown, as it has to be read."""
    config = aftermath.fleet.config(hostname)
    if hostname == LOOKALIKES:
        parts = with_lookalikes(config.encode(), f"{hostname}#".encode())
        return b"".join(parts).decode().replace("\r\n", "\n")
    if hostname == GARBLED:
        lines = config.splitlines(keepends=True)
        for number, index in enumerate(range(0, len(lines), NOISE_EVERY)):
            lines[index] = _SHOWN[NOISE[number % len(NOISE)]] + lines[index]
        return "".join(lines)
    return config


def test_the_store_is_sound(aftermath: Aftermath) -> None:
    assert_sound(aftermath.up.data_dir / "configs.git")


def test_no_worker_takes_much_memory(aftermath: Aftermath) -> None:
    assert any(name.startswith("devices1 ") for name in aftermath.memory)
    megabytes = {name: peak // 1024**2 for name, peak in aftermath.memory.items()}
    assert max(aftermath.memory.values()) < _MAX_MEMORY, megabytes


def test_no_thread_is_left(aftermath: Aftermath) -> None:
    """The first run has brought up the pool and the watch over deadlines; nothing was added."""

    def added() -> dict[str, int]:
        # A pool that was still starting then may have fewer by now.
        now = threads_by_worker(aftermath.up)
        return {
            name: count - before
            for name, count in now.items()
            if count > (before := aftermath.threads.get(name, 0)) + _still_to_come(name)
        }

    wait_for(lambda: not added(), f"no more threads than {aftermath.threads}", 10)


def _still_to_come(worker: str) -> int:
    """Threads of its pool that a worker may not have needed yet: fewer than devices were lost."""
    return CONTROL_THREADS - 1 if worker.startswith("control ") else 0


def test_no_connection_is_left(aftermath: Aftermath) -> None:
    wait_for(lambda: not connections_to(aftermath.up, aftermath.ports), "no connection", 10)


def test_the_next_run_is_as_fast_as_the_first(aftermath: Aftermath) -> None:
    assert aftermath.after["status"] == aftermath.before["status"] == "COMPLETED_SUCCESS"
    assert aftermath.hostile["status"] == "COMPLETED_PARTIAL_FAILURE"
    # A thread that a lost device still held would be missing until its deadline.
    spare = DEADLINE_SECONDS / 2
    assert aftermath.after["duration_seconds"] < aftermath.before["duration_seconds"] + spare


def test_no_message_holds_a_secret_or_a_control_character(aftermath: Aftermath) -> None:
    messages = aftermath.messages()
    assert len(messages) > len(aftermath.results)
    assert [message for message in messages if _CONTROLS.search(message)] == []
    assert aftermath.secrets.found_in("\n".join(messages).encode()) == set()


def test_no_log_holds_a_secret_or_what_a_device_sent_in_place_of_ssh(aftermath: Aftermath) -> None:
    logs = aftermath.log_files()
    assert "devices1.log" in logs
    bad = {
        name: line
        for name, text in logs.items()
        for line in text.split("\n")
        if _CONTROLS.search(line) or _BANNER in line
    }
    assert bad == {}
    for name, text in logs.items():
        assert aftermath.secrets.found_in(text.encode("utf-8", "surrogateescape")) == set(), name
