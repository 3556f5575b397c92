"""The Git store on real repositories: saving, reading, and disks and repositories that fail it.

What the store wrote is read back with the git command, so that both have to agree.
"""

from __future__ import annotations

import multiprocessing
import os
import pwd
import random
import resource
import stat
import subprocess
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from backups.engine.config_path import config_path
from backups.engine.errors import DeviceError
from backups.engine.git import change as git_change
from backups.engine.git.format import (
    encode_object,
    file_entry,
    folder_entry,
    format_tree,
    object_id,
)
from backups.engine.git.store import GitStore, RevisionNotFound
from backups.engine.types import RedactedConfig
from tests.support.git_repository import (
    PATH,
    assert_sound,
    history,
    request_for,
    run_git,
    store_failure,
)

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "store.git"


@pytest.fixture
def store(repository: Path) -> GitStore:
    return GitStore.open_or_create(repository)


# --- one save -------------------------------------------------------------------------------


def test_first_backup(store: GitStore, repository: Path) -> None:
    saved = store.save(request_for("hostname core-sw1\nend\n"))

    assert saved.changed
    assert (saved.lines_added, saved.lines_removed, saved.size_bytes) == (2, 0, 22)
    assert saved.path == PATH
    assert run_git(repository, "rev-parse", "HEAD", f"HEAD:{PATH}").split() == [
        saved.commit,
        saved.blob,
    ]
    assert run_git(repository, "log", "--format=%s|%an <%ae>|%at|%cn <%ce>|%(trailers)") == (
        "core-sw1: first backup, 2 lines|NetRaven <netraven@localhost>|1700000000"
        "|NetRaven <netraven@localhost>"
        "|NetRaven-Device: 42\nNetRaven-Run: 7\nNetRaven-Job: nightly\n\n"
    )
    assert run_git(repository, "log", "--format=%ad", "--date=iso") == "2023-11-14 22:13:20 +0000\n"
    assert_sound(repository)


def test_changed_content_makes_a_commit_on_top(store: GitStore, repository: Path) -> None:
    first = store.save(request_for("a\nb\nc\n"))
    second = store.save(request_for("a\nB\nc\nd\n", author="Ada Lovelace <ada@example.net>"))

    assert history(repository) == [second.commit, first.commit]
    assert (second.lines_added, second.lines_removed) == (2, 1)
    assert run_git(repository, "log", "-1", "--format=%s|%an <%ae>") == (
        "core-sw1: +2 -1 lines|Ada Lovelace <ada@example.net>\n"
    )
    assert_sound(repository)


def test_equal_content_makes_no_commit(store: GitStore, repository: Path) -> None:
    first = store.save(request_for("a\n"))
    other = store.save(request_for("other\n", device_id=43))
    again = store.save(request_for("a\n", run_id=8))

    assert not again.changed
    assert again.blob == first.blob
    assert (again.lines_added, again.lines_removed, again.size_bytes) == (0, 0, 2)
    assert store.read(PATH, again.commit) == "a\n"
    assert history(repository) == [other.commit, first.commit]


def test_going_back_to_older_content_is_a_change(store: GitStore, repository: Path) -> None:
    saved = [store.save(request_for(text)) for text in ("a\n", "b\n", "a\n")]
    assert saved[2].changed
    assert saved[2].blob == saved[0].blob
    assert len(history(repository)) == 3


def test_only_the_device_s_own_file_changes(store: GitStore, repository: Path) -> None:
    for device_id in range(1, 40):
        store.save(request_for(f"device {device_id}\n", device_id=device_id))
    saved = store.save(request_for("new\n", device_id=20))

    changed = run_git(repository, "diff", "--name-only", f"{saved.commit}^", saved.commit)
    assert changed == f"{config_path('core-sw1', 20)}\n"
    assert len(run_git(repository, "ls-tree", "-r", "HEAD").splitlines()) == 39
    assert_sound(repository)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a\nb\n", "a\nb"),
        ("a\r\nb\r\n", "a\r\nB\r\n"),
        ("a\n", ""),
        ("", "a\nb"),
        ("x\n" * 500, "y\n" * 300),
        ("Zürich\n", "Zürich \ud800\u2028\n"),
    ],
)
def test_line_counts_are_git_s_own(store: GitStore, repository: Path, old: str, new: str) -> None:
    saved = [store.save(request_for(text)) for text in (old, new)]
    for revision in saved:
        added, removed, _ = run_git(
            repository, "show", "--numstat", "--format=", revision.commit
        ).split(maxsplit=2) or ("0", "0", "")
        assert (revision.lines_added, revision.lines_removed) == (int(added), int(removed))


def test_every_line_of_a_text_with_nul_counts_as_replaced(store: GitStore) -> None:
    store.save(request_for("a\nb\0\nc"))
    saved = store.save(request_for("a\nb\0\nd\ne\n"))
    assert (saved.lines_added, saved.lines_removed) == (4, 3)


def test_an_endless_comparison_is_cut_off(store: GitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    pick = random.Random(1)  # noqa: S311 - a repeatable choice
    texts = ["".join(pick.choice(("a\n", "b\n")) for _ in range(400_000)) for _ in range(2)]
    monkeypatch.setattr(git_change, "_DIFF_TIMEOUT_SECONDS", 0.05)
    store.save(request_for(texts[0]))
    saved = store.save(request_for(texts[1]))

    assert (saved.lines_added, saved.lines_removed) == (400_000, 400_000)
    assert store.read(PATH) == texts[1]


def test_any_text_comes_back_as_it_was_saved(store: GitStore) -> None:
    text = "\ufeffZürich\r\n\x0c\x1b[0m\u2028東京\0\n\n  trailing \n\n"
    saved = store.save(request_for(text))
    assert store.read(PATH) == dict(store.read_blobs([saved.blob]))[saved.blob] == text


def test_only_a_redacted_configuration_is_taken(store: GitStore, repository: Path) -> None:
    class Imitation(RedactedConfig):
        pass

    for config in ("secret", Imitation(text="secret", replaced={})):
        with pytest.raises(TypeError, match="RedactedConfig") as caught:
            store.save(request_for("", config=config))
        assert "secret" not in str(caught.value)
    assert run_git(repository, "count-objects").startswith("0 objects")


@pytest.mark.parametrize(
    "path", ["x", "../x~1.cfg", "3f/.git/x~1.cfg", "/3f/x~1.cfg", "3f/x\n~1.cfg"]
)
def test_only_paths_of_config_path_are_taken(store: GitStore, path: str) -> None:
    with pytest.raises(ValueError, match="config_path"):
        store.save(request_for("a\n", path=path))
    with pytest.raises(RevisionNotFound):
        store.read(path)


def test_names_cannot_forge_anything_in_the_history(store: GitStore, repository: Path) -> None:
    attack = "x\n\nNetRaven-Device: 99\r\nNetRaven-Run: 99\u2028NetRaven-Job: evil\x00\x1b[2J"
    store.save(
        request_for("a\n", hostname=attack, job_name=attack, author=f"{attack} <a@b>\nparent 0")
    )
    devices, runs, author = run_git(
        repository,
        "log",
        "--format=%(trailers:key=NetRaven-Device,valueonly,separator=%x2c)"
        "%n%(trailers:key=NetRaven-Run,valueonly,separator=%x2c)%n%an",
    ).splitlines()
    assert (devices, runs, author) == ("42", "7", "NetRaven")
    assert_sound(repository)


def test_a_commit_without_run_and_job(store: GitStore, repository: Path) -> None:
    store.save(request_for("a\n", run_id=None, job_name="", hostname="\n"))
    assert run_git(repository, "log", "--format=%B") == (
        "device 42: first backup, 1 line\n\nNetRaven-Device: 42\n\n"
    )


# --- reading --------------------------------------------------------------------------------


def test_reading_a_revision(store: GitStore) -> None:
    saved = [store.save(request_for(text)) for text in ("a\n", "b\n")]
    assert store.read(PATH) == "b\n"
    assert store.read(PATH, saved[0].commit) == "a\n"
    assert store.read(PATH, saved[0].commit[:12]) == "a\n"
    assert list(store.read_blobs([saved[1].blob, saved[0].blob])) == [
        (saved[1].blob, "b\n"),
        (saved[0].blob, "a\n"),
    ]


@pytest.mark.parametrize(
    "revision",
    ["main", "HEAD~1", "refs/heads/main", "--all", "", "abc", "HEAD\n", "HEAD:x", "A" * 40],
)
def test_a_revision_is_head_or_hex(store: GitStore, revision: str) -> None:
    store.save(request_for("a\n"))
    store.save(request_for("b\n"))
    with pytest.raises(RevisionNotFound, match="hex digits"):
        store.read(PATH, revision)


@pytest.mark.parametrize("revision", ["HEAD", "1" * 40, "1" * 12])
def test_an_unknown_revision(store: GitStore, revision: str) -> None:
    with pytest.raises(RevisionNotFound, match=f"no revision {revision}"):
        store.read(PATH, revision)


def test_a_blob_is_no_revision_and_a_commit_no_blob(store: GitStore) -> None:
    saved = store.save(request_for("a\n"))
    for revision in (saved.blob, saved.blob[:12]):
        with pytest.raises(RevisionNotFound):
            store.read(PATH, revision)
    for blob_id in (saved.commit, "1" * 40, "HEAD", saved.blob[:12]):
        with pytest.raises(RevisionNotFound):
            list(store.read_blobs([blob_id]))


def test_an_unknown_path(store: GitStore) -> None:
    saved = store.save(request_for("a\n"))
    with pytest.raises(RevisionNotFound, match="no configuration"):
        store.read(config_path("core-sw1", 43), saved.commit)


def test_everything_still_works_after_git_gc(store: GitStore, repository: Path) -> None:
    saved = [store.save(request_for(f"{number}\n", device_id=number)) for number in range(1, 151)]
    for _ in range(2):
        run_git(repository, "gc", "--quiet", "--prune=now")
        assert run_git(repository, "count-objects").startswith("0 objects")
        assert not (repository / "refs/heads/main").exists()
        assert store.read(saved[0].path) == "1\n"
        assert store.read(saved[9].path, saved[9].commit[:10]) == "10\n"
        blobs = list(store.read_blobs(revision.blob for revision in saved))
        assert [text for _, text in blobs] == [f"{number}\n" for number in range(1, 151)]
        assert not store.save(request_for("10\n", device_id=10)).changed
        assert store.save(request_for(f"new {time.monotonic()}\n", device_id=200)).changed
    assert len(history(repository)) == 152
    assert_sound(repository)


def test_trees_are_sorted_as_git_does(store: GitStore, repository: Path) -> None:
    store.save(request_for("a\n"))
    blob, tree = run_git(repository, "rev-parse", f"HEAD:{PATH}", "HEAD^{tree}").split()
    folders, files = ("a", "b", "a0"), ("a.b", "a-b", "b.", "B", "a00")
    listing = [f"040000 tree {tree}\t{name}" for name in folders]
    listing += [f"100644 blob {blob}\t{name}" for name in files]
    expected = run_git(repository, "mktree", stdin="\n".join(listing).encode()).strip()

    entries = {name.encode(): folder_entry(tree) for name in folders}
    entries |= {name.encode(): file_entry(blob) for name in files}
    assert object_id(encode_object("tree", format_tree(entries))) == expected


# --- the repository -------------------------------------------------------------------------


def test_a_new_repository(store: GitStore, repository: Path) -> None:
    assert stat.S_IMODE(repository.stat().st_mode) == 0o750
    assert run_git(repository, "symbolic-ref", "HEAD") == "refs/heads/main\n"
    assert run_git(repository, "config", "core.bare") == "true\n"
    assert run_git(repository, "config", "core.hooksPath") == "/dev/null\n"
    assert store.fsck() == []
    with pytest.raises(RevisionNotFound):
        store.read(PATH)


def test_opening_again_keeps_everything(store: GitStore, repository: Path) -> None:
    saved = store.save(request_for("a\n"))
    run_git(repository, "pack-refs", "--all")
    assert GitStore.open_or_create(repository).read(PATH) == "a\n"
    assert history(repository) == [saved.commit]


def test_an_empty_mounted_folder_becomes_the_store(repository: Path) -> None:
    (repository / "lost+found").mkdir(parents=True)
    assert GitStore.open_or_create(repository).save(request_for("a\n")).changed


def test_a_folder_with_other_things_is_refused(repository: Path) -> None:
    repository.mkdir()
    (repository / "photo.jpg").touch()
    with store_failure("choose an empty directory"):
        GitStore.open_or_create(repository)
    assert [entry.name for entry in repository.iterdir()] == ["photo.jpg"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--initial-branch=main"], "not a plain bare"),
        (["--bare", "--initial-branch=trunk"], "symbolic-ref HEAD refs/heads/main"),
        (["--bare", "--initial-branch=main", "--object-format=sha256"], "not a plain bare"),
    ],
)
def test_other_kinds_of_repository_are_refused(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    subprocess.run(["git", "init", "-q", *arguments, tmp_path / "x"], check=True)
    inner = tmp_path / "x" / ".git"
    with store_failure(words):
        GitStore.open_or_create(inner if inner.exists() else tmp_path / "x")


def test_a_repository_made_by_git_is_taken(repository: Path) -> None:
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", repository], check=True)
    assert GitStore.open_or_create(repository).save(request_for("a\n")).changed
    assert_sound(repository)


def test_history_cannot_be_rewritten_by_a_push(
    store: GitStore, repository: Path, tmp_path: Path
) -> None:
    saved = [store.save(request_for(text)) for text in ("a\n", "b\n")]
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", repository, clone], check=True)
    for refspec in (f"+{saved[0].commit}:refs/heads/main", ":refs/heads/main"):
        with pytest.raises(subprocess.CalledProcessError):
            run_git(clone / ".git", "push", "-q", "origin", refspec)
    assert history(repository) == [saved[1].commit, saved[0].commit]


def test_no_setting_from_outside_has_influence(
    store: GitStore, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {trap}\n")
    program.chmod(0o755)
    hooks = repository / "hooks"
    hooks.mkdir()
    for hook in ("post-commit", "post-update", "reference-transaction", "pre-commit"):
        (hooks / hook).symlink_to(program)
    (tmp_path / ".gitconfig").write_text(
        f"[core]\n\thooksPath = {hooks}\n\tfsmonitor = {program}\n\tpager = {program}\n"
        f"[diff]\n\texternal = {program}\n\tnoprefix = nonsense\n[core]\n\tbigFileThreshold = 1\n"
    )
    elsewhere = tmp_path / "elsewhere"
    subprocess.run(["git", "init", "-q", "--bare", elsewhere], check=True)
    outside = {
        "HOME": str(tmp_path),
        "GIT_DIR": str(elsewhere),
        "GIT_COMMON_DIR": str(elsewhere),
        "GIT_OBJECT_DIRECTORY": str(elsewhere / "objects"),
        "GIT_WORK_TREE": str(tmp_path),
        "GIT_NAMESPACE": "other",
        "GIT_EXTERNAL_DIFF": str(program),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "diff.external",
        "GIT_CONFIG_VALUE_0": str(program),
        "GIT_CONFIG_PARAMETERS": f"'diff.external'='{program}'",
        "GIT_AUTHOR_NAME": "Somebody Else",
        "GIT_COMMITTER_DATE": "1999-01-01T00:00:00Z",
    }
    for name, value in outside.items():
        monkeypatch.setenv(name, value)

    opened = GitStore.open_or_create(repository)
    opened.save(request_for("a\n"))
    saved = opened.save(request_for("b\nc\n"))
    assert (saved.lines_added, saved.lines_removed) == (2, 1)
    run_git(repository, "gc", "--quiet")
    assert opened.read(PATH) == "b\nc\n"
    assert opened.read(PATH, saved.commit[:9]) == "b\nc\n"
    assert opened.fsck() == []
    assert not trap.exists()
    assert not list((elsewhere / "objects").glob("??"))
    assert run_git(repository, "log", "-1", "--format=%an %cn") == "NetRaven NetRaven\n"


def test_a_replaced_object_is_not_believed(store: GitStore, repository: Path) -> None:
    saved = [store.save(request_for(text)) for text in ("a\n", "b\n")]
    run_git(repository, "replace", saved[0].blob, saved[1].blob)
    run_git(repository, "gc", "--quiet")
    assert store.read(PATH, saved[0].commit) == "a\n"


def test_everything_is_on_disk_before_the_branch_moves(
    store: GitStore, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the order of the calls can be seen here; a power cut would be the real test."""
    fsync, rename = os.fsync, os.replace
    synced: set[int] = set()
    steps: list[str] = []

    def noted_fsync(descriptor: int) -> None:
        fsync(descriptor)
        synced.add(os.fstat(descriptor).st_ino)
        steps.append("sync")

    def noted_rename(source: Path, target: Path) -> None:
        assert Path(source).stat().st_ino in synced, f"{target} got its name before its content"
        rename(source, target)
        steps.append(Path(target).name)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_rename)
    saved = store.save(request_for("a\n"))

    assert steps[-2:] == ["main", "sync"]
    assert steps.index(saved.commit[2:]) < steps.index("main")
    assert len([step for step in steps if len(step) == 38]) == 4
    assert (repository / "refs/heads").stat().st_ino in synced


# --- when disk or repository fail -----------------------------------------------------------


def save_with_file_limit(repository: Path, limit: int, answers: Connection) -> None:
    """Save while no file may grow beyond ``limit`` bytes, then without the limit."""
    store = GitStore(repository)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        answers.send(store.save(request_for("tiny\n", device_id=300)).commit)
    except DeviceError as error:
        answers.send(error.message)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    answers.send(store.save(request_for("tiny\n", device_id=300)).commit)


@pytest.mark.parametrize("limit", [0, 10, 30, 50, 100])
def test_a_full_disk_changes_nothing(store: GitStore, repository: Path, limit: int) -> None:
    before = [store.save(request_for(f"{number}\n")).commit for number in range(2)]
    receiver, sender = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=save_with_file_limit, args=(repository, limit, sender))
    process.start()
    sender.close()
    first, second = receiver.recv(), receiver.recv()
    process.join(30)

    assert first.startswith("No space for the Git store"), first
    assert "free or add disk space" in first
    assert history(repository) == [second, *before[::-1]]
    assert_sound(repository)


def save_without_right(repository: Path, answers: Connection) -> None:
    store = GitStore(repository)  # loads modules that "nobody" may not read
    if os.getuid() == 0:
        os.setuid(pwd.getpwnam("nobody").pw_uid)
    for action in (
        lambda: store.save(request_for("b\n")),
        lambda: GitStore.open_or_create(repository),
    ):
        try:
            action()
            answers.send("no error")
        except DeviceError as error:
            answers.send(error.message)


def test_a_folder_without_the_right_to_write() -> None:
    with tempfile.TemporaryDirectory(prefix="netraven-") as folder:
        Path(folder).chmod(0o755)
        repository = Path(folder) / "store.git"
        before = GitStore.open_or_create(repository).save(request_for("a\n")).commit
        for path in (repository, *repository.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        receiver, sender = SPAWN.Pipe(duplex=False)
        process = SPAWN.Process(target=save_without_right, args=(repository, sender))
        process.start()
        sender.close()
        answers = [receiver.recv(), receiver.recv()]
        process.join(30)
        for path in (repository, *repository.rglob("*")):
            path.chmod(0o755)

        assert all("give its owner and mode back" in answer for answer in answers), answers
        assert history(repository) == [before]


def test_a_store_that_is_not_there(repository: Path) -> None:
    with store_failure("no complete Git store"):
        GitStore(repository).save(request_for("a\n"))
    assert not repository.exists()


def test_a_file_where_the_store_should_be(repository: Path) -> None:
    repository.touch()
    with store_failure("check the configured path"):
        GitStore.open_or_create(repository)


def loose(repository: Path, sha: str) -> Path:
    file = repository / "objects" / sha[:2] / sha[2:]
    file.chmod(0o644)
    return file


@pytest.mark.parametrize("revision", ["HEAD", "HEAD^{tree}", f"HEAD:{PATH.partition('/')[0]}"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut off", "an older one"])
def test_a_damaged_object_stops_the_save(
    store: GitStore, repository: Path, revision: str, damage: str
) -> None:
    store.save(request_for("a\n"))
    before = store.save(request_for("b\n")).commit
    file = loose(repository, run_git(repository, "rev-parse", revision).strip())
    older = revision.replace("HEAD", "HEAD~1")
    other = loose(repository, run_git(repository, "rev-parse", older).strip())
    whole = file.read_bytes()
    match damage:
        case "missing":
            file.unlink()
        case "empty":
            file.write_bytes(b"")
        case "cut off":
            file.write_bytes(whole[: len(whole) * 2 // 3])
        case "an older one":
            file.write_bytes(other.read_bytes())

    with store_failure("The Git store is damaged"):
        store.save(request_for("c\n"))
    assert (repository / "refs/heads/main").read_text() == f"{before}\n"
    assert store.fsck() != []
    file.write_bytes(whole)
    assert store.save(request_for("c\n")).changed
    assert_sound(repository)


def test_a_damaged_pack_stops_the_save(store: GitStore, repository: Path) -> None:
    store.save(request_for("a\n"))
    run_git(repository, "gc", "--quiet", "--prune=now")
    pack = next((repository / "objects/pack").glob("*.pack"))
    pack.chmod(0o644)
    pack.write_bytes(pack.read_bytes()[:12] + bytes(50))
    with store_failure("The Git store is damaged"):
        store.save(request_for("b\n"))
    with store_failure("The Git store is damaged"):
        store.read(PATH)


@pytest.mark.parametrize("content", ["", "\n", "nonsense\n", "0" * 39 + "\n"])
def test_a_damaged_branch_never_falls_back_to_an_older_one(
    store: GitStore, repository: Path, content: str
) -> None:
    store.save(request_for("a\n"))
    run_git(repository, "pack-refs", "--all")
    commit = store.save(request_for("b\n")).commit
    branch = repository / "refs/heads/main"
    branch.write_text(content)

    with store_failure("branch main holds no commit id"):
        store.save(request_for("c\n"))
    with store_failure("branch main holds no commit id"):
        store.read(PATH)
    assert branch.read_text() == content
    branch.write_text(f"{commit}\n")
    assert store.save(request_for("c\n")).changed


def test_a_damaged_blob_is_reported_and_mended_by_the_next_save(
    store: GitStore, repository: Path
) -> None:
    saved = store.save(request_for("a\n"))
    loose(repository, saved.blob).write_bytes(b"")
    with store_failure("The Git store is damaged"):
        store.read(PATH)
    assert any(saved.blob in line for line in store.fsck())
    store.save(request_for("a\n", device_id=43))
    assert store.read(PATH) == "a\n"
    assert_sound(repository)
