"""What the reconciler repairs, with the real database and Git; what it sends is read off the wire.

The broker is Redis as everywhere; the messages are taken from its queues instead of running them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, InternalError, OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backups.engine.errors import DeviceError, ErrorCategory
from backups.models import Snapshot
from backups.selectors.snapshots import snapshot_text
from backups.services.store import RunLabel, backup_store
from jobs.choices import ResultStatus, RunStatus, Trigger
from jobs.models import DeviceResult, JobLog, JobRun, ReconcilerTick, Tick
from jobs.reconcile import reconcile, reconcile_if_elected
from jobs.services.backup import device_back_up
from jobs.services.early_end import run_fail
from jobs.services.results import result_claim
from jobs.services.run_creation import run_create
from jobs.services.runs import (
    run_finalise,
    run_resolve_credentials,
    run_start,
    run_take_wave,
)
from jobs.tasks import advance, dispatch_run
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobFactory,
    JobRunFactory,
    ZoneFactory,
    backup_outcome,
)
from tests.support.devices import device_spec, fleet_in_thread
from tests.support.inventory import add_credential, add_device
from tests.support.queues import messages_taken
from tests.support.threads import all_at_once

OLD = timedelta(hours=1)
LABEL = RunLabel(run_id=1, job_name="nightly")

pytestmark = pytest.mark.usefixtures("git_directory")


@pytest.fixture
def sent() -> Iterator[Callable[[], Counter[tuple[str, str]]]]:
    """Takes what was sent since: how often each task was put in each queue."""

    def take() -> Counter[tuple[str, str]]:
        return messages_taken("control", "devices", "isolated", "git", "zone.dmz")

    take()
    yield take
    take()


def an_hour_ago() -> Any:
    return timezone.now() - OLD


# --- Election -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_many_callers_one_is_elected() -> None:
    assert reconcile_if_elected() is None  # the first call makes the row and waits its turn
    for _ in range(3):
        ReconcilerTick.objects.update(last_at=an_hour_ago())
        passes = all_at_once(6, reconcile_if_elected)
        assert sum(done is not None for done in passes) == 1
    assert str(ReconcilerTick.objects.get()).startswith("reconcile ")


@pytest.mark.django_db
def test_after_a_gap_everybody_gets_one_more_lease() -> None:
    DeviceResultFactory.create(status="RUNNING", attempts=1, lease_until=an_hour_ago())
    ReconcilerTick.objects.create(pk=Tick.RECONCILE, last_at=an_hour_ago())
    assert reconcile_if_elected() is not None
    result = DeviceResult.objects.get()
    assert (result.status, result.losses) == ("RUNNING", 0)
    assert result.lease_until is not None and result.lease_until > timezone.now()


# --- Devices ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_expired_leases_go_back_isolated(sent: Callable[[], Counter[tuple[str, str]]]) -> None:
    expired = {"status": "RUNNING", "attempts": 1, "lease_until": an_hour_ago()}
    DeviceResultFactory.create(**expired)
    DeviceResultFactory.create(**expired, device__zone=ZoneFactory.create(name="dmz"))
    DeviceResultFactory.create(**expired | {"lease_until": timezone.now() + OLD})
    done = reconcile()
    assert done.devices_returned == 2
    assert sent() == {
        ("jobs.backup_device", "isolated"): 1,
        ("jobs.backup_device", "zone.dmz"): 1,
    }
    assert sorted(DeviceResult.objects.values_list("status", "losses")) == [
        ("PENDING", 1),
        ("PENDING", 1),
        ("RUNNING", 0),
    ]
    assert reconcile().devices_returned == 0
    assert not sent()


@pytest.mark.django_db
def test_the_third_loss_ends_the_device_and_its_run() -> None:
    result = DeviceResultFactory.create(
        status="RUNNING", attempts=3, losses=2, lease_until=an_hour_ago()
    )
    done = reconcile()
    result.refresh_from_db()
    assert (result.status, result.error_category) == ("ERRORED", "worker_lost")
    assert "3 times" in result.error_message
    assert done.runs_ended == 1
    assert JobRun.objects.get().status == RunStatus.COMPLETED_FAILURE


@pytest.mark.django_db
def test_lost_messages_are_sent_again_once(sent: Callable[[], Counter[tuple[str, str]]]) -> None:
    DeviceResultFactory.create(queued_at=an_hour_ago())
    DeviceResultFactory.create(queued_at=timezone.now())
    assert reconcile().messages_resent == 1
    assert sent() == {("jobs.backup_device", "devices"): 1}
    assert reconcile().messages_resent == 0


# --- Runs ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_forgotten_runs_are_started(sent: Callable[[], Counter[tuple[str, str]]]) -> None:
    JobRunFactory.create(status="PENDING", started_at=None, queued_at=an_hour_ago())
    JobRunFactory.create(status="PENDING", started_at=None)
    assert reconcile().runs_started == 1
    assert sent() == {("jobs.dispatch_run", "control"): 1}
    assert reconcile().runs_started == 0


@pytest.mark.django_db
def test_a_run_whose_end_was_lost_is_ended() -> None:
    result = DeviceResultFactory.create(status="SUCCEEDED", finished_at=timezone.now())
    assert reconcile().runs_ended == 1
    run = JobRun.objects.get(pk=result.run_id)
    assert (run.status, run.succeeded_count) == (RunStatus.COMPLETED_SUCCESS, 1)
    assert reconcile().runs_ended == 0


@pytest.mark.django_db
def test_a_run_that_stands_still_gets_its_next_wave(
    sent: Callable[[], Counter[tuple[str, str]]],
) -> None:
    CredentialFactory.create(tags=["all"])
    run = JobRunFactory.create()
    for _ in range(2):
        device = DeviceFactory.create(tags=["all"])
        DeviceResultFactory.create(run=run, device=device, queued_at=None)
    reconcile()
    assert sent() == {("jobs.backup_device", "devices"): 2}
    assert not DeviceResult.objects.filter(queued_at=None).exists()
    reconcile()
    assert not sent()


@pytest.mark.django_db
@pytest.mark.parametrize("status", [RunStatus.PENDING, RunStatus.RUNNING])
def test_a_run_past_its_deadline_is_ended(status: RunStatus) -> None:
    run = JobRunFactory.create(status=status.value, deadline_at=an_hour_ago())
    DeviceResultFactory.create(run=run, status="SUCCEEDED", finished_at=timezone.now())
    DeviceResultFactory.create(
        run=run, status="RUNNING", attempts=1, lease_until=timezone.now() + OLD
    )
    DeviceResultFactory.create(run=run, status="RETRYING", retry_at=timezone.now())
    assert reconcile().runs_ended == 1
    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED_PARTIAL_FAILURE
    assert (run.succeeded_count, run.errored_count) == (1, 2)
    assert set(DeviceResult.objects.values_list("error_category", flat=True)) == {
        "",
        "run_deadline",
    }
    assert JobLog.objects.filter(message__contains="deadline").count() == 1
    assert reconcile().runs_ended == 0


@pytest.mark.django_db
def test_finalising_wins_once_and_counts_rows() -> None:
    run = JobRunFactory.create()
    for status in ("SUCCEEDED", "FAILED", "FAILED", "SUSPECT", "SKIPPED", "ERRORED"):
        DeviceResultFactory.create(run=run, status=status, finished_at=timezone.now())
    open_result = DeviceResultFactory.create(run=run)
    assert not run_finalise(run=run)
    DeviceResult.objects.filter(pk=open_result.pk).update(
        status="CANCELLED", finished_at=timezone.now()
    )
    assert [run_finalise(run=run) for _ in range(3)] == [True, False, False]
    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED_PARTIAL_FAILURE
    assert (run.succeeded_count, run.failed_count, run.suspect_count) == (1, 2, 1)
    assert (run.skipped_count, run.errored_count, run.cancelled_count) == (1, 1, 1)
    assert not run_fail(run=run, status=RunStatus.FAILED_UNEXPECTED, reason="late")


@pytest.mark.django_db(transaction=True)
def test_finalising_at_once_wins_once() -> None:
    result = DeviceResultFactory.create(status="SUCCEEDED", finished_at=timezone.now())
    assert sum(all_at_once(6, lambda: run_finalise(run=result.run))) == 1
    assert JobLog.objects.filter(message__startswith="the run ended").count() == 1


@pytest.mark.django_db(transaction=True)
def test_starting_at_once_wins_once() -> None:
    run = JobRunFactory.create(status="PENDING", started_at=None)
    assert sum(all_at_once(6, lambda: run_start(run=run))) == 1


@pytest.mark.django_db(transaction=True)
def test_waves_taken_at_once_hold_each_device_once(configure: Callable[..., None]) -> None:
    configure(wave_size=3)
    run = JobRunFactory.create()
    for _ in range(20):
        DeviceResultFactory.create(run=run, queued_at=None)
    waves = all_at_once(6, lambda: [result.pk for result in run_take_wave(run=run)])
    taken = [pk for wave in waves for pk in wave]
    assert len(taken) == len(set(taken)) == 6  # two waves of three
    assert sorted(map(len, waves)) == [0, 0, 0, 0, 3, 3]


@pytest.mark.django_db
def test_devices_without_a_credential_are_skipped_with_the_reason() -> None:
    CredentialFactory.create(name="login", tags=["core"])
    job = JobFactory.create(tags=["core", "edge"])
    DeviceFactory.create(hostname="a", tags=["core"])
    DeviceFactory.create(hostname="b", tags=["edge"])
    DeviceFactory.create(hostname="c", tags=["core"], is_active=False)
    run = run_create(job=job, trigger=Trigger.MANUAL)
    assert run.total_count == 2
    run_resolve_credentials(run=run)
    rows = {row.hostname: row for row in run.results.select_related("credential")}
    assert rows["a"].credential is not None and rows["a"].credential.name == "login"
    assert (rows["b"].status, rows["b"].error_category) == ("SKIPPED", "no_credential")
    run_resolve_credentials(run=run)
    assert JobLog.objects.filter(message__startswith="resolved the").count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("tags", [["core"], ["core", "edge"]], ids=["all have one", "some not"])
def test_credentials_are_resolved_in_as_many_queries_for_any_number(
    tags: list[str],
) -> None:
    CredentialFactory.create(name="login", tags=["core"])
    job = JobFactory.create(tags=tags, allow_overlap=True)
    counts = []
    for numbers in (range(4), range(4, 20)):  # more than the lockout guard lets through at once
        for number in numbers:
            DeviceFactory.create(hostname=f"a{number}", tags=["core"])
            DeviceFactory.create(hostname=f"b{number}", tags=["edge"])
        run = run_create(job=job, trigger=Trigger.MANUAL)
        with CaptureQueriesContext(connection) as queries:
            run_resolve_credentials(run=run)
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.django_db
def test_a_dispatch_that_comes_twice_sends_once(
    sent: Callable[[], Counter[tuple[str, str]]],
) -> None:
    CredentialFactory.create(tags=["all"])
    device = DeviceFactory.create(tags=["all"])
    run = JobRunFactory.create(status="PENDING", started_at=None)
    DeviceResultFactory.create(run=run, device=device, queued_at=None)
    for _ in range(3):
        dispatch_run(run.pk)
        advance(run.pk)
    assert sent() == {("jobs.backup_device", "devices"): 1}


@pytest.mark.django_db
def test_a_broken_resolver_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("CANARY")

    monkeypatch.setattr("jobs.services.runs.credential_candidates", broken)
    result = DeviceResultFactory.create(queued_at=None)
    advance(result.run_id)
    run = JobRun.objects.get()
    assert run.status == RunStatus.FAILED_CREDENTIAL_RESOLUTION
    assert run.errored_count == 1
    assert "CANARY" not in run.status_reason


@pytest.mark.django_db
@pytest.mark.parametrize("error", [InternalError, IntegrityError, OperationalError])
def test_a_database_error_that_passes_ends_no_run(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(**_: object) -> None:
        raise error("the first line\nDETAIL: the second")

    monkeypatch.setattr("jobs.services.runs.credential_candidates", broken)
    result = DeviceResultFactory.create(queued_at=None)
    advance(result.run_id)
    assert JobRun.objects.get().status == RunStatus.RUNNING
    (line,) = [one.msg for one in caplog.records if isinstance(one.msg, dict)]
    assert (line["event"], line["reason"]) == ("run.postponed", "the first line")
    assert line["exc_info"] is (error is IntegrityError)


@pytest.mark.django_db
def test_what_waits_for_git_is_left_alone_after_the_first_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(3):
        backup_store(device=DeviceFactory.create(), outcome=backup_outcome(), label=LABEL)
    Snapshot.objects.update(collected_at=an_hour_ago())
    tried: list[int] = []

    def busy(*, device_id: int) -> None:
        tried.append(device_id)
        raise DeviceError(ErrorCategory.STORE_FAILURE, "another process writes to the Git store")

    monkeypatch.setattr("jobs.reconcile.snapshots_commit", busy)
    assert reconcile().devices_committed == 0
    assert len(tried) == 1


# --- What it says, and many at once -------------------------------------------------------------


def reconciler_lines(run: JobRun) -> list[str]:
    lines = JobLog.objects.filter(run=run, message__startswith="reconciler: ")
    return [line.message.removeprefix("reconciler: ") for line in lines]


@pytest.mark.django_db
def test_the_log_of_a_run_says_what_was_done_and_why(
    sent: Callable[[], Counter[tuple[str, str]]],
) -> None:
    unstarted = JobRunFactory.create(status="PENDING", started_at=None, queued_at=an_hour_ago())
    unanswered = DeviceResultFactory.create(queued_at=an_hour_ago()).run
    DeviceResultFactory.create(queued_at=an_hour_ago(), run=unanswered)
    CredentialFactory.create(tags=["all"])
    waiting = DeviceFactory.create(tags=["all"])
    stalled = DeviceResultFactory.create(device=waiting, queued_at=None).run
    over = DeviceResultFactory.create(status="SUCCEEDED", finished_at=timezone.now()).run
    late = JobRunFactory.create(deadline_at=an_hour_ago())
    DeviceResultFactory.create(run=late)
    lost = DeviceResultFactory.create(status="RUNNING", attempts=1, lease_until=an_hour_ago()).run
    reconcile()
    assert {
        run.pk: reconciler_lines(run) for run in (unstarted, unanswered, stalled, over, late, lost)
    } == {
        unstarted.pk: ["no worker had started the run, so it was asked for again"],
        unanswered.pk: ["2 devices were sent again: no worker took them within 300 s"],
        stalled.pk: ["the run stood still, so its next devices were sent"],
        over.pk: ["all devices had ended and no task had said so, so the run was ended"],
        late.pk: [],
        lost.pk: [],
    }
    late.refresh_from_db()
    assert late.status_reason == "the run reached its deadline with 1 devices still open"
    assert JobLog.objects.filter(run=late, message__contains=late.status_reason).count() == 1
    assert JobLog.objects.filter(run=lost, message__contains="its worker died").count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_each_thing_is_done_by_one(
    sent: Callable[[], Counter[tuple[str, str]]],
) -> None:
    unstarted = [
        JobRunFactory.create(status="PENDING", started_at=None, queued_at=an_hour_ago())
        for _ in range(4)
    ]
    for _ in range(4):
        DeviceResultFactory.create(queued_at=an_hour_ago())
        DeviceResultFactory.create(status="RUNNING", attempts=1, lease_until=an_hour_ago())
        DeviceResultFactory.create(status="SUCCEEDED", finished_at=timezone.now())
        DeviceResultFactory.create(run=JobRunFactory.create(deadline_at=an_hour_ago()))
    passes = all_at_once(4, reconcile)
    done = Counter[str]()
    for one in passes:
        done.update(asdict(one))
    assert (done["runs_started"], done["devices_returned"]) == (4, 4)
    assert (done["messages_resent"], done["runs_ended"]) == (4, 8)
    assert sent() == {
        ("jobs.dispatch_run", "control"): 4,
        ("jobs.backup_device", "isolated"): 4,
        ("jobs.backup_device", "devices"): 4,
    }
    assert set(DeviceResult.objects.filter(attempts=1).values_list("losses", flat=True)) == {1}
    assert JobLog.objects.filter(message__startswith="the run ended as").count() == 8
    assert [len(reconciler_lines(run)) for run in unstarted] == [1] * 4
    assert JobLog.objects.filter(message__startswith="reconciler: ").count() == 12


# --- Git ----------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_snapshots_that_git_has_not_got_are_committed(git_directory: Path) -> None:
    git_directory.write_text("a file where the repository should be")
    devices = [DeviceFactory.create() for _ in range(2)]
    for device in devices:
        for text in ("one\n", "two\n"):
            backup_store(device=device, outcome=backup_outcome(text), label=LABEL)
    Snapshot.objects.update(collected_at=an_hour_ago())
    assert reconcile().devices_committed == 0
    assert set(Snapshot.objects.values_list("state", flat=True)) == {"PENDING"}

    git_directory.unlink()
    assert reconcile().devices_committed == 2
    commits = set(Snapshot.objects.values_list("state", "pending_text"))
    assert commits == {("COMMITTED", "")}
    assert len(set(Snapshot.objects.values_list("commit", flat=True))) == 4
    assert reconcile().devices_committed == 0


@pytest.mark.django_db
def test_fresh_snapshots_are_left_to_their_task() -> None:
    backup_store(device=DeviceFactory.create(), outcome=backup_outcome(), label=LABEL)
    assert reconcile().devices_committed == 0


@pytest.mark.django_db(transaction=True)
def test_a_broken_store_loses_nothing(git_directory: Path) -> None:
    git_directory.write_text("a file where the repository should be")
    spec = device_spec("cisco_ios", "sw1")
    add_credential(spec)
    with fleet_in_thread(spec) as fleet:
        device = add_device(spec, *fleet.address("sw1"))
        result = DeviceResultFactory.create(device=device, queued_at=None)
        run_resolve_credentials(run=result.run)
        statuses = []
        for _ in range(3):
            DeviceResult.objects.filter(status="RETRYING").update(retry_at=an_hour_ago())
            claimed = result_claim(result_id=result.pk)
            assert claimed is not None
            done = device_back_up(result=claimed)
            assert done is not None
            statuses.append((done.status, done.retry_seconds is not None))
    assert statuses == [("RETRYING", True), ("RETRYING", True), ("ERRORED", False)]
    result.refresh_from_db()
    assert (result.error_category, result.attempts) == ("store_failure", 3)
    snapshot = Snapshot.objects.get()
    assert (snapshot.state, snapshot.device) == ("PENDING", device)
    assert snapshot.archives.count() >= 1

    git_directory.unlink()
    Snapshot.objects.update(collected_at=an_hour_ago())
    repaired = reconcile()
    assert (repaired.devices_committed, repaired.runs_ended) == (1, 1)
    snapshot.refresh_from_db()
    assert snapshot.state == "COMMITTED"
    assert "hostname sw1" in snapshot_text(snapshot=snapshot)


# --- The command --------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_command_tells_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    DeviceResultFactory.create(status="SUCCEEDED", finished_at=timezone.now())
    call_command("reconcile")
    assert capsys.readouterr().out == (
        "slots answered: 0, changes answered: 0, entries mended: 0, runs started: 0,"
        " devices returned: 0, messages resent: 0, runs ended: 1, devices committed: 0,"
        " detections ended: 0, remotes sent: 0, targets asked: 0, revisions indexed: 0\n"
    )


@pytest.mark.django_db
def test_a_broker_that_is_down_stops_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from netraven_site.celery import app

    expired = {"status": "RUNNING", "attempts": 1, "lease_until": an_hour_ago()}
    for _ in range(3):
        DeviceResultFactory.create(**expired)
    JobRunFactory.create(status="PENDING", started_at=None, queued_at=an_hour_ago())
    DeviceResultFactory.create(status="SUCCEEDED", finished_at=timezone.now())
    with monkeypatch.context() as broken:
        broken.setattr(app.conf, "broker_write_url", "redis://127.0.0.1:1/0")
        # The pools of the live broker are put aside, and taken again at the end.
        broken.setattr(app, "_pool", None)
        broken.setattr(app.amqp, "_producer_pool", None)
        done = reconcile()
    assert done.runs_ended == 1
    assert DeviceResult.objects.filter(status=ResultStatus.PENDING).count() == 3
    assert "broker.down" in caplog.text
