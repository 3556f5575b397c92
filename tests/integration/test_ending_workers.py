"""What an ending worker gives back, threads that do not come back, a database that is away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from celery.exceptions import Reject
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from backups.engine.collector import NO_GUARD, LogInGuard, SessionLimits
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.types import Collection, DeviceTarget
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition, get_platform
from jobs import leases
from jobs.choices import ResultStatus
from jobs.models import ConnectionLog, DeviceResult, JobLog
from jobs.services import session_watch
from jobs.services.backup import failure_record
from jobs.services.claims import Claim
from jobs.services.hand_back import claims_hand_back
from jobs.services.results import claim_holds, leases_renew, result_claim, result_fail
from jobs.services.session_watch import WatchedCollector, session_abandon, sessions_overdue
from jobs.services.sessions import outlasts_database
from jobs.tasks import backup_device
from tests.factories import DeviceFactory, DeviceResultFactory
from tests.support.stored import store
from tests.support.threads import in_thread
from tests.support.waiting import wait_for

pytestmark = pytest.mark.django_db

_LIMITS = SessionLimits(
    connect_timeout=1, login_timeout=1, command_timeout=1, deadline=0.1, max_output_bytes=1024
)
_TARGET = DeviceTarget(
    device_id=1, hostname="sw1", address="192.0.2.1", port=22, platform="cisco_ios"
)
_CREDENTIAL = DeviceCredential(name="lab", username="netops")


def claim_one() -> Claim:
    result = result_claim(result_id=DeviceResultFactory.create().pk)
    assert result is not None
    return Claim(result.pk, result.attempts)


def fail(claim: Claim) -> bool:
    return result_fail(
        claim=claim, status=ResultStatus.FAILED, category=ErrorCategory.READ_TIMEOUT, message="late"
    )


def test_a_device_that_is_handed_back_is_pending_at_once_and_not_lost() -> None:
    claim, other = claim_one(), claim_one()
    [result] = claims_hand_back(claims=[claim])
    row = DeviceResult.objects.get(pk=claim.result_id)
    assert (row.status, row.attempts, row.losses) == (ResultStatus.PENDING, 1, 0)
    assert (row.lease_until, result.pk) == (None, row.pk)
    assert row.queued_at is not None
    assert DeviceResult.objects.get(pk=other.result_id).status == ResultStatus.RUNNING
    assert "its worker was stopped" in JobLog.objects.latest("pk").message


def test_a_claim_that_was_handed_back_counts_as_no_attempt(
    configure: Callable[..., None],
) -> None:
    configure(retry_attempts=2)
    claim = claim_one()
    for attempt in range(1, 4):
        claims_hand_back(claims=[Claim(claim.result_id, attempt)])
        assert result_claim(result_id=claim.result_id) is not None
    held = DeviceResult.objects.get(pk=claim.result_id)
    late = DeviceError(ErrorCategory.READ_TIMEOUT, "late")
    first = failure_record(result=held, claim=Claim(held.pk, held.attempts), failure=late)
    assert first is not None and first.status == ResultStatus.RETRYING
    DeviceResult.objects.update(retry_at=timezone.now())
    last = result_claim(result_id=claim.result_id)
    assert last is not None and (last.attempts, last.own_attempts) == (5, 2)
    second = failure_record(result=last, claim=Claim(last.pk, last.attempts), failure=late)
    assert second is not None and second.status == ResultStatus.FAILED


@pytest.mark.django_db(transaction=True)
def test_a_device_that_is_being_stored_keeps_no_other_from_being_handed_back() -> None:
    storing, other, stored = claim_one(), claim_one(), claim_one()
    snapshot = store(DeviceFactory.create(), "hostname a\nend\n")
    DeviceResult.objects.filter(pk=stored.result_id).update(snapshot=snapshot)

    def hand_back() -> list[int]:
        return [one.pk for one in claims_hand_back(claims=[storing, other, stored])]

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        assert claim_holds(claim=storing)
        assert in_thread(pool, hand_back).result(30) == [other.result_id]


def test_whoever_handed_a_device_back_writes_nothing_more() -> None:
    claim = claim_one()
    claims_hand_back(claims=[claim])
    assert not fail(claim)
    leases_renew(claims=[claim])
    again = result_claim(result_id=claim.result_id)
    assert again is not None and again.attempts == 2
    assert not fail(claim)
    assert claims_hand_back(claims=[claim]) == []
    assert DeviceResult.objects.get(pk=claim.result_id).status == ResultStatus.RUNNING


def test_an_ending_worker_takes_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_closed", True)
    result = DeviceResultFactory.create()
    with pytest.raises(Reject, match="the worker ends") as rejected:
        backup_device.run(result.pk)
    assert "requeue=True" in repr(rejected.value)
    row = DeviceResult.objects.get(pk=result.pk)
    assert (row.status, row.attempts) == (ResultStatus.PENDING, 0)


def test_an_ending_worker_hands_back_what_is_just_being_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leases, "_closed", False)
    claim, closed = Claim(1, 1), threading.Event()
    held: list[Claim] = []

    def end() -> None:
        held.extend(leases.close())
        closed.set()

    with leases.taking():
        threading.Thread(target=end).start()
        wait_for(lambda: leases._closed, "the close")
        assert not closed.is_set()
        leases.hold(claim)
    assert closed.wait(20)
    leases.release(claim)
    assert held == [claim]


class Stuck:
    """A collector that no deadline wakes."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def collect(
        self,
        target: DeviceTarget,
        credential: DeviceCredential,
        platform: PlatformDefinition,
        limits: SessionLimits,
        guard: LogInGuard = NO_GUARD,
    ) -> Collection:
        self.go_on.wait(30)
        return Collection(outputs=(), host_key=None, phase_seconds={})


def test_a_thread_that_does_not_come_back_loses_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_watch, "GRACE_SECONDS", 0.1)
    claim, stuck = claim_one(), Stuck()
    watched = WatchedCollector(stuck, claim)
    arguments = (_TARGET, _CREDENTIAL, get_platform("cisco_ios"), _LIMITS)
    thread = threading.Thread(target=watched.collect, args=arguments)
    thread.start()
    try:
        wait_for(lambda: bool(sessions_overdue()), "an overdue session")
        [session] = sessions_overdue()
        assert session.claim == claim
        assert session_abandon(session=session)
        assert not session_abandon(session=session)
    finally:
        stuck.go_on.set()
        thread.join(10)
    assert sessions_overdue() == []
    assert not fail(claim)
    row = DeviceResult.objects.get(pk=claim.result_id)
    assert (row.status, row.error_category) == (ResultStatus.FAILED, ErrorCategory.DEADLINE)
    assert "does not answer" in ConnectionLog.objects.get().message


def test_a_session_in_time_is_not_overdue() -> None:
    stuck = Stuck()
    stuck.go_on.set()
    watched = WatchedCollector(stuck, Claim(1, 1))
    watched.collect(_TARGET, _CREDENTIAL, get_platform("cisco_ios"), _LIMITS)
    assert sessions_overdue() == []


def lost_once() -> Callable[[], int]:
    """Work whose connection the server ends when it is done for the first time."""
    calls: list[None] = []

    @outlasts_database
    def work() -> int:
        calls.append(None)
        with connection.cursor() as cursor:
            if len(calls) == 1:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            cursor.execute("SELECT 1")
        return len(calls)

    return work


@pytest.mark.django_db(transaction=True)
def test_work_is_done_again_when_the_database_was_away() -> None:
    assert lost_once()() == 2


def lives(pid: int) -> bool:
    """Whether the server has a session with this process id, as another session sees it."""

    def ask() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid])
            return cursor.fetchone() is not None

    with ThreadPoolExecutor(1) as pool:
        return in_thread(pool, ask).result(30)


@pytest.mark.django_db(transaction=True)
def test_work_is_done_again_whose_transaction_was_idle_for_too_long() -> None:
    calls: list[None] = []

    @outlasts_database
    def work() -> int:
        calls.append(None)
        with transaction.atomic(), connection.cursor() as cursor:
            if len(calls) == 1:
                cursor.execute("SELECT pg_backend_pid()")
                [pid] = cursor.fetchone()
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '1ms'")
                wait_for(lambda: not lives(pid), "the server to end the transaction")
            cursor.execute("SELECT 1")
        return len(calls)

    assert work() == 2


@pytest.mark.django_db(transaction=True)
def test_nothing_is_done_again_inside_a_transaction() -> None:
    with pytest.raises(OperationalError), transaction.atomic():
        lost_once()()
