"""Branches that hold the history of some paths: what they hold, and that they survive anything."""

from __future__ import annotations

import multiprocessing
import os
import random
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from backups.engine.config_path import config_path
from backups.engine.git import projection as git_projection
from backups.engine.git.store import GitStore
from tests.support.git_repository import assert_sound, die_at, request_for, run_git

SPAWN = multiprocessing.get_context("spawn")
ZONE = "zone-a"


def path(device_id: int) -> str:
    return config_path("core-sw1", device_id)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "store.git"


@pytest.fixture
def store(repository: Path) -> GitStore:
    return GitStore.open_or_create(repository)


def save(store: GitStore, text: str, device_id: int, author: str | None = None) -> str:
    return store.save(request_for(text, device_id=device_id, author=author)).commit


def log(repository: Path, branch: str, form: str) -> list[str]:
    return run_git(repository, "log", "--reverse", f"--format={form}", branch).splitlines()


def files(repository: Path, branch: str = ZONE) -> dict[str, str]:
    lines = run_git(repository, "ls-tree", "-r", branch).splitlines()
    entries = (line.split() for line in lines)
    return {name: run_git(repository, "cat-file", "blob", blob) for _, _, blob, name in entries}


def test_only_the_chosen_paths_and_all_their_revisions(store: GitStore, repository: Path) -> None:
    mine = [save(store, "a1\n", 1, "Ann <ann@example.net>"), save(store, "a2\n", 1)]
    save(store, "other\n", 2)
    mine.append(save(store, "a1\n", 1))
    tip = store.grow(ZONE, [path(1)])

    assert store.branches()[ZONE] == tip
    assert files(repository) == {path(1): "a1\n"}
    fields = "%an %ae %ad %cn %cd %s"
    original = dict(
        zip(log(repository, "main", "%H"), log(repository, "main", fields), strict=True)
    )
    assert log(repository, ZONE, fields) == [original[commit] for commit in mine]
    trailers = "%(trailers:key=NetRaven-Commit,valueonly,separator=)"
    assert log(repository, ZONE, trailers) == mine
    assert log(repository, ZONE, "%(trailers:key=NetRaven-Run,valueonly,separator=)") == ["7"] * 3
    assert "other" not in run_git(repository, "log", "-p", ZONE)
    assert_sound(repository)


def test_it_grows_by_what_is_new_and_no_more(
    store: GitStore, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_projection, "_COPIES_AT_ONCE", 2)
    paths = [path(1), path(3)]
    assert store.grow(ZONE, paths) is None
    for number in range(9):
        save(store, f"{number}\n", number % 4 + 1)
        before = store.branches().get(ZONE)
        tip = store.grow(ZONE, paths)
        assert (tip != before) == (number % 4 in (0, 2))
        assert store.grow(ZONE, paths) == tip
    main = log(repository, "main", "%s")
    assert log(repository, ZONE, "%s") == [
        subject for number, subject in enumerate(main) if number % 4 in (0, 2)
    ]
    again = GitStore.open_or_create(repository.with_name("again.git"))
    run_git(repository.with_name("again.git"), "fetch", "-q", str(repository), "main:main")
    assert again.grow(ZONE, paths) == store.branches()[ZONE], "grown at once it is the same"


def test_devices_that_join_and_leave(store: GitStore, repository: Path) -> None:
    save(store, "a1\n", 1)
    save(store, "b1\n", 2)
    save(store, "b2\n", 2)
    save(store, "a2\n", 1)
    store.grow(ZONE, [path(1)])
    store.grow(ZONE, [path(1), path(2)])
    assert files(repository) == {path(1): "a2\n", path(2): "b2\n"}
    assert log(repository, ZONE, "%s")[-1] == "1 joined, 0 left"
    save(store, "b3\n", 2)
    tip = store.grow(ZONE, [path(2)])
    assert files(repository) == {path(2): "b3\n"}
    assert log(repository, ZONE, "%s")[-1] == "0 joined, 1 left"
    assert store.grow(ZONE, [path(2)]) == tip
    store.grow(ZONE, [])
    assert files(repository) == {}
    assert_sound(repository)


def test_commits_of_others_are_copied_too(store: GitStore, repository: Path) -> None:
    save(store, "a1\n", 1)
    save(store, "b1\n", 2)
    tip = store.branches()["main"]
    blob = run_git(repository, "hash-object", "-w", "--stdin", stdin=b"theirs\n").strip()
    shard, name = path(1).split("/")
    listing = run_git(repository, "ls-tree", f"{tip}:{shard}") if shard else ""
    listing = "\n".join(
        f"100644 blob {blob}\t{name}" if line.endswith(name) else line
        for line in listing.splitlines()
    )
    folder = run_git(repository, "mktree", stdin=f"{listing}\n".encode()).strip()
    root = run_git(repository, "ls-tree", tip).splitlines()
    root = [f"040000 tree {folder}\t{shard}" if line.endswith(shard) else line for line in root]
    tree = run_git(repository, "mktree", stdin=("\n".join(root) + "\n").encode()).strip()
    foreign = run_git(repository, "commit-tree", tree, "-p", tip, "-m", "By hand").strip()
    run_git(repository, "update-ref", "refs/heads/main", foreign)
    store.grow(ZONE, [path(1), path(2)])
    assert files(repository) == {path(1): "theirs\n", path(2): "b1\n"}
    assert log(repository, ZONE, "%s")[-1] == "By hand"
    assert store.grow(ZONE, [path(1), path(2)]) == store.branches()[ZONE]


def test_a_rewritten_main_branch_is_followed_from_the_start(
    store: GitStore, repository: Path
) -> None:
    first = save(store, "a1\n", 1)
    save(store, "secret\n", 1)
    store.grow(ZONE, [path(1)])
    run_git(repository, "update-ref", "refs/heads/main", first)
    save(store, "clean\n", 1)
    store.grow(ZONE, [path(1)])
    assert "secret" not in run_git(repository, "log", "-p", ZONE)
    assert files(repository) == {path(1): "clean\n"}
    assert len(log(repository, ZONE, "%H")) == 2


def test_a_branch_that_somebody_deleted_grows_again(store: GitStore, repository: Path) -> None:
    save(store, "a1\n", 1)
    store.grow(ZONE, [path(1)])
    run_git(repository, "update-ref", "-d", f"refs/heads/{ZONE}")
    assert list(store.branches()) == ["main"]
    assert store.grow(ZONE, [path(1)]) == store.branches()[ZONE]


def test_growing_at_once_and_among_commits_copies_each_once(
    store: GitStore, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_projection, "_COPIES_AT_ONCE", 3)
    paths = [path(number) for number in range(1, 6)]
    with ThreadPoolExecutor(6) as pool:
        work = [pool.submit(save, store, f"{number}\n", number % 9 + 1) for number in range(60)]
        grown = [pool.submit(store.grow, ZONE, paths) for _ in range(12)]
        for saved in work:
            saved.result(60)
        for tip in grown:
            tip.result(60)
    store.grow(ZONE, paths)
    copied = log(repository, ZONE, "%(trailers:key=NetRaven-Commit,valueonly,separator=)")
    assert len(copied) == len(set(copied))
    wanted = run_git(repository, "log", "--reverse", "--format=%H", "main", "--", *paths).split()
    assert copied == wanted
    assert_sound(repository)


def test_a_slow_process_never_takes_the_branch_back(
    store: GitStore, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = git_projection.Projection._copy
    overtakers: list[str | None] = []

    def slow(self: git_projection.Projection, base: str | None, revision: Any) -> str:
        if not overtakers:
            overtakers.append(None)
            save(store, "a2\n", 1)
            overtakers[0] = store.grow(ZONE, [path(1)])
        return copy(self, base, revision)

    save(store, "a1\n", 1)
    monkeypatch.setattr(git_projection.Projection, "_copy", slow)
    tip = store.grow(ZONE, [path(1)])
    assert overtakers[0] == tip == store.branches()[ZONE]
    assert files(repository) == {path(1): "a2\n"}


def test_a_store_that_is_exchanged_meanwhile_gets_no_branch_without_its_commits(
    store: GitStore, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repair builds another repository in its place while copies are made in the old one."""
    save(store, "a1\n", 1)
    other = GitStore.open_or_create(repository.with_name("other.git"))
    save(other, "b1\n", 1)
    copy = git_projection.Projection._copy
    exchanged: list[bool] = []

    def slow(self: git_projection.Projection, base: str | None, revision: Any) -> str:
        copied = copy(self, base, revision)
        if not exchanged:
            exchanged.append(True)
            repository.rename(repository.with_name("old.git"))
            repository.with_name("other.git").rename(repository)
        return copied

    monkeypatch.setattr(git_projection.Projection, "_copy", slow)
    store.grow(ZONE, [path(1)])
    assert files(repository) == {path(1): "b1\n"}
    assert_sound(repository)


def grow_dying(repository: Path, outcomes: Connection) -> None:
    """Fork a process per some moments until one lives; each grows the branch."""
    git_projection._COPIES_AT_ONCE = 2
    store = GitStore(repository)
    pick = random.Random(3)  # noqa: S311 - a repeatable choice
    moment, alive = 1, False
    while not alive:
        child = os.fork()
        if child == 0:
            die_at(moment)
            store.grow(ZONE, [path(1), path(2)])
            os._exit(0)
        _, status = os.waitpid(child, 0)
        alive = not os.WIFSIGNALED(status)
        outcomes.send(alive)
        moment += pick.randrange(1, 12)
    outcomes.close()


@pytest.mark.slow
def test_a_kill_at_any_moment_of_growing_loses_and_doubles_nothing(
    store: GitStore, repository: Path
) -> None:
    for number in range(8):
        save(store, f"{number}\n", number % 3 + 1)
    receiver, sender = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=grow_dying, args=(repository, sender))
    process.start()
    sender.close()
    outcomes = [receiver.recv()]
    while not outcomes[-1]:
        outcomes.append(receiver.recv())
    process.join(60)
    assert process.exitcode == 0
    assert len(outcomes) > 8
    main = log(repository, "main", "%H")
    copied = log(repository, ZONE, "%(trailers:key=NetRaven-Commit,valueonly,separator=)")
    assert copied == [commit for number, commit in enumerate(main) if number % 3 in (0, 1)]
    run_git(repository, "fsck", "--strict")
