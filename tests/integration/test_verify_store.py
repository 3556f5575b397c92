"""``verify_store``: names what is wrong with what is stored, and nothing else."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from backups.models import Archive, CurrentText, Snapshot, SnapshotState
from backups.selectors.git import git_store
from backups.services.store_checks import store_check_last
from backups.services.verify import store_verify
from backups.services.verify_report import ADVICE, Problem, Report
from inventory.models import Device
from tests.factories import DeviceFactory, backup_outcome
from tests.support.git_repository import request_for, run_git
from tests.support.stored import DAMAGES, store, store_some

pytestmark = [pytest.mark.django_db]


def verify(progress: Callable[[int], None] = lambda _: None) -> Report:
    return store_verify(progress=progress)


def found(report: Report) -> set[Problem]:
    return set(report.counts)


def run(*arguments: str) -> tuple[int, str]:
    """Exit status and output of the command."""
    out = io.StringIO()
    try:
        call_command("verify_store", *arguments, stdout=out, stderr=io.StringIO())
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code, out.getvalue()
    return 0, out.getvalue()


def only(report: Report) -> Any:
    """The one finding there is."""
    [[finding]] = report.findings.values()
    return finding


# --- what is right ------------------------------------------------------------------------------


def test_nothing_stored_is_nothing_wrong(git_directory: Path) -> None:
    assert run() == (0, "checked: nothing is stored yet\nnothing is wrong\n")
    assert not git_directory.exists()


def test_a_sound_store_is_clean(git_directory: Path) -> None:
    store_some()
    status, output = run("--json")
    answer = json.loads(output)
    assert (status, answer["ok"], answer["problems"]) == (0, True, [])
    assert answer["checked"] == {"snapshots": 9, "files": 3, "archives": 9}


def test_a_packed_store_is_clean(git_directory: Path) -> None:
    store_some()
    run_git(git_directory, "gc", "--quiet", "--prune=now")
    assert verify().is_clean


def test_a_renamed_and_an_inactive_device_are_clean(git_directory: Path) -> None:
    store_some(devices=2)
    first, second = Device.objects.order_by("pk")
    Device.objects.filter(pk=first.pk).update(hostname="renamed")
    Device.objects.filter(pk=second.pk).update(is_active=False)
    store(first, "hostname renamed\nend\n")
    assert verify().is_clean


def test_a_commit_that_no_row_knows_is_a_note(git_directory: Path) -> None:
    """What a process leaves that dies between the commit and the row."""
    snapshot = store(DeviceFactory.create(), "one\n")
    waiting = store(snapshot.device, "two\n", commit=False)
    request = request_for("two\n", snapshot.device_id, path=snapshot.path)
    git_store().save(request)
    report = verify()
    assert report.is_clean
    assert any(note.startswith("1 commits are named by no snapshot") for note in report.notes)
    assert waiting.state == SnapshotState.PENDING


def test_a_first_commit_without_its_row_is_no_unknown_file(git_directory: Path) -> None:
    store_some(devices=1)
    waiting = store(DeviceFactory.create(), "two\n", commit=False)
    git_store().save(request_for("two\n", waiting.device_id, path=waiting.path))
    assert verify().is_clean


def test_what_jobs_store_meanwhile_is_no_false_alarm(git_directory: Path) -> None:
    store_some()
    devices = list(Device.objects.all())

    def store_more(_: int) -> None:
        if devices:
            store(devices.pop(), "hostname other\nend\n")

    assert verify(store_more).is_clean
    assert not devices


# --- what is wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_repository_is_named(git_directory: Path, damage: Callable[[Path], None]) -> None:
    store_some()
    damage(git_directory)
    status, output = run()
    assert status == 1
    assert "verify_store --repair" in output
    assert Snapshot.objects.filter(state=SnapshotState.COMMITTED).count() == 9


def test_a_missing_text_is_named_with_its_device(git_directory: Path) -> None:
    store_some()
    snapshot = Snapshot.objects.order_by("pk")[4]
    (git_directory / "objects" / snapshot.blob[:2] / snapshot.blob[2:]).unlink()
    report = verify()
    assert found(report) == {Problem.REPOSITORY_DAMAGED, Problem.TEXT_MISSING}
    [finding] = report.findings[Problem.TEXT_MISSING]
    assert (finding.snapshot_id, finding.hostname) == (snapshot.pk, snapshot.device.hostname)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"content_sha256": "0" * 64}, Problem.ROW_WRONG),
        ({"size_bytes": 1}, Problem.ROW_WRONG),
        ({"line_count": 99}, Problem.ROW_WRONG),
        ({"commit": "0" * 40}, Problem.COMMIT_WRONG),
        ({"commit": "no commit"}, Problem.COMMIT_WRONG),
        ({"blob": "no blob"}, Problem.TEXT_MISSING),
        ({"path": "00/other~1.cfg"}, Problem.COMMIT_WRONG),
    ],
)
def test_a_wrong_row_is_named(
    git_directory: Path, changed: dict[str, Any], problem: Problem
) -> None:
    store_some()
    first = Snapshot.objects.order_by("pk")[0]
    Snapshot.objects.filter(pk=first.pk).update(**changed)
    finding = only(verify())
    assert (finding.problem, finding.snapshot_id) == (problem, first.pk)


def test_a_commit_of_another_time_is_named(git_directory: Path) -> None:
    store_some(devices=1)
    first, second, _ = Snapshot.objects.order_by("pk")
    Snapshot.objects.filter(pk=second.pk).update(commit=first.commit)
    assert only(verify()).problem == Problem.COMMIT_WRONG


def test_a_newest_commit_with_another_text_is_named(git_directory: Path) -> None:
    snapshot = store(DeviceFactory.create(), "one\n")
    git_store().save(request_for("foreign\n", snapshot.device_id, path=snapshot.path))
    assert only(verify()).problem == Problem.NEWEST_DIFFERS


def test_a_file_that_no_snapshot_knows_is_named(git_directory: Path) -> None:
    store_some(devices=1)
    git_store().save(request_for("foreign\n", device_id=4711))
    finding = only(verify())
    assert finding.problem == Problem.FILE_UNKNOWN
    assert "core-sw1~4711.cfg" in finding.detail


def test_snapshots_that_wait_for_long_are_named(git_directory: Path) -> None:
    snapshot = store(DeviceFactory.create(), "one\n", commit=False)
    assert verify().is_clean
    Snapshot.objects.update(collected_at=timezone.now() - timedelta(minutes=61))
    assert only(verify()).snapshot_id == snapshot.pk


def test_an_old_text_in_searches_is_named(git_directory: Path) -> None:
    store_some(devices=1)
    oldest = Snapshot.objects.order_by("pk")[0]
    CurrentText.objects.update_or_create(defaults={"snapshot": oldest}, device=oldest.device)
    assert only(verify()).problem == Problem.SEARCH_STALE


# --- archives -----------------------------------------------------------------------------------


def test_a_damaged_archive_is_named(git_directory: Path) -> None:
    store_some(devices=1)
    archive = Archive.objects.order_by("pk")[1]
    Archive.objects.filter(pk=archive.pk).update(sealed=bytes(archive.sealed)[:-1] + b"!")
    finding = only(verify())
    assert (finding.problem, finding.archive_id) == (Problem.ARCHIVE_DAMAGED, archive.pk)


def test_an_archive_in_another_row_is_named(git_directory: Path) -> None:
    store_some(devices=1)
    first, second, _ = Archive.objects.order_by("pk")
    Archive.objects.filter(pk=first.pk).update(sealed=bytes(second.sealed))
    assert only(verify()).archive_id == first.pk


def test_an_archive_of_another_size_is_named(git_directory: Path) -> None:
    store_some(devices=1)
    first = Archive.objects.order_by("pk")[0]
    Archive.objects.filter(pk=first.pk).update(size_bytes=1)
    assert only(verify()).problem == Problem.ARCHIVE_SIZE


def test_other_rules_and_missing_platforms_are_notes(git_directory: Path) -> None:
    store_some(devices=2, revisions=1)
    Device.objects.filter(pk=Device.objects.order_by("pk")[0].pk).update(platform="gone")
    report = verify()
    assert report.is_clean
    assert "1 archives have another digest under the rules of today" in " ".join(report.notes)
    assert "the digests of 1 archives were not compared" in " ".join(report.notes)


# --- the command --------------------------------------------------------------------------------


def test_only_one_device(git_directory: Path) -> None:
    store_some(devices=2)
    good, bad = Device.objects.order_by("pk")
    Snapshot.objects.filter(device=bad).update(size_bytes=1)
    assert run("--device", good.hostname)[0] == 0
    status, output = run("--device", bad.hostname, "--json")
    [problem] = json.loads(output)["problems"]
    assert (status, problem["problem"], problem["count"]) == (1, "row_wrong", 3)
    assert {row["hostname"] for row in problem["findings"]} == {bad.hostname}


def test_a_device_that_there_is_not(git_directory: Path) -> None:
    with pytest.raises(CommandError, match="there is no device 'nowhere'"):
        run("--device", "nowhere")


def test_long_lists_are_cut_on_a_terminal_and_not_in_json(git_directory: Path) -> None:
    device = DeviceFactory.create()
    for number in range(25):
        store(device, f"{number}\n")
    Snapshot.objects.update(size_bytes=99)
    _, output = run()
    assert output.count("its size is not that") == 20
    assert "row_wrong: 25" in output
    assert "and more" in output
    _, output = run("--json")
    assert len(json.loads(output)["problems"][0]["findings"]) == 25


def test_each_problem_has_an_advice() -> None:
    assert set(ADVICE) == set(Problem)


def test_no_secret_is_printed(git_directory: Path) -> None:
    secret = "Zq9-CANARY-community"
    device = DeviceFactory.create()
    raw = f"snmp-server community {secret} RO\nend\n".encode()
    from backups.services.store import RunLabel, backup_store

    backup_store(
        device=device,
        outcome=backup_outcome("snmp-server community <redacted:12345678> RO\nend\n", raw=raw),
        label=RunLabel(run_id=1, job_name=""),
    )
    Snapshot.objects.update(collected_at=timezone.now() - timedelta(days=1))
    Archive.objects.update(size_bytes=1)
    status, output = run()
    assert status == 1
    assert secret not in output


def test_a_file_of_somebody_else_whose_name_is_no_utf8_is_named(git_directory: Path) -> None:
    store_some(devices=1, revisions=1)
    blob = run_git(git_directory, "hash-object", "-w", "--stdin", stdin=b"x").strip()
    listing = run_git(git_directory, "ls-tree", "-z", "main").encode()
    listing += b"100644 blob " + blob.encode() + b"\tb\xe4.txt\0"
    tree = run_git(git_directory, "mktree", "-z", stdin=listing).strip()
    commit = run_git(git_directory, "commit-tree", "-p", "main", "-m", "x", tree).strip()
    run_git(git_directory, "update-ref", "refs/heads/main", commit)
    assert r"b\xe4.txt" in only(verify()).detail


# --- by itself ----------------------------------------------------------------------------------


def test_the_scheduler_asks_for_it_where_the_store_is() -> None:
    from django.conf import settings

    from netraven_site.celery import app

    app.loader.import_default_modules()
    entry = settings.CELERY_BEAT_SCHEDULE["netraven-verify-store"]
    assert entry["task"] in app.tasks
    assert entry["options"] == {"queue": "git"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("git_directory")
def test_the_task_keeps_what_it_found_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    from jobs.git_tasks import verify_store

    caplog.set_level("INFO")
    store_some()
    verify_store()
    assert "git_store.verified" in caplog.text
    last = store_check_last()
    assert last is not None and not last.problems and last.checked["snapshots"] > 0
    Archive.objects.update(sealed=b"spoiled")
    verify_store()
    assert "git_store.problems_found" in caplog.text
    last = store_check_last()
    assert last is not None
    assert [found.problem for found in last.problems] == [Problem.ARCHIVE_DAMAGED]
