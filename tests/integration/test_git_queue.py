"""Commits left to the ``git`` queue: never a success without a commit, whatever is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import transaction
from django.utils import timezone

from backups.engine.errors import DeviceError
from backups.engine.git.turn import writing_turn
from backups.models import Snapshot, SnapshotState
from backups.selectors.git import git_store, git_store_prepare
from backups.selectors.snapshots import snapshot_text
from backups.services.commits import snapshots_commit_together
from backups.services.repair import store_repair
from backups.services.store import RunLabel, backup_store
from backups.services.verify import store_verify
from backups.services.verify_report import Problem
from jobs.choices import ResultStatus, RunStatus, Trigger
from jobs.git_tasks import verify_store
from jobs.launch import request_run
from jobs.models import DeviceResult, JobLog
from jobs.queues import GIT_QUEUE
from jobs.reconcile import reconcile
from jobs.services.claims import Claim
from jobs.services.commits import commit_is_asked_by_nobody_else, handed_over_commit
from jobs.services.results import claim_holds, result_claim, result_hand_over
from jobs.tasks import commit_snapshots
from netraven_site.git_check import check_git_place
from tests.factories import DeviceFactory, DeviceResultFactory, JobRunFactory, backup_outcome
from tests.support.devices import device_spec, fleet_in_thread
from tests.support.git_repository import assert_sound, history
from tests.support.inventory import add_credential, add_device, add_job
from tests.support.queues import messages_taken
from tests.support.threads import all_at_once, in_thread
from tests.support.waiting import wait_for_end

Configure = Callable[..., None]
OLD = timedelta(hours=1)


@pytest.fixture(autouse=True)
def queued(configure: Configure, git_directory: Path) -> None:
    configure(git_writer="queue")


def handed_over(text: str = "hostname a\nend\n", **fields: object) -> DeviceResult:
    """A device that a worker has read and stored, and whose commit is left to the queue."""
    waiting = DeviceResultFactory.create(**fields)
    result = result_claim(result_id=waiting.pk)
    assert result is not None and result.device is not None
    label = RunLabel(run_id=result.run_id, job_name="nightly")
    snapshot = backup_store(device=result.device, outcome=backup_outcome(text), label=label)
    assert snapshot is not None
    assert result_hand_over(claim=Claim(result.pk, result.attempts), snapshot=snapshot)
    result.refresh_from_db()
    return result


def sent() -> Counter[tuple[str, str]]:
    return messages_taken(GIT_QUEUE, "control", "devices", "isolated")


# --- The whole way ------------------------------------------------------------------------------


@pytest.mark.usefixtures("worker")
def test_a_run_is_committed_by_the_queue(git_directory: Path) -> None:
    specs = [
        device_spec("cisco_ios", f"r{number}", username="netops", password="Pw-1234567")
        for number in range(6)
    ]
    with fleet_in_thread(*specs) as fleet:
        for spec in specs:
            add_device(spec, *fleet.address(spec.hostname))
        add_credential(specs[0])
        job = add_job()
        first = wait_for_end(request_run(job=job, trigger=Trigger.MANUAL))
        assert first.status == RunStatus.COMPLETED_SUCCESS
        assert {result.config_changed for result in first.results.all()} == {True}
        assert len(history(git_directory)) == len(specs)
        fleet.change("r0")
        second = wait_for_end(request_run(job=job, trigger=Trigger.MANUAL))
    results = {result.hostname: result for result in second.results.select_related("snapshot")}
    assert {name for name, result in results.items() if result.config_changed} == {"r0"}
    assert all(result.commit and result.own_attempts == 1 for result in results.values())
    assert len(history(git_directory)) == len(specs) + 1
    assert store_verify(progress=lambda _: None).is_clean
    backed_up = JobLog.objects.filter(run=second, message__contains="backed up")
    assert backed_up.count() == len(specs)


# --- One batch ----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_nothing_succeeds_before_its_commit(git_directory: Path) -> None:
    results = [handed_over(f"hostname r{number}\nend\n") for number in range(3)]
    assert {result.status for result in results} == {ResultStatus.RUNNING}
    assert not git_directory.exists()
    done = handed_over_commit(limit=10)
    assert done.run_ids == {result.run_id for result in results}
    for result in results:
        result.refresh_from_db()
        assert (result.status, result.config_changed) == (ResultStatus.SUCCEEDED, True)
        assert result.commit and result.lease_until is None
    assert len({result.commit for result in results}) == len(history(git_directory)) == 3
    assert handed_over_commit(limit=10).devices == 0
    assert_sound(git_directory)


@pytest.mark.django_db
def test_a_batch_takes_one_turn_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[Path] = []

    def counted(repository: Path) -> AbstractContextManager[None]:
        turns.append(repository)
        return writing_turn(repository)

    monkeypatch.setattr("backups.engine.git.store.writing_turn", counted)
    for number in range(5):
        handed_over(f"hostname r{number}\nend\n")
    handed_over_commit(limit=3)
    handed_over_commit(limit=3)
    assert len(turns) == 2
    assert DeviceResult.objects.filter(status=ResultStatus.SUCCEEDED).count() == 5


@pytest.mark.django_db
def test_several_revisions_of_a_device_are_committed_in_order(git_directory: Path) -> None:
    device = DeviceFactory.create()
    label = RunLabel(run_id=1, job_name="nightly")
    for text in ("a\nb\n", "a\nc\nd\n"):
        backup_store(device=device, outcome=backup_outcome(text), label=label)
    git_store_prepare()
    for committed in (1, 2):
        snapshots_commit_together(device_ids=[device.pk])
        assert Snapshot.objects.filter(state=SnapshotState.COMMITTED).count() == committed
    first, second = Snapshot.objects.order_by("pk")
    assert [snapshot_text(snapshot=each) for each in (first, second)] == ["a\nb\n", "a\nc\nd\n"]
    assert (second.lines_added, second.lines_removed) == (2, 1)
    assert history(git_directory) == [second.commit, first.commit]


@pytest.mark.django_db
def test_a_device_with_an_older_revision_to_commit_succeeds_in_the_turn_of_its_own() -> None:
    device = DeviceFactory.create()
    label = RunLabel(run_id=1, job_name="nightly")
    backup_store(device=device, outcome=backup_outcome("hostname old\nend\n"), label=label)
    result = handed_over("hostname new\nend\n", device=device)
    first = handed_over_commit(limit=10)
    result.refresh_from_db()
    assert (first.devices, first.run_ids, result.status) == (1, set(), ResultStatus.RUNNING)
    second = handed_over_commit(limit=10)
    result.refresh_from_db()
    assert (second.run_ids, result.status) == ({result.run_id}, ResultStatus.SUCCEEDED)


@pytest.mark.django_db(transaction=True)
def test_many_committers_at_once_commit_each_device_once(git_directory: Path) -> None:
    for number in range(12):
        handed_over(f"hostname r{number}\nend\n")
    done = all_at_once(4, lambda: handed_over_commit(limit=4).devices)
    assert sum(done) <= 12
    while handed_over_commit(limit=4).devices:
        continue
    assert len(history(git_directory)) == 12
    assert set(DeviceResult.objects.values_list("status", flat=True)) == {"SUCCEEDED"}


@pytest.mark.django_db
def test_a_cancelled_device_stays_cancelled() -> None:
    result = handed_over()
    DeviceResult.objects.update(
        status=ResultStatus.CANCELLED, finished_at=timezone.now(), lease_until=None
    )
    assert handed_over_commit(limit=10).devices == 0
    result.refresh_from_db()
    assert result.status == ResultStatus.CANCELLED


@pytest.mark.django_db
def test_one_that_cannot_be_committed_keeps_no_other_back(git_directory: Path) -> None:
    good, bad = handed_over("good\n"), handed_over("bad\n")
    assert bad.snapshot_id is not None
    Snapshot.objects.filter(pk=bad.snapshot_id).update(path="../outside")
    done = handed_over_commit(limit=10)
    good.refresh_from_db()
    bad.refresh_from_db()
    assert good.status == ResultStatus.SUCCEEDED
    assert (bad.status, bad.error_category) == (ResultStatus.RETRYING, "unexpected")
    assert [result.pk for result, _ in done.retries] == [bad.pk]
    assert done.run_ids == {good.run_id}
    assert len(history(git_directory)) == 1


@pytest.mark.django_db
def test_a_full_disk_is_a_store_failure_that_is_tried_again(git_directory: Path) -> None:
    result = handed_over()
    git_directory.write_text("a file where the repository should be")
    [(again, seconds)] = handed_over_commit(limit=10).retries
    result.refresh_from_db()
    assert again.pk == result.pk and seconds > 0
    assert (result.status, result.error_category) == (ResultStatus.RETRYING, "store_failure")
    assert result.snapshot is None
    DeviceResult.objects.update(
        status=ResultStatus.RUNNING,
        attempts=3,
        retry_at=None,
        lease_until=timezone.now() + OLD,
        snapshot=Snapshot.objects.get(),
    )
    done = handed_over_commit(limit=10)
    result.refresh_from_db()
    assert (result.status, done.retries) == (ResultStatus.ERRORED, [])
    assert done.run_ids == {result.run_id}
    assert Snapshot.objects.get().state == SnapshotState.PENDING  # nothing is lost


@pytest.mark.django_db(transaction=True)
def test_a_failed_commit_is_sent_to_the_devices_queue(git_directory: Path) -> None:
    handed_over()
    git_directory.write_text("a file where the repository should be")
    sent()
    commit_snapshots()
    assert sent() == {("jobs.backup_device", "devices"): 1}
    git_directory.unlink()


@pytest.mark.django_db(transaction=True)
def test_the_runs_of_committed_devices_are_advanced_once() -> None:
    run = JobRunFactory.create()
    for number in range(3):
        handed_over(f"hostname r{number}\nend\n", run=run)
    sent()
    commit_snapshots()
    assert sent() == {("jobs.advance_run", "control"): 1}


@pytest.mark.django_db(transaction=True)
def test_a_device_that_somebody_else_has_locked_is_looked_at_again() -> None:
    result = handed_over()
    sent()

    def commit_meanwhile() -> None:
        with ThreadPoolExecutor(1) as pool:
            in_thread(pool, commit_snapshots).result(30)

    with transaction.atomic():
        assert claim_holds(claim=Claim(result.pk, result.attempts))  # as a heartbeat locks it
        commit_meanwhile()
    assert sent() == {("jobs.commit_snapshots", GIT_QUEUE): 1}
    commit_meanwhile()
    result.refresh_from_db()
    assert result.status == ResultStatus.SUCCEEDED


# --- What was lost ------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_hand_over_that_nobody_answers_is_sent_again_and_is_no_loss() -> None:
    result = handed_over()
    sent()
    reconcile()
    assert not sent()
    DeviceResult.objects.update(lease_until=timezone.now() - OLD)
    assert reconcile().devices_returned == 0
    assert sent() == {("jobs.commit_snapshots", GIT_QUEUE): 1}
    result.refresh_from_db()
    assert (result.status, result.losses, result.attempts) == (ResultStatus.RUNNING, 0, 1)
    reconcile()
    assert not sent()  # it has a lease again


@pytest.mark.django_db
def test_a_worker_that_died_before_it_stored_is_a_loss() -> None:
    DeviceResultFactory.create(
        status="RUNNING", attempts=1, lease_until=timezone.now() - OLD, queued_at=timezone.now()
    )
    assert reconcile().devices_returned == 1


@pytest.mark.django_db(transaction=True)
def test_snapshots_that_no_run_waits_for_are_committed_by_the_queue(
    configure: Configure, git_directory: Path
) -> None:
    device = DeviceFactory.create()
    label = RunLabel(run_id=1, job_name="nightly")
    backup_store(device=device, outcome=backup_outcome("alone\n"), label=label)
    sent()
    configure(lease_seconds=0)
    assert reconcile().devices_committed == 0
    assert sent() == {("jobs.commit_snapshots", GIT_QUEUE): 1}
    assert not git_directory.exists()
    commit_snapshots()
    assert Snapshot.objects.get().state == SnapshotState.COMMITTED


@pytest.mark.django_db
def test_devices_handed_over_before_a_change_of_the_setting_end(configure: Configure) -> None:
    handed_over()
    configure(git_writer="shared")
    DeviceResult.objects.update(lease_until=timezone.now() - OLD)
    sent()
    reconcile()
    assert sent() == {("jobs.commit_snapshots", GIT_QUEUE): 1}


@pytest.mark.django_db
def test_only_the_first_that_waits_asks_for_a_commit() -> None:
    first = handed_over("one\n")
    assert commit_is_asked_by_nobody_else(result_id=first.pk)
    second = handed_over("two\n")
    assert not commit_is_asked_by_nobody_else(result_id=second.pk)
    with transaction.atomic():
        handed_over_commit(limit=10)
    third = handed_over("three\n")
    assert commit_is_asked_by_nobody_else(result_id=third.pk)


# --- A host without the repository --------------------------------------------------------------


def gone(git_directory: Path) -> None:
    """Be a host that has not got the repository."""
    git_directory.rename(git_directory.with_name("elsewhere.git"))
    git_store.cache_clear()


@pytest.mark.django_db(transaction=True)
def test_a_host_without_the_store_makes_none_and_reads_newest_texts(
    git_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    device = DeviceFactory.create()
    label = RunLabel(run_id=1, job_name="nightly")
    git_store_prepare()
    for text in ("old\n", "newest\n"):
        backup_store(device=device, outcome=backup_outcome(text), label=label)
        snapshots_commit_together(device_ids=[device.pk])
    gone(git_directory)
    old, newest = Snapshot.objects.order_by("pk")
    assert snapshot_text(snapshot=newest) == "newest\n"
    with pytest.raises(DeviceError, match="lives where the queue 'git' is served"):
        snapshot_text(snapshot=old)
    assert not git_directory.exists()
    for look in (store_verify, store_repair):
        with pytest.raises(DeviceError, match="lives where the queue 'git' is served"):
            look(progress=lambda _: None)
    assert not git_directory.exists()
    verify_store()  # as the scheduler may ask for it here
    assert "git_store.not_verified" in caplog.text
    report = store_verify(progress=lambda _: None, device=device)
    assert list(report.counts) == [Problem.STORE_UNUSABLE]


@pytest.mark.django_db
def test_the_system_check_says_what_does_not_work_here(git_directory: Path) -> None:
    [warning] = check_git_place()
    assert "earlier revisions" in warning.msg and "--queues git" in str(warning.hint)
    git_store_prepare()
    assert check_git_place() == []
