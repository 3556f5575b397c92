"""The life of one device in a run: one claim at a time, late writers write nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from backups.engine.errors import ErrorCategory, HostKeyRefused
from backups.engine.types import Collection, CommandOutput
from backups.models import Archive, Snapshot, Suspect
from backups.services.commits import snapshots_commit
from backups.services.store import RunLabel, backup_store
from inventory.models import Device
from inventory.platforms.definition import Role
from jobs.choices import FINAL_RESULT_STATUSES, LogLevel, ResultStatus, RunStatus
from jobs.models import ConnectionLog, DeviceResult, JobRun
from jobs.policy import MAX_LOSSES
from jobs.services.backup import device_back_up
from jobs.services.claims import Claim
from jobs.services.results import (
    claim_holds,
    leases_renew,
    result_claim,
    result_fail,
    result_retry,
    result_succeed,
    result_suspect,
    results_take_expired,
    results_take_unanswered,
)
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobRunFactory,
    backup_outcome,
)
from tests.support.threads import all_at_once, in_thread, waits_for_lock
from tests.support.waiting import wait_for

LABEL = RunLabel(run_id=1, job_name="nightly")


def claimed() -> tuple[DeviceResult, Claim]:
    result = result_claim(result_id=DeviceResultFactory.create().pk)
    assert result is not None
    return result, Claim(result.pk, result.attempts)


def fail(claim: Claim) -> bool:
    return result_fail(
        claim=claim, status=ResultStatus.FAILED, category=ErrorCategory.AUTHENTICATION, message="no"
    )


# --- Claims -------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_claim_raises_the_token_and_sets_the_lease() -> None:
    result, claim = claimed()
    assert (result.status, result.attempts) == (ResultStatus.RUNNING, 1)
    assert result.lease_until is not None and result.lease_until > timezone.now()
    assert result.started_at is not None
    assert claim_holds(claim=claim)
    assert result_claim(result_id=result.pk) is None


@pytest.mark.django_db
@pytest.mark.parametrize("status", sorted(set(RunStatus) - {RunStatus.RUNNING}))
def test_only_a_running_run_gives_out_devices(status: RunStatus) -> None:
    result = DeviceResultFactory.create()
    JobRun.objects.update(
        status=status, finished_at=None if status == RunStatus.PENDING else timezone.now()
    )
    assert result_claim(result_id=result.pk) is None


@pytest.mark.django_db
def test_a_result_that_does_not_exist_is_not_claimed() -> None:
    assert result_claim(result_id=999_999_999) is None


@pytest.mark.django_db(transaction=True)
def test_a_claim_that_waited_for_another_one_is_lost() -> None:
    result = DeviceResultFactory.create()
    first_may_commit = threading.Event()

    def first() -> bool:
        with transaction.atomic():
            won = result_claim(result_id=result.pk) is not None
            assert first_may_commit.wait(30)
        return won

    with ThreadPoolExecutor(2) as pool:
        one = in_thread(pool, first)
        wait_for(lambda: _is_locked(result.pk), "the first claim")
        two = in_thread(pool, lambda: result_claim(result_id=result.pk) is not None)
        wait_for(waits_for_lock, "the second claim to wait")
        first_may_commit.set()
        assert (one.result(30), two.result(30)) == (True, False)
    result.refresh_from_db()
    assert result.attempts == 1


def _is_locked(result_id: int) -> bool:
    with transaction.atomic():
        rows = DeviceResult.objects.select_for_update(skip_locked=True).filter(pk=result_id)
        return not rows.exists() or not list(rows)


@pytest.mark.django_db(transaction=True)
def test_of_many_claims_at_once_one_wins() -> None:
    for _ in range(5):
        result = DeviceResultFactory.create()
        claim = partial(result_claim, result_id=result.pk)
        assert sum(won is not None for won in all_at_once(6, claim)) == 1
        result.refresh_from_db()
        assert result.attempts == 1


# --- Writes -------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_late_writer_writes_nothing() -> None:
    result, claim = claimed()
    DeviceResult.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    results_take_expired(limit=10)
    again = result_claim(result_id=result.pk)
    assert again is not None and again.attempts == 2
    before = DeviceResult.objects.values().get()
    snapshot = backup_store(device=DeviceFactory.create(), outcome=backup_outcome(), label=LABEL)
    assert snapshot is not None
    assert not claim_holds(claim=claim)
    assert not result_succeed(claim=claim, snapshot=snapshot, changed=True)
    assert not result_suspect(claim=claim, reasons=["x"])
    assert not fail(claim)
    assert not result_retry(
        claim=claim, category=ErrorCategory.UNEXPECTED, message="x", delay_seconds=0
    )
    leases_renew(claims=[claim])
    assert DeviceResult.objects.values().get() == before


@pytest.mark.django_db
def test_an_end_is_final() -> None:
    result, claim = claimed()
    assert fail(claim)
    before = DeviceResult.objects.values().get()
    assert not fail(claim)
    assert result_claim(result_id=result.pk) is None
    assert DeviceResult.objects.values().get() == before
    assert (before["lease_until"], before["retry_at"]) == (None, None)
    assert before["duration_seconds"] is not None and before["duration_seconds"] >= 0


@pytest.mark.django_db
def test_messages_fit_their_column_and_hold_no_secret() -> None:
    _, claim = claimed()
    message = "password hunter2-CANARY " + "x" * 5000
    result_fail(
        claim=claim,
        status=ResultStatus.FAILED,
        category=ErrorCategory.UNEXPECTED,
        message=message,
    )
    stored = DeviceResult.objects.get().error_message
    assert len(stored) <= 500
    assert "CANARY" not in stored


@pytest.mark.django_db
def test_a_retry_waits_for_its_time() -> None:
    result, claim = claimed()
    assert result_retry(
        claim=claim, category=ErrorCategory.READ_TIMEOUT, message="slow", delay_seconds=3600
    )
    assert result_claim(result_id=result.pk) is None
    DeviceResult.objects.update(retry_at=timezone.now() - timedelta(seconds=1))
    again = result_claim(result_id=result.pk)
    assert again is not None and again.attempts == 2
    assert again.started_at == result.started_at


@pytest.mark.django_db
def test_only_living_claims_are_renewed() -> None:
    first, claim = claimed()
    other, _ = claimed()
    past = timezone.now() - timedelta(seconds=5)
    DeviceResult.objects.update(lease_until=past)
    leases_renew(claims=[claim, Claim(other.pk, 99)])
    first.refresh_from_db()
    other.refresh_from_db()
    assert first.lease_until is not None and first.lease_until > timezone.now()
    assert other.lease_until == past
    leases_renew(claims=[])


@pytest.mark.django_db
def test_messages_that_nobody_answered_are_found_once() -> None:
    old = timezone.now() - timedelta(hours=1)
    lost = DeviceResultFactory.create(queued_at=old)
    due = DeviceResultFactory.create(queued_at=old, status="RETRYING", retry_at=old)
    DeviceResultFactory.create()
    DeviceResultFactory.create(queued_at=None)
    DeviceResultFactory.create(queued_at=old, status="RETRYING", retry_at=timezone.now())
    DeviceResultFactory.create(queued_at=old, status="FAILED", finished_at=old)
    DeviceResultFactory.create(queued_at=old, run=JobRunFactory.create(status="PENDING"))
    assert {row.pk for row in results_take_unanswered(limit=10)} == {lost.pk, due.pk}
    assert results_take_unanswered(limit=10) == []


# --- The state machine --------------------------------------------------------------------------


class OneDevice(RuleBasedStateMachine):
    """One row, many tasks: the row must follow the model whatever order things come in."""

    @initialize()
    def start(self) -> None:
        self.pk = DeviceResultFactory.create().pk
        self.status = ResultStatus.PENDING
        self.attempts = self.losses = 0
        self.live: Claim | None = None
        self.stale: list[Claim] = []

    def row(self) -> DeviceResult:
        return DeviceResult.objects.get(pk=self.pk)

    def end(self, status: ResultStatus) -> None:
        self.status = status
        self.drop()

    def drop(self) -> None:
        if self.live is not None:
            self.stale.append(self.live)
        self.live = None

    @rule()
    def claim(self) -> None:
        won = result_claim(result_id=self.pk)
        due = self.status == ResultStatus.PENDING or (
            self.status == ResultStatus.RETRYING and self.due
        )
        assert (won is not None) == due
        if won is not None:
            self.attempts += 1
            self.live = Claim(self.pk, self.attempts)
            self.status = ResultStatus.RUNNING

    @precondition(lambda self: self.live is not None)
    @rule(status=st.sampled_from([ResultStatus.FAILED, ResultStatus.ERRORED]))
    def fail(self, status: ResultStatus) -> None:
        assert self.live is not None
        assert result_fail(
            claim=self.live, status=status, category=ErrorCategory.UNEXPECTED, message="x"
        )
        self.end(status)

    @precondition(lambda self: self.live is not None)
    @rule(due=st.booleans())
    def retry(self, due: bool) -> None:
        assert self.live is not None
        delay = -1 if due else 3600
        assert result_retry(
            claim=self.live, category=ErrorCategory.UNEXPECTED, message="x", delay_seconds=delay
        )
        self.due = due
        self.end(ResultStatus.RETRYING)

    @precondition(lambda self: self.live is not None)
    @rule()
    def suspect(self) -> None:
        assert self.live is not None
        assert result_suspect(claim=self.live, reasons=["short"])
        self.end(ResultStatus.SUSPECT)

    @precondition(lambda self: self.live is not None)
    @rule()
    def lose_the_worker(self) -> None:
        DeviceResult.objects.filter(pk=self.pk).update(
            lease_until=timezone.now() - timedelta(seconds=1)
        )
        taken = [row.pk for row in results_take_expired(limit=10)]
        self.losses += 1
        again = self.losses < MAX_LOSSES
        assert taken == ([self.pk] if again else [])
        self.end(ResultStatus.PENDING if again else ResultStatus.ERRORED)

    @precondition(lambda self: self.live is not None)
    @rule()
    def renew(self) -> None:
        assert self.live is not None
        leases_renew(claims=[self.live, *self.stale])
        assert results_take_expired(limit=10) == []

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def write_late(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.stale))
        before = DeviceResult.objects.filter(pk=self.pk).values().get()
        assert not claim_holds(claim=claim)
        assert not fail(claim)
        assert not result_suspect(claim=claim, reasons=["late"])
        leases_renew(claims=[claim])
        assert DeviceResult.objects.filter(pk=self.pk).values().get() == before

    @invariant()
    def the_row_follows(self) -> None:
        row = self.row()
        assert (row.status, row.attempts, row.losses) == (self.status, self.attempts, self.losses)
        assert (row.finished_at is not None) == (self.status in FINAL_RESULT_STATUSES)
        assert (row.lease_until is not None) == (self.status == ResultStatus.RUNNING)


@pytest.mark.django_db
def test_state_machine() -> None:
    run_state_machine_as_test(
        OneDevice,
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# --- Storing ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_equal_content_makes_no_second_snapshot() -> None:
    device = DeviceFactory.create()
    first = backup_store(device=device, outcome=backup_outcome(), label=LABEL)
    assert first == backup_store(device=device, outcome=backup_outcome(), label=LABEL)
    assert (Snapshot.objects.count(), Archive.objects.count()) == (1, 1)


@pytest.mark.django_db
def test_a_changed_secret_makes_an_archive_and_no_snapshot() -> None:
    device = DeviceFactory.create()
    for raw in (b"secret one", b"secret two", b"secret two"):
        backup_store(device=device, outcome=backup_outcome(raw=raw), label=LABEL)
    assert (Snapshot.objects.count(), Archive.objects.count()) == (1, 2)


@pytest.mark.django_db
def test_content_that_comes_back_is_a_new_revision() -> None:
    device = DeviceFactory.create()
    for text in ("a\n", "b\n", "a\n"):
        backup_store(device=device, outcome=backup_outcome(text), label=LABEL)
    assert Snapshot.objects.count() == 3


@pytest.mark.django_db
def test_suspect_output_is_archived_only() -> None:
    device = DeviceFactory.create()
    outcome = backup_outcome(suspicions=("cut",), raw=b"half")
    assert backup_store(device=device, outcome=outcome, label=LABEL) is None
    assert (Snapshot.objects.count(), Archive.objects.get().snapshot) == (0, None)
    assert Suspect.objects.get().reasons == ["cut"]


@pytest.mark.django_db
def test_the_first_host_key_stays() -> None:
    device = DeviceFactory.create()
    for key in ("ssh-ed25519 AAAA", "ssh-ed25519 AAAA", None):
        backup_store(device=device, outcome=backup_outcome(host_key=key), label=LABEL)
    with pytest.raises(HostKeyRefused), transaction.atomic():
        backup_store(
            device=device, outcome=backup_outcome(host_key="ssh-ed25519 BBBB"), label=LABEL
        )
    device.refresh_from_db()
    assert device.host_key == "ssh-ed25519 AAAA"


@pytest.mark.django_db(transaction=True)
def test_runs_that_store_at_once_make_one_first_snapshot(git_directory: Path) -> None:
    device = DeviceFactory.create()

    def store() -> int:
        snapshot = backup_store(device=device, outcome=backup_outcome(), label=LABEL)
        snapshots_commit(device_id=device.pk)
        assert snapshot is not None
        return int(snapshot.pk)

    assert len(set(all_at_once(6, store))) == 1
    snapshot = Snapshot.objects.get()
    assert snapshot.state == "COMMITTED" and len(snapshot.commit) == 40
    assert Archive.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_new_run_does_not_wait_for_a_commit(configure: Callable[..., None]) -> None:
    device = DeviceFactory.create()
    done = threading.Event()

    def hold() -> None:
        with transaction.atomic():
            backup_store(device=device, outcome=backup_outcome(), label=LABEL)
            held.set()
            assert done.wait(30)

    held = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        holding = in_thread(pool, hold)
        try:
            assert held.wait(30)
            DeviceResultFactory.create(device=device)
        finally:
            done.set()
        holding.result(30)


# --- What a session showed beside the configuration ---------------------------------------------


class Replay:
    """A collector that brings home recorded outputs: the simulated devices are always saved."""

    def collect(self, *arguments: object) -> Collection:
        texts = {
            Role.RUNNING: "hostname core\nline vty 0 4\nend\n",
            Role.STARTUP: "hostname core\nend\n",
            Role.VERSION: "% Invalid input Zq9-CANARY-password\n",
        }
        outputs = tuple(
            CommandOutput(command=f"show {role}", role=role, payload=text.encode())
            for role, text in texts.items()
        )
        return Collection(
            outputs=outputs, host_key=None, phase_seconds={}, notes=("'show x': no answer",)
        )


@pytest.mark.django_db(transaction=True)
def test_the_connection_log_tells_what_else_was_seen(
    git_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.services.backup.NetmikoCollector", Replay)
    row = DeviceResultFactory.create(credential=CredentialFactory.create())
    result = result_claim(result_id=row.pk)
    assert result is not None
    done = device_back_up(result=result)
    assert done is not None and done.status == ResultStatus.SUCCEEDED
    messages = list(
        ConnectionLog.objects.filter(level=LogLevel.WARNING).values_list("message", flat=True)
    )
    assert len(messages) == 3
    text = "\n".join(messages)
    assert "'show x': no answer" in text
    assert "'show version': the device rejected it: % Invalid input" in text
    assert "the running-config is not saved" in text
    assert "CANARY" not in text
    assert Device.objects.get().has_unsaved_config is True
