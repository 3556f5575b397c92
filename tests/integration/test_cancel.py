"""Cancelling a run: its devices at once, its sessions within seconds, and nothing written later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backups.models import GitRemote, Snapshot
from inventory.models import Device
from jobs import leases
from jobs.choices import ResultStatus, RunStatus, Trigger
from jobs.launch import RunHasEnded, request_cancel, request_run
from jobs.models import ConnectionLog, DeviceResult, JobLog, JobRun
from jobs.reconcile import reconcile
from jobs.services.claims import Claim
from jobs.services.early_end import run_cancel, run_expire, run_fail
from jobs.services.logs import job_log
from jobs.services.results import claim_holds, claims_gone, result_claim
from jobs.services.runs import run_finalise, run_take_wave
from jobs.tasks import backup_device, dispatch_run, run_advance
from netraven_site.demo.simulator import Fault, FaultKind
from tests.factories import CredentialFactory, DeviceFactory, DeviceResultFactory, JobRunFactory
from tests.support.devices import device_spec, fleet_in_thread
from tests.support.inventory import add_credential, add_device, add_job
from tests.support.threads import (
    all_at_once,
    each_at_once,
    in_thread,
    is_free,
    waits_for_lock,
)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.django_db


def statuses(run: JobRun) -> list[str]:
    return sorted(run.results.values_list("status", flat=True))


def one_of_each(run: JobRun) -> None:
    """An open device of each kind, and one that has ended, in ``run``."""
    now = timezone.now()
    DeviceResultFactory.create(run=run, status="SUCCEEDED", attempts=1, finished_at=now)
    DeviceResultFactory.create(run=run)
    DeviceResultFactory.create(run=run, queued_at=None)
    DeviceResultFactory.create(run=run, queued_at=None, parked_at=now, parked_reason="zone: 5 of 5")
    DeviceResultFactory.create(run=run, status="RETRYING", retry_at=now, attempts=1)
    DeviceResultFactory.create(
        run=run, status="RUNNING", attempts=1, started_at=now, lease_until=now + timedelta(hours=1)
    )


# --- What it does -------------------------------------------------------------------------------


def test_every_open_device_ends_at_once() -> None:
    run = JobRunFactory.create()
    one_of_each(run)
    cancelled = request_cancel(run=run, cancelled_by="jane")
    assert statuses(run) == ["CANCELLED"] * 5 + ["SUCCEEDED"]
    assert (cancelled.status, cancelled.cancelled_by) == (RunStatus.CANCELLED, "jane")
    assert (cancelled.cancelled_count, cancelled.succeeded_count) == (5, 1)
    assert cancelled.status_reason == "cancelled by jane with 5 devices still open"
    assert cancelled.finished_at is not None
    open_marks = DeviceResult.objects.exclude(
        lease_until=None, retry_at=None, parked_at=None, parked_reason=""
    )
    assert not open_marks.exists()
    assert JobLog.objects.filter(message__contains="cancelled by jane").count() == 1


@pytest.mark.parametrize(
    ("end", "category"),
    [
        (lambda run: run_expire(run=run), "run_deadline"),
        (
            lambda run: run_fail(run=run, status=RunStatus.FAILED_UNEXPECTED, reason="broken"),
            "unexpected",
        ),
    ],
)
def test_other_early_ends_leave_no_device_open(
    end: Callable[[JobRun], bool], category: str
) -> None:
    run = JobRunFactory.create(deadline_at=timezone.now())
    one_of_each(run)
    assert end(run)
    assert statuses(run) == ["ERRORED"] * 5 + ["SUCCEEDED"]
    assert set(run.results.values_list("error_category", flat=True)) == {"", category}
    run.refresh_from_db()
    assert (run.errored_count, run.succeeded_count) == (5, 1)
    assert not end(run)


def test_a_run_with_time_left_does_not_expire() -> None:
    run = JobRunFactory.create()
    DeviceResultFactory.create(run=run)
    assert not run_expire(run=run)
    assert statuses(run) == ["PENDING"]


@pytest.mark.parametrize("status", sorted(set(RunStatus) - {RunStatus.PENDING, RunStatus.RUNNING}))
def test_a_run_that_has_ended_is_not_cancelled(status: RunStatus) -> None:
    run = JobRunFactory.create(status=status, finished_at=timezone.now())
    with pytest.raises(RunHasEnded, match=f"run {run.pk} has ended already, as {status}"):
        request_cancel(run=run, cancelled_by="jane")
    run.refresh_from_db()
    assert (run.status, run.cancelled_by) == (status, "")
    assert not JobLog.objects.exists()


def test_a_pending_run_that_was_cancelled_is_never_dispatched() -> None:
    CredentialFactory.create(tags=["core"])
    run = JobRunFactory.create(status=RunStatus.PENDING, started_at=None)
    DeviceResultFactory.create(run=run, device=DeviceFactory.create(tags=["core"]), queued_at=None)
    request_cancel(run=run, cancelled_by="jane")
    JobRun.objects.update(queued_at=timezone.now() - timedelta(hours=1))
    dispatch_run(run.pk)
    run_advance(run.pk)
    assert reconcile().runs_started == 0
    run.refresh_from_db()
    assert (run.status, run.started_at, statuses(run)) == (RunStatus.CANCELLED, None, ["CANCELLED"])


@pytest.mark.django_db(transaction=True)
def test_a_wave_that_is_sent_after_it_reads_nothing() -> None:
    run = JobRunFactory.create()
    for _ in range(3):
        DeviceResultFactory.create(run=run, queued_at=None)
    wave = run_take_wave(run=run)
    assert len(wave) == 3
    request_cancel(run=run, cancelled_by="jane")
    assert {backup_device(result.pk) for result in wave} == {"nothing to do"}
    assert run_take_wave(run=run) == []
    assert statuses(run) == ["CANCELLED"] * 3


def test_what_the_run_had_stored_goes_to_the_remotes() -> None:
    remote = GitRemote.objects.create(name="backup", url="https://git.example.net/x.git")
    GitRemote.objects.update(next_attempt_at=None)
    run = JobRunFactory.create()
    DeviceResultFactory.create(run=run)
    request_cancel(run=run, cancelled_by="jane")
    remote.refresh_from_db()
    assert remote.next_attempt_at is None
    run = JobRunFactory.create()
    DeviceResultFactory.create(
        run=run, status="SUCCEEDED", finished_at=timezone.now(), config_changed=True
    )
    DeviceResultFactory.create(run=run)
    request_cancel(run=run, cancelled_by="jane")
    remote.refresh_from_db()
    assert remote.next_attempt_at is not None


# --- Sessions -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("worker")
def test_running_sessions_end_within_seconds_and_count_against_nobody(
    configure: Callable[..., None],
) -> None:
    configure(login_timeout_seconds=60, command_timeout_seconds=60, device_deadline_seconds=120)
    good = device_spec("cisco_ios", "good", username="netops", password="Pw-1234567")
    hanging = [
        device_spec(
            "cisco_ios",
            f"hangs-{kind}",
            username="netops",
            password="Pw-1234567",
            fault=Fault(kind),
        )
        for kind in (FaultKind.HANG_MID_OUTPUT, FaultKind.HANG_AFTER_LOGIN, FaultKind.HANG_AT_LOGIN)
    ]
    with fleet_in_thread(good, *hanging) as fleet:
        for spec in (good, *hanging):
            add_device(spec, *fleet.address(spec.hostname))
        add_credential(good)
        run = request_run(job=add_job(), trigger=Trigger.MANUAL)
        wait_for(lambda: statuses(run) == ["RUNNING"] * 3 + ["SUCCEEDED"], "hanging sessions")
        wait_for(lambda: _is_mid_output(fleet.log("hangs-hang_mid_output")), "half of the output")
        request_cancel(run=run, cancelled_by="jane")
        before = list(DeviceResult.objects.order_by("pk").values())
        leases.call_off_gone()
        wait_for(lambda: not leases.held_now(), "the end of the sessions", 30)
    assert list(DeviceResult.objects.order_by("pk").values()) == before
    assert statuses(run) == ["CANCELLED"] * 3 + ["SUCCEEDED"]
    assert Snapshot.objects.get().device.hostname == "good"
    assert set(ConnectionLog.objects.values_list("device__hostname", flat=True)) == {"good"}
    assert set(Device.objects.values_list("connection_failures", flat=True)) == {0}


def _is_mid_output(log: dict[str, object]) -> bool:
    return log["config_sessions"] == 1


def test_a_claim_that_is_gone_is_known_by_one_query() -> None:
    run = JobRunFactory.create()
    claims = []
    for _ in range(4):
        result = result_claim(result_id=DeviceResultFactory.create(run=run).pk)
        assert result is not None
        claims.append(Claim(result.pk, result.attempts))
    stale = Claim(claims[0].result_id, 99)
    other = DeviceResultFactory.create(status="SUCCEEDED", finished_at=timezone.now())
    with CaptureQueriesContext(
        connection,
    ) as asked:
        gone = claims_gone(claims=[*claims, stale, Claim(other.pk, 1)])
    assert gone == {stale, Claim(other.pk, 1)}
    assert len(asked) == 1
    run_cancel(run=run, cancelled_by="jane")
    assert claims_gone(claims=claims) == set(claims)


def test_a_process_that_holds_nothing_asks_nothing() -> None:
    with CaptureQueriesContext(connection) as asked:
        leases.call_off_gone()
    assert not asked.captured_queries


def test_only_the_sessions_of_lost_claims_are_called_off() -> None:
    run = JobRunFactory.create()
    results = [result_claim(result_id=DeviceResultFactory.create(run=run).pk) for _ in range(2)]
    claims = [Claim(result.pk, result.attempts) for result in results if result is not None]
    first, second = map(leases.hold, claims)
    try:
        DeviceResult.objects.filter(pk=claims[0].result_id).update(attempts=2)
        leases.call_off_gone()
        assert (first.cancelled, second.cancelled) == (True, False)
    finally:
        for claim in claims:
            leases.release(claim)


# --- Races --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_against_a_claim_the_device_never_stays_open() -> None:
    for _ in range(10):
        run = JobRunFactory.create()
        result = DeviceResultFactory.create(run=run)
        cancel: Callable[[], object] = partial(run_cancel, run=run, cancelled_by="jane")
        each_at_once(cancel, *[partial(result_claim, result_id=result.pk)] * 3)
        run.refresh_from_db()
        assert (run.status, run.cancelled_count) == (RunStatus.CANCELLED, 1)
        assert statuses(run) == ["CANCELLED"]


@pytest.mark.django_db(transaction=True)
def test_against_the_normal_end_one_wins_and_the_counts_fit() -> None:
    for _ in range(10):
        run = JobRunFactory.create()
        DeviceResultFactory.create(run=run, status="SUCCEEDED", finished_at=timezone.now())
        cancel = partial(run_cancel, run=run, cancelled_by="jane")
        assert sum(each_at_once(cancel, *[partial(run_finalise, run=run)] * 3)) == 1
        run.refresh_from_db()
        assert run.status in {RunStatus.CANCELLED, RunStatus.COMPLETED_SUCCESS}
        assert run.succeeded_count == 1
        assert (run.cancelled_by == "jane") == (run.status == RunStatus.CANCELLED)


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_wins() -> None:
    run = JobRunFactory.create()
    one_of_each(run)
    assert sum(all_at_once(6, lambda: run_cancel(run=run, cancelled_by="jane"))) == 1
    assert JobLog.objects.filter(message__startswith="the run ended").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "end",
    [
        lambda run: run_cancel(run=run, cancelled_by="jane"),
        lambda run: run_expire(run=run),
        lambda run: run_fail(run=run, status=RunStatus.FAILED_UNEXPECTED, reason="x"),
    ],
)
def test_a_task_that_is_recording_and_logs_is_waited_for(end: Callable[[JobRun], bool]) -> None:
    """The log line refers to the run, whose row is locked: that must not be a deadlock."""
    run = JobRunFactory.create(deadline_at=timezone.now())
    result = result_claim(result_id=DeviceResultFactory.create(run=run).pk)
    assert result is not None
    claim = Claim(result.pk, result.attempts)
    holds, may_log = threading.Event(), threading.Event()

    def record() -> None:
        with transaction.atomic():
            assert claim_holds(claim=claim)
            holds.set()
            assert may_log.wait(30)
            job_log(run=run.pk, message="backed up")
            DeviceResult.objects.filter(pk=claim.result_id).update(
                status=ResultStatus.SUCCEEDED, finished_at=timezone.now(), lease_until=None
            )

    with ThreadPoolExecutor(2) as pool:
        recording = in_thread(pool, record)
        assert holds.wait(30)
        ending = in_thread(pool, lambda: end(run))
        wait_for(waits_for_lock, "the end of the run to wait for the record")
        may_log.set()
        recording.result(30)
        assert ending.result(30)
    assert statuses(run) == ["SUCCEEDED"]
    run.refresh_from_db()
    assert run.succeeded_count == 1


@pytest.mark.django_db(transaction=True)
def test_a_cancel_waits_for_sessions_before_it_holds_waiting_devices() -> None:
    """A refused session that has its credential set aside holds its own and wants the others."""
    run = JobRunFactory.create()
    waiting = DeviceResultFactory.create(run=run)
    result = result_claim(result_id=DeviceResultFactory.create(run=run).pk)
    assert result is not None
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert claim_holds(claim=Claim(result.pk, result.attempts))
            cancelling = in_thread(pool, lambda: run_cancel(run=run, cancelled_by="jane"))
            wait_for(waits_for_lock, "the cancel to wait for the session")
            free = is_free(run.results.filter(pk=waiting.pk))
        assert cancelling.result(30)
    assert free
    assert statuses(run) == ["CANCELLED"] * 2


@pytest.mark.django_db(transaction=True)
def test_a_wave_is_locked_in_the_order_in_which_a_cancel_locks_it() -> None:
    run = JobRunFactory.create()
    rows = [DeviceResultFactory.create(run=run, queued_at=None) for _ in range(3)]
    # Its place in the table is behind the others from here on.
    DeviceResult.objects.filter(pk=rows[0].pk).update(hostname="moved")

    def take() -> list[DeviceResult]:
        with transaction.atomic(), connection.cursor() as cursor:
            # A small table would be read in the order of its index.
            cursor.execute("SET LOCAL enable_indexscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
            return run_take_wave(run=run)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            DeviceResult.objects.select_for_update().get(pk=rows[1].pk)
            taking = in_thread(pool, take)
            wait_for(waits_for_lock, "the wave to wait for a device")
            free = [is_free(run.results.filter(pk=rows[number].pk)) for number in (0, 2)]
        assert [one.pk for one in taking.result(30)] == [one.pk for one in rows]
    assert free == [False, True]
