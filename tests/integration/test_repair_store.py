"""``verify_store --repair``: every text comes back, in its order, or is named as lost."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
from django.db import connection, transaction

from backups.engine.errors import DeviceError
from backups.engine.git.inspection import Inspection
from backups.engine.git.maintenance import MAINTENANCE
from backups.engine.git.rebuild import JOURNAL, Rebuild
from backups.engine.git.turn import alone
from backups.models import Archive, CurrentText, Snapshot, SnapshotState
from backups.selectors.git import git_store
from backups.selectors.snapshots import SnapshotNotFound, snapshot_text
from backups.services.commits import snapshots_commit
from backups.services.history_deletion import history_delete
from backups.services.rebuild import store_rebuild
from backups.services.repair import Repaired, store_repair
from backups.services.store import RunLabel, backup_store, locked_device
from backups.services.verify import store_verify
from backups.services.verify_report import Problem
from inventory.models import Device
from tests.factories import DeviceFactory, backup_outcome
from tests.support.git_repository import assert_sound, request_for, run_git
from tests.support.stored import (
    DAMAGES,
    empty_folder,
    garble_branch,
    garble_head,
    garble_settings,
    history_of,
    in_process,
    remove_folder,
    store,
    store_some,
    texts,
)
from tests.support.threads import in_thread, waits_for_lock
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.django_db]


def nothing(_: int) -> None:
    return


def repair() -> Repaired:
    return store_repair(progress=nothing)


def asides(repository: Path) -> list[Path]:
    return Rebuild(repository).asides()


# --- a damaged repository -----------------------------------------------------------------------


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_text_is_what_it_was(git_directory: Path, damage: Callable[[Path], None]) -> None:
    before = store_some()
    paths = list(Snapshot.objects.values_list("path", flat=True).distinct())
    histories = {path: history_of(git_directory, path) for path in paths}
    rows = list(Snapshot.objects.order_by("pk").values_list("pk", "content_sha256", "lines_added"))
    damage(git_directory)

    repaired = repair()

    assert repaired.after.is_clean, repaired.after
    assert repaired.named == []
    assert texts() == before
    assert {path: history_of(git_directory, path) for path in paths} == histories
    assert rows == list(
        Snapshot.objects.order_by("pk").values_list("pk", "content_sha256", "lines_added")
    )
    assert_sound(git_directory)
    assert repaired.replaced in asides(git_directory)


def test_a_damaged_repository_is_moved_aside_whole(git_directory: Path) -> None:
    store_some()
    (git_directory / "refs/heads/main").write_text("nonsense\n")
    files = {
        str(path.relative_to(git_directory)): path.read_bytes()
        for path in git_directory.rglob("*")
        if path.is_file() and path.name != "netraven.lock"
    }
    aside = repair().replaced
    assert aside is not None
    assert aside.parent == git_directory
    left = {
        str(path.relative_to(aside)): path.read_bytes()
        for path in aside.rglob("*")
        if path.is_file()
    }
    assert left == files


def test_commits_keep_author_time_and_order(git_directory: Path) -> None:
    store_some()
    Snapshot.objects.filter(pk=Snapshot.objects.order_by("pk")[0].pk).update(changed_by="jane")
    form = "--format=%at|%s|%b"
    before = run_git(git_directory, "log", form, "main")
    empty_folder(git_directory)
    repair()
    assert run_git(git_directory, "log", form, "main") == before
    assert run_git(git_directory, "log", "--format=%an", "main").splitlines()[-1] == "jane"


def test_commits_that_can_be_read_keep_their_ids(
    git_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dates of commits are in no row, and a commit with another date has another id."""
    with monkeypatch.context() as past:
        past.setattr("backups.engine.git.store.time", SimpleNamespace(time=lambda: 1_500_000_000))
        store_some(devices=1)
    before = list(Snapshot.objects.order_by("pk").values_list("commit", flat=True))
    store_rebuild(progress=nothing)
    assert list(Snapshot.objects.order_by("pk").values_list("commit", flat=True)) == before


def test_a_sound_store_is_left_alone(git_directory: Path) -> None:
    store_some()
    tip = run_git(git_directory, "rev-parse", "main")
    repaired = repair()
    assert (repaired.done, repaired.replaced) == ([], None)
    assert run_git(git_directory, "rev-parse", "main") == tip
    assert asides(git_directory) == []


def test_a_foreign_file_is_in_the_replaced_repository_only(git_directory: Path) -> None:
    store_some(devices=1)
    foreign = git_store().save(request_for("foreign\n", device_id=4711))
    aside = repair().replaced
    assert aside is not None
    assert len(Inspection(git_directory).files()) == 1
    assert run_git(aside, "cat-file", "blob", foreign.blob) == "foreign\n"


@pytest.mark.django_db(transaction=True)
def test_backups_go_on_afterwards(git_directory: Path) -> None:
    store_some(devices=1)
    device = Device.objects.get()
    empty_folder(git_directory)
    waiting = store(device, "hostname new\nend\n", commit=False)
    with pytest.raises(DeviceError):
        snapshots_commit(device_id=device.pk)
    repair()
    snapshots_commit(device_id=device.pk)
    waiting.refresh_from_db()
    assert waiting.state == SnapshotState.COMMITTED
    assert history_of(git_directory, waiting.path)[-1] == "hostname new\nend\n"
    assert store_verify(progress=nothing).is_clean


def test_a_row_that_is_wrong_costs_no_rebuild(git_directory: Path) -> None:
    before = store_some()
    Snapshot.objects.update(size_bytes=1, content_sha256="0" * 64)
    repaired = repair()
    assert repaired.after.is_clean
    assert repaired.replaced is None
    assert repaired.done == ["digest or size of 9 snapshots were corrected"]
    assert texts() == before


def test_what_is_committed_while_the_new_store_is_built_is_in_it(git_directory: Path) -> None:
    """Also what was collected before the last one that is in the new store already."""
    store_some()
    late = store(Device.objects.all()[0], "hostname late\nend\n", commit=False)
    store(Device.objects.all()[1], "hostname other\nend\n")

    def commit_late(_: int) -> None:
        snapshots_commit(device_id=late.device_id)

    store_rebuild(progress=commit_late)
    assert texts()[late.pk] == "hostname late\nend\n"
    assert history_of(git_directory, late.path)[-1] == "hostname late\nend\n"
    assert store_verify(progress=nothing).is_clean


@pytest.mark.django_db(transaction=True)
def test_the_exchange_waits_for_whoever_writes(git_directory: Path) -> None:
    """The writer has put its text into the old repository and commits when it gets its turn."""
    store_some(devices=1)
    device = Device.objects.get()
    waiting = store(device, "hostname later\nend\n", commit=False)

    def write(is_writing: Event, may_go_on: Event) -> None:
        with transaction.atomic():
            locked_device(device.pk)
            is_writing.set()
            assert may_go_on.wait(30)
            snapshots_commit(device_id=device.pk)

    is_writing, may_go_on = Event(), Event()
    with ThreadPoolExecutor(2) as pool:
        writer = in_thread(pool, lambda: write(is_writing, may_go_on))
        assert is_writing.wait(30)
        rebuilt = in_thread(pool, lambda: store_rebuild(progress=nothing))
        wait_for(waits_for_lock, "the repair that waits for the writer")
        assert asides(git_directory) == []
        may_go_on.set()
        writer.result(30)
        rebuilt.result(30)
    assert len(asides(git_directory)) == 1
    waiting.refresh_from_db()
    assert waiting.state == SnapshotState.COMMITTED
    assert store_verify(progress=nothing).is_clean
    assert_sound(git_directory)


@pytest.mark.django_db(transaction=True)
def test_a_writer_that_is_slow_does_not_end_the_repair(git_directory: Path) -> None:
    """New writers wait for a repair that waits: it steps back from time to time."""
    store_some(devices=1)

    def impatient() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '300ms'")
        store_rebuild(progress=nothing)

    def write() -> None:
        with transaction.atomic():
            locked_device(Device.objects.get().pk)
            is_writing.set()
            assert may_end.wait(30)

    is_writing, may_end = Event(), Event()
    begun: set[object] = set()

    def is_second_attempt() -> bool:
        begun.update(waits_since())
        return len(begun) > 1

    with ThreadPoolExecutor(2) as pool:
        writer = in_thread(pool, write)
        assert is_writing.wait(30)
        rebuilt = in_thread(pool, impatient)
        wait_for(is_second_attempt, "a second attempt")
        may_end.set()
        writer.result(30)
        rebuilt.result(30)
    assert len(asides(git_directory)) == 1


def waits_since() -> list[object]:
    """When the statements began that wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT query_start FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return [began for (began,) in cursor.fetchall()]


def test_only_one_repair_at_a_time(git_directory: Path) -> None:
    store_some(devices=1)
    with (
        Rebuild(git_directory).alone(),
        pytest.raises(DeviceError, match="Another repair of the Git store is under way"),
    ):
        repair()


def test_a_repair_of_nothing_does_no_harm(git_directory: Path) -> None:
    assert repair().done == []
    store_some(devices=1)
    assert store_verify(progress=nothing).is_clean


_REPAIR_WITHOUT_SPACE = """
import resource, sys
from backups.engine.errors import DeviceError
from backups.services.repair import store_repair
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
try:
    store_repair(progress=lambda _: None)
except DeviceError as error:
    sys.exit(7 if error.message.startswith("No space for the Git store") else 8)
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limit", ["0", "70", "2000"])
def test_a_repair_without_space_changes_nothing(git_directory: Path, limit: str) -> None:
    before = store_some()
    (git_directory / "refs/heads/main").write_text("nonsense\n")
    rows = list(Snapshot.objects.order_by("pk").values())
    assert in_process(_REPAIR_WITHOUT_SPACE, limit, git_directory=git_directory) == 7
    assert not (git_directory / "rebuild").exists()
    assert asides(git_directory) == []
    assert list(Snapshot.objects.order_by("pk").values()) == rows
    assert repair().after.is_clean
    assert texts() == before


# --- where texts come from ----------------------------------------------------------------------


def test_without_any_repository_the_archives_are_redacted_again(git_directory: Path) -> None:
    before = store_some()
    CurrentText.objects.all().delete()
    remove_folder(git_directory)
    repaired = repair()
    assert repaired.after.is_clean
    assert texts() == before


@pytest.mark.parametrize("damage", [garble_head, garble_branch, garble_settings])
def test_packs_are_read_whatever_is_damaged_beside_them(
    git_directory: Path, damage: Callable[[Path], None]
) -> None:
    before = store_some(devices=1)
    run_git(git_directory, "gc", "--quiet", "--prune=now")
    Archive.objects.all().delete()
    CurrentText.objects.all().delete()
    damage(git_directory)
    repaired = repair()
    assert (repaired.named, repaired.after.is_clean) == ([], True)
    assert texts() == before


def test_the_searched_text_counts_before_the_archive(git_directory: Path) -> None:
    before = store_some(devices=1, revisions=1)
    Archive.objects.all().delete()
    remove_folder(git_directory)
    assert repair().after.is_clean
    assert texts() == before


def test_other_rules_give_another_text_and_that_is_said(git_directory: Path) -> None:
    """The row follows the new text; the report names it."""
    raw = b"snmp-server community Zq9-CANARY-x RO\nend\n"
    device = DeviceFactory.create()
    old = backup_outcome("snmp-server community <redacted:00000000> RO\nend\n", raw=raw)
    label = RunLabel(run_id=1, job_name="")
    backup_store(device=device, outcome=old, label=label)
    snapshots_commit(device_id=device.pk)
    CurrentText.objects.all().delete()
    empty_folder(git_directory)
    repaired = repair()
    [line] = repaired.named
    assert "redacted anew under the rules of today" in line
    assert device.hostname in line
    assert repaired.after.is_clean
    snapshot = Snapshot.objects.get()
    text = snapshot_text(snapshot=snapshot)
    assert "CANARY" not in text
    assert "<redacted:" in text
    assert "<redacted:00000000>" not in text
    assert snapshot.size_bytes == len(text.encode())


def lose_first(git_directory: Path) -> Snapshot:
    """Repair a store in which one text is nowhere any more."""
    store_some(devices=1)
    first = Snapshot.objects.order_by("pk")[0]
    first.archives.all().delete()
    empty_folder(git_directory)
    repaired = repair()
    assert repaired.after.is_clean
    [line] = repaired.named
    assert f"snapshot {first.pk}" in line
    assert "there is no raw copy of it" in line
    first.refresh_from_db()
    return first


def test_what_is_lost_is_named_and_stays_listed(git_directory: Path) -> None:
    commit = "0" * 40
    first = lose_first(git_directory)
    assert first.state == SnapshotState.LOST
    assert first.commit not in {"", commit}
    assert Snapshot.objects.count() == 3
    assert len(history_of(git_directory, first.path)) == 2
    with pytest.raises(SnapshotNotFound, match="is not in the Git store"):
        snapshot_text(snapshot=first)


def test_a_lost_text_comes_back_from_a_repository_that_turns_up(git_directory: Path) -> None:
    texts_before = store_some(devices=1)
    copy = git_directory.with_name("copy.git")
    run_git(git_directory, "clone", "--quiet", "--bare", str(git_directory), str(copy))
    first = Snapshot.objects.order_by("pk")[0]
    first.archives.all().delete()
    empty_folder(git_directory)
    repair()
    copy.rename(git_directory / "replaced-from-a-copy")
    Snapshot.objects.filter(pk=first.pk).update(state=SnapshotState.LOST)
    store_rebuild(progress=nothing)
    assert texts() == texts_before
    assert store_verify(progress=nothing).is_clean


def test_a_lost_newest_text_comes_back_with_the_next_backup(git_directory: Path) -> None:
    store_some(devices=1, revisions=1)
    snapshot = Snapshot.objects.get()
    text = snapshot_text(snapshot=snapshot)
    Archive.objects.all().delete()
    CurrentText.objects.all().delete()
    empty_folder(git_directory)
    repair()
    snapshot.refresh_from_db()
    assert snapshot.state == SnapshotState.LOST
    again = store(snapshot.device, text)
    assert (again.pk, again.state) == (snapshot.pk, SnapshotState.COMMITTED)
    assert snapshot_text(snapshot=again) == text
    assert store_verify(progress=nothing).is_clean


@pytest.mark.parametrize("is_committed", [False, True])
def test_a_lost_text_that_a_backup_finds_during_a_repair(
    git_directory: Path, is_committed: bool
) -> None:
    """Its row must not become lost again, and what waits for Git must not be in its way."""
    store_some(devices=1, revisions=1)
    snapshot = Snapshot.objects.get()
    text = snapshot_text(snapshot=snapshot)
    Archive.objects.all().delete()
    CurrentText.objects.all().delete()
    empty_folder(git_directory)
    repair()

    def back_up(_: int) -> None:
        store(snapshot.device, text, commit=is_committed)

    rebuilt = store_rebuild(progress=back_up)
    assert (rebuilt.lost, rebuilt.named) == ((0, []) if is_committed else (1, rebuilt.named))
    snapshots_commit(device_id=snapshot.device_id)
    assert texts() == {snapshot.pk: text}
    assert store_verify(progress=nothing).is_clean


def test_a_history_that_is_deleted_during_a_repair_does_not_come_back(git_directory: Path) -> None:
    store_some()
    device = Device.objects.all()[0]
    path = Snapshot.objects.filter(device=device)[0].path

    def delete(_: int) -> None:
        if Snapshot.objects.filter(device=device).exists():
            history_delete(device=device, deleted_by="jane")

    store_rebuild(progress=delete)
    assert path not in Inspection(git_directory).files()
    assert store_verify(progress=nothing).is_clean


def test_a_repair_and_a_maintenance_keep_out_of_each_others_way(git_directory: Path) -> None:
    store_some(devices=1)
    with Rebuild(git_directory).alone(), pytest.raises(DeviceError, match="or a repair"):
        git_store().maintain()
    with (
        alone(git_directory, MAINTENANCE),
        pytest.raises(DeviceError, match="A maintenance of the Git store is under way"),
    ):
        repair()


# --- killed in the middle -----------------------------------------------------------------------

_REPAIR_UNTIL_KILLED = """
import os, signal, sys
from django.core.management import call_command
words, number = sys.argv[1], int(sys.argv[2])
seen = 0
def count(event, arguments):
    global seen
    if event not in {"open", "os.rename", "os.remove"}:
        return
    line = " ".join([event, *map(str, arguments[:2])])
    seen += all(word in line for word in words.split("+"))
    if seen == number:
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
call_command("verify_store", "--repair")
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("os.rename+objects/", 5),
        ("os.rename+objects/", 30),
        ("os.rename+replaced-", 1),
        ("os.rename+replaced-", 3),
        ("os.rename+rebuild/config", 1),
        ("os.rename+rebuild/HEAD", 2),
        (f"open+{JOURNAL}", 2),
        (f"os.remove+{JOURNAL}", 1),
    ],
)
def test_a_repair_that_is_killed_can_be_run_again(
    git_directory: Path, words: str, number: int
) -> None:
    before = store_some()
    run_git(git_directory, "gc", "--quiet")
    (git_directory / "refs/heads/main").write_text("nonsense\n")
    (git_directory / "packed-refs").unlink(missing_ok=True)

    arguments = (_REPAIR_UNTIL_KILLED, words, str(number))
    assert in_process(*arguments, git_directory=git_directory) == -signal.SIGKILL
    with_writer = DeviceFactory.create()
    store(with_writer, "while it was down\n", commit=False)
    repaired = repair()

    assert repaired.after.is_clean, repaired.after
    assert repaired.named == []
    snapshots_commit(device_id=with_writer.pk)
    assert {pk: text for pk, text in texts().items() if pk in before} == before
    assert store_verify(progress=nothing).is_clean
    assert not (git_directory / "rebuild").exists()
    assert not (git_directory / JOURNAL).exists()


def test_problems_that_a_rebuild_cannot_mend_cause_none(git_directory: Path) -> None:
    store_some(devices=1)
    Archive.objects.update(size_bytes=1)
    repaired = repair()
    assert repaired.replaced is None
    assert set(repaired.after.counts) == {Problem.ARCHIVE_SIZE}
