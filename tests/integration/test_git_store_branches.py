"""Digests of changes, branches beside main, and what else the store can be asked."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backups.engine.git import change as git_change
from backups.engine.git.store import GitStore, RevisionNotFound
from tests.support.git_repository import (
    PATH,
    assert_sound,
    commit_time,
    history,
    request_for,
    run_git,
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "store.git"


@pytest.fixture
def store(repository: Path) -> GitStore:
    return GitStore.open_or_create(repository)


def digest_of(store: GitStore, old: str, new: str, device_id: int = 42) -> str:
    store.save(request_for(old, device_id))
    return store.save(request_for(new, device_id)).change_digest


# --- digests --------------------------------------------------------------------------------


def test_the_same_change_of_two_devices_has_the_same_digest(store: GitStore) -> None:
    common = "ntp server 192.0.2.1\n"
    one = digest_of(store, f"hostname a\n{common}end\n", f"hostname a\n{common}ntp x\nend\n", 1)
    other = digest_of(store, f"a\nb\nc\n{common}end\n", f"a\nb\nc\n{common}ntp x\nend\n", 2)
    assert one == other
    assert len(one) == 64


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a\nb\n", "a\nc\nb\n"),  # another line is added
        ("a\nx\nb\n", "a\nb\n"),  # the line goes instead of coming
        ("a\nb\n", "a\nx\nx\nb\n"),  # it comes twice
        ("a\nb\n", "a\nx \nb\n"),
        ("a\nb\n", "x\na\n"),  # something else goes with it
    ],
)
def test_another_change_has_another_digest(store: GitStore, old: str, new: str) -> None:
    added = digest_of(store, "a\nb\n", "a\nx\nb\n", 1)
    assert digest_of(store, old, new, 2) != added


def test_lines_that_look_like_a_diff_count_and_matter(store: GitStore) -> None:
    texts = ("a\n", "a\n@@ -1 +1 @@\n--- x\n+++ y\n", "a\n@@ -1 +1 @@\n--- x\n+++ z\n")
    saved = [store.save(request_for(text)) for text in texts]
    assert [(one.lines_added, one.lines_removed) for one in saved[1:]] == [(3, 0), (1, 1)]
    assert len({one.change_digest for one in saved}) == 3


def test_a_first_revision_and_equal_content_have_no_digest(store: GitStore) -> None:
    assert store.save(request_for("a\n")).change_digest == ""
    assert store.save(request_for("a\n")).change_digest == ""


def test_a_change_that_cannot_be_compared_still_has_a_digest(
    store: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = [digest_of(store, "a\0\n", text, device) for device, text in ((1, "b"), (2, "c"))]
    pick = random.Random(1)  # noqa: S311 - a repeatable choice
    texts = ["".join(pick.choice(("a\n", "b\n")) for _ in range(400_000)) for _ in range(2)]
    monkeypatch.setattr(git_change, "_DIFF_TIMEOUT_SECONDS", 0.05)
    slow = digest_of(store, texts[0], texts[1], 3)
    assert len({*binary, slow, ""}) == 4


def test_the_change_between_any_two_revisions_is_counted_as_a_save_does(store: GitStore) -> None:
    first = store.save(request_for("a\nb\n"))
    second = store.save(request_for("a\nc\nd\n"))
    change = store.change(first.blob, second.blob)
    assert (change.added, change.removed, change.digest) == (2, 1, second.change_digest)
    assert str(store.change(None, first.blob)) == "first backup, 2 lines"
    assert store.change(first.blob, first.blob).digest == ""
    with pytest.raises(RevisionNotFound):
        store.change(first.blob, second.commit)


# --- branches -------------------------------------------------------------------------------


def test_another_branch_leaves_main_alone(store: GitStore, repository: Path) -> None:
    ours = store.save(request_for("new\n"))
    foreign = store.save(request_for("old\n", branch="imported", committed_at=1_500_000_000))

    assert store.branches() == {"main": ours.commit, "imported": foreign.commit}
    assert history(repository) == [ours.commit]
    assert (foreign.lines_added, foreign.change_digest) == (1, "")
    assert store.read(PATH) == "new\n"
    assert store.read(PATH, foreign.commit) == "old\n"
    assert store.blob_at(foreign.commit, PATH) == foreign.blob
    assert store.blob_at("HEAD", "00/nothing~1.cfg") is None
    assert commit_time(repository, foreign.commit) == 1_500_000_000
    assert abs(commit_time(repository, ours.commit) - time.time()) < 60
    assert_sound(repository)


def test_other_branches_survive_git_gc(store: GitStore, repository: Path) -> None:
    store.save(request_for("new\n"))
    foreign = [store.save(request_for(text, branch="imported")) for text in ("1\n", "2\n")]
    run_git(repository, "gc", "--quiet", "--prune=now")

    again = GitStore(repository)
    assert dict(again.read_blobs([foreign[0].blob])) == {foreign[0].blob: "1\n"}
    third = again.save(request_for("3\n", branch="imported"))
    log = run_git(repository, "log", "--format=%H", "imported").split()
    assert log == [third.commit, foreign[1].commit, foreign[0].commit]
    assert_sound(repository)


def test_threads_on_several_branches_lose_nothing(store: GitStore, repository: Path) -> None:
    names = ("main", "imported", "zone-a")
    requests = [
        request_for(f"{number}\n", device_id=number % 7 + 1, branch=names[number % 3])
        for number in range(60)
    ]
    with ThreadPoolExecutor(12) as pool:
        reported = [revision.commit for revision in pool.map(store.save, requests)]
    assert sorted(run_git(repository, "log", "--all", "--format=%H").split()) == sorted(reported)
    assert_sound(repository)


@pytest.mark.parametrize("name", ["", "Main", "-x", "a/b", "../x", "main.lock", "a" * 62, "ä"])
def test_only_plain_names_are_branches(store: GitStore, repository: Path, name: str) -> None:
    with pytest.raises(ValueError, match="A branch has"):
        store.save(request_for("a\n", branch=name))
    assert store.branches() == {}
