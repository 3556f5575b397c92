"""The git process that compares trees, against ``git diff`` itself."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from backups.engine.config_path import config_path
from backups.engine.git.change import DiffReader, change_between_trees
from backups.engine.git.differ import Differ
from backups.engine.git.store import GitStore
from backups.engine.types import CommitRequest, RedactedConfig

OPTIONS = ("-U0", "--no-color")
PATH = config_path("sw", 1)


@pytest.fixture
def store(tmp_path: Path) -> GitStore:
    return GitStore.open_or_create(tmp_path / "store.git")


@pytest.fixture
def trees(store: GitStore, tmp_path: Path) -> tuple[str, str]:
    """Two trees that differ in one line."""
    commits = [save(store, text) for text in ("a\nb\n", "a\nc\n")]
    return tree_of(store, commits[0]), tree_of(store, commits[1])


@pytest.fixture
def differ(store: GitStore, tmp_path: Path) -> Iterator[Differ]:
    made = Differ(tmp_path / "store.git", OPTIONS)
    yield made
    made.close()


def save(store: GitStore, text: str) -> str:
    request = CommitRequest(
        path=PATH,
        config=RedactedConfig(text=text, replaced={}),
        hostname="sw",
        device_id=1,
        run_id=1,
        job_name="job",
        collected_at=0,
    )
    return store.save(request).commit


def tree_of(store: GitStore, commit: str) -> str:
    return store._git.run(["rev-parse", f"{commit}^{{tree}}"]).decode().strip()


def lines_of(differ: Differ, trees: tuple[str, str]) -> tuple[bool, int, int]:
    reader = DiffReader()
    is_whole = differ.diff(*trees, reader, timeout_seconds=20)
    return is_whole, reader.added, reader.removed


def test_a_change_is_counted_as_git_diff_counts_it(store: GitStore, tmp_path: Path) -> None:
    source = random.Random(3)  # noqa: S311 - repeatable texts, no secret
    lines = [f"line {source.randrange(20)}" for _ in range(200)]
    before = None
    for _ in range(15):
        for _ in range(5):
            place = source.randrange(len(lines))
            lines[place : place + source.randrange(3)] = ["new"] * source.randrange(3)
        commit = save(store, "\n".join(lines) + "\n")
        blob = store.blob_at(commit, PATH)
        assert blob is not None
        if before is not None:
            trees = tree_of(store, before[0]), tree_of(store, commit)
            told = change_between_trees(tmp_path / "store.git", trees, before[1], blob)
            assert told == store.change(before[1], blob)
        before = commit, blob


def test_one_process_answers_again_and_again(differ: Differ, trees: tuple[str, str]) -> None:
    assert lines_of(differ, trees) == (True, 1, 1)
    process = differ._process
    assert lines_of(differ, trees[::-1]) == (True, 1, 1)
    assert lines_of(differ, (trees[0], trees[0])) == (True, 0, 0)
    assert differ._process is process


def test_a_tree_that_is_not_there_gives_no_lines(differ: Differ, trees: tuple[str, str]) -> None:
    assert lines_of(differ, ("1" * 40, trees[1]))[1:] == (0, 0)
    assert lines_of(differ, trees) == (True, 1, 1)


def test_a_process_that_was_killed_is_replaced(differ: Differ, trees: tuple[str, str]) -> None:
    assert lines_of(differ, trees) == (True, 1, 1)
    assert differ._process is not None
    differ._process.kill()
    differ._process.wait()
    assert lines_of(differ, trees)[0] is False
    assert lines_of(differ, trees) == (True, 1, 1)


def test_a_process_that_does_not_answer_in_time_is_ended(
    differ: Differ, trees: tuple[str, str]
) -> None:
    assert lines_of(differ, trees) == (True, 1, 1)
    process = differ._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    assert differ.diff(*trees, DiffReader(), timeout_seconds=0.05) is False
    assert process.returncode == -signal.SIGKILL
    assert lines_of(differ, trees) == (True, 1, 1)


def test_a_comparison_that_runs_sends_others_away(differ: Differ, trees: tuple[str, str]) -> None:
    with differ._lock:
        assert lines_of(differ, trees) == (False, 0, 0)
    assert lines_of(differ, trees) == (True, 1, 1)


def test_a_child_lets_go_of_the_process_of_its_parent(
    differ: Differ, trees: tuple[str, str]
) -> None:
    assert lines_of(differ, trees) == (True, 1, 1)
    child = os.fork()
    if child == 0:
        differ.forget()
        os._exit(0 if lines_of(differ, trees) == (True, 1, 1) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert lines_of(differ, trees) == (True, 1, 1)
