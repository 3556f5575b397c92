"""The Git store with many writers: processes, threads, other Git processes, and kills."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from backups.engine.git import branch as git_branch
from backups.engine.git import turn as git_turn
from backups.engine.git.store import GitStore
from tests.support.git_repository import (
    assert_sound,
    die_at,
    history,
    request_for,
    run_git,
    store_failure,
)
from tests.support.waiting import wait_for

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "store.git"


@pytest.fixture
def store(repository: Path) -> GitStore:
    return GitStore.open_or_create(repository)


# --- many at once ---------------------------------------------------------------------------


def save_many(repository: Path, writer: int, count: int, results: Connection) -> None:
    store = GitStore.open_or_create(repository)
    device_ids = [writer * 100 + number % 5 + 1 for number in range(count)]
    saved = [
        store.save(request_for(f"{writer} {number}\n", device_id=device_id))
        for number, device_id in enumerate(device_ids)
    ]
    results.send([revision.commit for revision in saved])


@pytest.mark.slow
def test_processes_at_once_lose_no_commit(repository: Path) -> None:
    """They also create the repository at once: nobody has made it before."""
    receiver, sender = SPAWN.Pipe(duplex=False)
    writers = [
        SPAWN.Process(target=save_many, args=(repository, number, 25, sender))
        for number in range(4)
    ]
    for writer in writers:
        writer.start()
    sender.close()
    reported = [commit for _ in writers for commit in receiver.recv()]
    for writer in writers:
        writer.join(60)

    assert [writer.exitcode for writer in writers] == [0] * 4
    assert len(set(reported)) == 100
    assert sorted(history(repository)) == sorted(reported)
    assert_sound(repository)


def test_threads_at_once_lose_no_commit(store: GitStore, repository: Path) -> None:
    requests = [request_for(f"{number}\n", device_id=number % 30 + 1) for number in range(120)]
    with ThreadPoolExecutor(40) as pool:
        reported = [revision.commit for revision in pool.map(store.save, requests)]

    assert sorted(history(repository)) == sorted(reported)
    assert_sound(repository)


def test_the_same_content_at_once_is_one_commit(store: GitStore, repository: Path) -> None:
    with ThreadPoolExecutor(20) as pool:
        saved = list(pool.map(store.save, [request_for("a\n")] * 40))

    assert [revision.changed for revision in saved].count(True) == 1
    assert len(history(repository)) == 1


@contextmanager
def repeated(action: Callable[[], None]) -> Iterator[list[int]]:
    """Repeat an action in a thread; yields a list that holds the number of rounds."""
    stop, rounds = threading.Event(), [0]
    failures: list[Exception] = []

    def work() -> None:
        try:
            while not stop.is_set():
                action()
                rounds[0] += 1
        except Exception as error:  # noqa: BLE001 - shown by the main thread
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield rounds
    finally:
        stop.set()
        thread.join(60)
    assert failures == []


@pytest.mark.slow
def test_saving_and_reading_while_git_repacks(store: GitStore, repository: Path) -> None:
    first = store.save(request_for("first\n", device_id=1))
    reported = [first.commit]

    def repack() -> None:
        run_git(repository, "gc", "--quiet")

    def read() -> None:
        assert store.read(first.path, first.commit) == "first\n"
        assert dict(store.read_blobs([first.blob])) == {first.blob: "first\n"}
        assert store.read(first.path) == "first\n"

    with repeated(repack) as repacks, repeated(read) as reads:
        while repacks[0] < 12 or reads[0] < 20:
            number = len(reported)
            request = request_for(f"{number}\n", device_id=number % 9 + 2)
            reported.append(store.save(request).commit)

    assert history(repository) == reported[::-1]
    assert_sound(repository)


@pytest.mark.slow
def test_commits_of_other_git_processes_are_respected(store: GitStore, repository: Path) -> None:
    reported = [store.save(request_for("first\n", device_id=1)).commit]
    foreign: list[str] = []

    def commit() -> None:
        tip = run_git(repository, "rev-parse", "main").strip()
        new = run_git(repository, "commit-tree", f"{tip}^{{tree}}", "-p", tip, "-m", "x").strip()
        try:
            run_git(repository, "update-ref", "refs/heads/main", new, tip)
        except subprocess.CalledProcessError:
            return  # NetRaven was first
        foreign.append(new)

    with repeated(commit):
        while len(foreign) < 30:
            number = len(reported)
            reported.append(store.save(request_for(f"{number}\n", device_id=number % 9 + 1)).commit)

    assert sorted(history(repository)) == sorted(reported + foreign)
    assert_sound(repository)


def test_an_unchanged_save_waits_for_nobody(store: GitStore, repository: Path) -> None:
    store.save(request_for("a\n"))
    with (repository / "netraven.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not store.save(request_for("a\n")).changed


def test_the_change_is_counted_from_what_it_really_replaces(
    store: GitStore, repository: Path
) -> None:
    """While a save waits for its turn, another Git process puts older content back."""
    older = store.save(request_for("1\n2\n3\n")).commit
    newer = store.save(request_for("1\n")).commit
    with ThreadPoolExecutor(1) as pool, (repository / "netraven.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = run_git(repository, "count-objects")
        saving = pool.submit(store.save, request_for("1\n2\n"))
        wait_for(lambda: run_git(repository, "count-objects") != before, "an object")
        reverted = run_git(repository, "commit-tree", f"{older}^{{tree}}", "-p", newer, "-m", "x")
        run_git(repository, "update-ref", "refs/heads/main", reverted.strip(), newer)
        fcntl.flock(lock, fcntl.LOCK_UN)
        saved = saving.result(10)

    assert (saved.lines_added, saved.lines_removed) == (0, 1)
    assert history(repository) == [saved.commit, reverted.strip(), newer, older]


def test_a_held_store_is_reported(
    store: GitStore, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_turn, "_TURN_TIMEOUT_SECONDS", 0.1)
    with (repository / "netraven.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with store_failure("stopped worker"):
            store.save(request_for("a\n"))
    assert store.save(request_for("a\n")).changed


def test_a_lock_of_another_git_process_is_waited_for(store: GitStore, repository: Path) -> None:
    lock = repository / "refs/heads/main.lock"
    lock.touch()
    with ThreadPoolExecutor(1) as pool:
        saving = pool.submit(store.save, request_for("a\n"))
        wait_for((repository / "netraven-main.next").exists, "the next tip")
        lock.unlink()
        assert saving.result(10).changed
    assert_sound(repository)


def test_a_lock_of_another_git_process_is_never_removed(
    store: GitStore, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_branch, "_FOREIGN_LOCK_TIMEOUT_SECONDS", 0.1)
    before = store.save(request_for("a\n")).commit
    lock = repository / "refs/heads/main.lock"
    lock.touch()
    for _ in range(2):
        with store_failure("main.lock: let it finish"):
            store.save(request_for("b\n"))
        assert lock.exists()
    assert history(repository) == [before]
    lock.unlink()
    assert store.save(request_for("b\n")).changed
    assert_sound(repository)


# --- killed at any moment -------------------------------------------------------------------


def die_at_every_moment(repository: Path, outcomes: Connection) -> None:
    """Fork a process per moment until one lives; after each, save at once and check."""
    store = GitStore.open_or_create(repository)
    for moment in range(1, 1000):
        child = os.fork()
        if child == 0:
            die_at(moment)
            store.save(request_for(f"killed in round {moment}\n"))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        tip = store.branches().get("main")
        started = time.monotonic()
        saved = store.save(request_for(f"saved in round {moment}\n"))
        outcomes.send((os.WIFSIGNALED(status), tip, saved.commit, time.monotonic() - started))
        if not os.WIFSIGNALED(status):
            break
    outcomes.close()


@pytest.mark.slow
def test_a_kill_at_any_moment_of_a_save_does_no_harm(repository: Path) -> None:
    receiver, sender = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=die_at_every_moment, args=(repository, sender))
    process.start()
    sender.close()
    outcomes: list[tuple[bool, str | None, str, float]] = []
    while not outcomes or outcomes[-1][0]:
        outcomes.append(receiver.recv())
    process.join(60)

    commits = history(repository)
    assert process.exitcode == 0
    assert len(outcomes) > 25, "a save asks more of the system than that"
    assert max(seconds for *_, seconds in outcomes) < 1, "a dead writer's lock was waited for"
    assert [saved for *_, saved, _ in outcomes if saved not in commits] == []
    assert [tip for _, tip, *_ in outcomes if tip is not None and tip not in commits] == []
    subjects = run_git(repository, "log", "-p", "--format=").splitlines()
    moved = [line for line in subjects if line.startswith("+killed in round")]
    assert 1 < len(moved) < len(outcomes), "kills came before and after the branch was moved"
    run_git(repository, "fsck", "--strict", "--full")
    assert not (repository / "refs/heads/main.lock").exists()


def save_for_ever(repository: Path, writer: int, reports: Connection) -> None:
    store = GitStore.open_or_create(repository)
    for number in range(1_000_000):
        request = request_for(f"{number}\n", device_id=writer * 100 + number % 5 + 1)
        reports.send(store.save(request).commit)


@pytest.mark.slow
def test_writers_killed_among_others_lose_nothing(repository: Path) -> None:
    reported: list[str] = []
    pick = random.Random(7)  # noqa: S311 - a repeatable choice
    for number in range(12):
        receiver, sender = SPAWN.Pipe(duplex=False)
        writers = [
            SPAWN.Process(target=save_for_ever, args=(repository, 2 * number + which, sender))
            for which in range(2)
        ]
        for writer in writers:
            writer.start()
        sender.close()
        for _ in range(pick.randrange(3, 25)):
            reported.append(receiver.recv())
        for writer in writers:
            assert writer.pid is not None
            os.kill(writer.pid, signal.SIGKILL)
            writer.join(30)

    last = GitStore(repository).save(request_for("after all\n"))
    assert set(reported) <= set(history(repository))
    assert last.commit in history(repository)
    run_git(repository, "fsck", "--strict", "--full")


def die_at_every_moment_of_creation(folder: Path) -> None:
    """Fork a process per moment until one lives; each creates a repository of its own."""
    for moment in range(1, 1000):
        child = os.fork()
        if child == 0:
            die_at(moment)
            GitStore.open_or_create(folder / f"{moment}.git")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            break


@pytest.mark.slow
def test_a_kill_at_any_moment_of_the_creation_does_no_harm(tmp_path: Path) -> None:
    process = SPAWN.Process(target=die_at_every_moment_of_creation, args=(tmp_path,))
    process.start()
    process.join(60)
    repositories = list(tmp_path.glob("*.git"))
    assert process.exitcode == 0
    assert len(repositories) > 15
    for repository in repositories:
        saved = GitStore.open_or_create(repository).save(request_for("a\n"))
        assert history(repository) == [saved.commit]
        run_git(repository, "fsck", "--strict")
