"""Packing the store: what it saves, and that nothing is lost while others commit."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from backups.engine.errors import DeviceError
from backups.engine.git import maintenance as git_maintenance
from backups.engine.git.store import GitStore
from tests.support.git_repository import (
    PATH,
    assert_sound,
    history,
    request_for,
    run_git,
    store_failure,
)

SPAWN = multiprocessing.get_context("spawn")
WEEK = 7 * 86_400


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "store.git"


@pytest.fixture
def store(repository: Path) -> GitStore:
    return GitStore.open_or_create(repository)


def grow(store: GitStore, number: int) -> list[str]:
    common = "".join(f"interface Ethernet{port}\n no shutdown\n!\n" for port in range(300))
    return [
        store.save(request_for(f"{common}! revision {count}\n", device_id=count % 5 + 1)).commit
        for count in range(number)
    ]


def test_packing_saves_space_and_keeps_everything(store: GitStore, repository: Path) -> None:
    commits = grow(store, 60)
    foreign = store.save(request_for("foreign\n", branch="imported"))
    done = store.maintain()

    assert done.before.loose_objects > 200
    assert (done.after.loose_objects, done.after.packs) == (0, 1)
    assert done.after.bytes_on_disk < done.before.bytes_on_disk / 5
    assert history(repository) == commits[::-1]
    assert dict(store.read_blobs([foreign.blob])) == {foreign.blob: "foreign\n"}
    assert (repository / "packed-refs").exists()
    assert not (repository / "refs/heads/main").exists()
    assert list((repository / "objects/info").glob("commit-graph*"))
    assert_sound(repository)
    # Everything goes on from packed branches and objects.
    assert store.branches() == {"main": commits[-1], "imported": foreign.commit}
    saved = store.save(request_for("next\n"))
    assert run_git(repository, "rev-parse", f"{saved.commit}^").strip() == commits[-1]
    assert store.save(request_for("next\n", branch="imported")).changed
    assert_sound(repository)


def test_an_empty_store_and_a_packed_one_are_no_trouble(store: GitStore, repository: Path) -> None:
    assert store.maintain().after.packs == 0
    grow(store, 3)
    store.maintain()
    assert store.maintain().after.packs == 1
    assert_sound(repository)


def test_many_packs_become_one(
    store: GitStore, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_maintenance, "_PACKS_AT_MOST", 3)
    packs = []
    for number in range(5):
        store.save(request_for(f"{number}\n"))
        packs.append(store.maintain().after.packs)
    assert packs == [1, 2, 3, 1, 2]
    assert len(history(repository)) == 5
    assert_sound(repository)


def test_what_nothing_refers_to_stays_for_two_weeks(
    store: GitStore, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_maintenance, "_PACKS_AT_MOST", 0)
    store.save(request_for("a\n"))
    fresh, old = (
        run_git(repository, "hash-object", "-w", "--stdin", stdin=text).strip()
        for text in (b"fresh\n", b"old\n")
    )
    age = time.time() - 3 * WEEK
    os.utime(repository / "objects" / old[:2] / old[2:], (age, age))
    store.maintain()
    objects = run_git(repository, "cat-file", "--batch-all-objects", "--batch-check")
    assert fresh in objects
    assert old not in objects


def test_files_that_vanish_while_they_are_counted_are_no_trouble(
    store: GitStore, repository: Path
) -> None:
    grow(store, 2)
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            for number in range(50):
                (repository / f"refs/heads/{number}.lock").touch()
            for number in range(50):
                (repository / f"refs/heads/{number}.lock").unlink()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(5):
            assert store.maintain().after.bytes_on_disk > 0
    finally:
        over.set()
        thread.join(30)


def save_for_ever(repository: Path, writer: int, reports: Connection) -> None:
    store = GitStore(repository)
    for number in range(1_000_000):
        request = request_for(f"{number}\n", device_id=writer * 100 + number % 5 + 1)
        reports.send(store.save(request).commit)


@pytest.mark.slow
def test_nothing_is_lost_while_others_commit(
    store: GitStore, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_maintenance, "_PACKS_AT_MOST", 4)
    reported: list[str] = []
    receiver, sender = SPAWN.Pipe(duplex=False)
    writers = [
        SPAWN.Process(target=save_for_ever, args=(repository, number, sender)) for number in (0, 1)
    ]
    for writer in writers:
        writer.start()
    sender.close()
    rounds = 0
    while rounds < 12 or len(reported) <= 50:
        reported.append(receiver.recv())
        while receiver.poll():
            reported.append(receiver.recv())
        store.maintain()
        rounds += 1
    for writer in writers:
        writer.kill()
        writer.join(30)
    try:
        while receiver.poll():
            reported.append(receiver.recv())
    except EOFError:
        pass
    store.save(request_for("after all\n"))
    store.maintain()
    assert set(reported) <= set(history(repository))
    assert store.read(PATH) == "after all\n"
    run_git(repository, "fsck", "--strict", "--full")


@pytest.mark.django_db
def test_the_task_packs_the_store_and_beat_knows_it(
    git_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from django.conf import settings

    from backups.selectors.git import git_store
    from jobs.git_tasks import maintain_git_store
    from netraven_site.celery import app

    grow(git_store(), 3)
    caplog.set_level("INFO")
    maintain_git_store()
    assert "git_store.packed" in caplog.text
    assert list((git_directory / "objects/pack").glob("*.pack"))
    (git_directory / "packed-refs.lock").touch()
    maintain_git_store()
    assert "'git pack-refs'" in caplog.text

    app.loader.import_default_modules()
    entry = settings.CELERY_BEAT_SCHEDULE["netraven-maintain-git-store"]
    assert entry["task"] in app.tasks
    assert entry["options"] == {"queue": "git"}


def test_only_one_at_a_time(store: GitStore, repository: Path) -> None:
    grow(store, 2)
    with (repository / "netraven-maintenance.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with store_failure("Another maintenance"):
            store.maintain()
    assert store.maintain().after.packs == 1


def test_a_step_that_fails_is_named(store: GitStore, repository: Path) -> None:
    saved = store.save(request_for("a\n"))
    (repository / "packed-refs.lock").touch()
    with store_failure(r"'git pack-refs'.*packed-refs\.lock"):
        store.maintain()
    assert store.save(request_for("b\n")).changed
    (repository / "packed-refs.lock").unlink()
    store.maintain()
    assert history(repository)[-1] == saved.commit


@pytest.mark.parametrize(
    "name",
    [
        "packed-refs.lock",
        "refs/heads/main.lock",
        "objects/info/commit-graph.lock",
        "objects/info/commit-graphs/commit-graph-chain.lock",
    ],
)
def test_a_lock_that_a_killed_git_left_is_removed_when_it_is_old(
    store: GitStore, repository: Path, name: str
) -> None:
    store.save(request_for("a\n"))
    lock = repository / name
    lock.parent.mkdir(exist_ok=True)
    lock.touch()
    an_hour_ago = time.time() - 3600
    os.utime(lock, (an_hour_ago + 60, an_hour_ago + 60))
    with suppress(DeviceError):
        assert store.maintain().removed_locks == ()
    assert lock.exists()
    os.utime(lock, (an_hour_ago - 60, an_hour_ago - 60))
    assert store.maintain().removed_locks == (name,)
    assert store.save(request_for("b\n")).changed
    assert_sound(repository)


def test_locks_of_our_own_stay(store: GitStore, repository: Path) -> None:
    grow(store, 2)
    os.utime(repository / "netraven.lock", (0, 0))
    assert store.maintain().removed_locks == ()
    assert (repository / "netraven.lock").exists()
