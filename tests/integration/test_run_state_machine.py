"""Runs under every order of events: nothing is lost, nothing done twice, everything ends.

The database is the real one. The broker is the adversary here, so a bag plays it: its messages come
in any order, twice, or never. Time passes by moving the times that stand in the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.db import transaction
from django.db.models import F, Model, QuerySet
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
from kombu.exceptions import OperationalError

from backups.engine.errors import ErrorCategory
from backups.models import Snapshot
from backups.services.store import RunLabel, backup_store
from inventory.models import Device
from jobs.choices import (
    FINAL_RESULT_STATUSES,
    FINAL_RUN_STATUSES,
    OPEN_RUN_STATUSES,
    ResultStatus,
    RunStatus,
    Trigger,
)
from jobs.models import DeviceResult, Job, JobRun
from jobs.policy.transitions import RESULT_CLAIM, RESULT_MOVES, RETRYABLE_STATUSES, RUN_MOVES, Move
from jobs.reconcile import reconcile
from jobs.services.claims import Claim
from jobs.services.early_end import run_cancel, run_fail
from jobs.services.parking import parked_release_all
from jobs.services.results import (
    claims_gone,
    leases_renew,
    result_claim,
    result_fail,
    result_retry,
    result_skip,
    result_succeed,
    result_suspect,
)
from jobs.services.run_creation import JobBusy, NothingToRetry, run_create, run_create_retry
from jobs.services.runs import run_finalise, run_start
from jobs.tasks import dispatch_run, run_advance
from tests.factories import CredentialFactory, DeviceFactory, JobFactory, backup_outcome

#: Far beyond every lease, message and retry, far below the deadline of a run.
HOUR = timedelta(hours=1)
#: A device may lose its worker twice and then wait for its turn in a later wave.
ROUNDS_TO_THE_END = 12

#: Rows of a table by their ids.
Rows = dict[int, dict[str, Any]]

TROUBLE = ("broker down", "messages lost", "device deleted", "deadline", "cancelled", "failed")
EARLY_ENDS: dict[str, Callable[[JobRun], bool]] = {
    "cancelled": lambda run: run_cancel(run=run, cancelled_by="jane"),
    "failed": lambda run: run_fail(
        run=run, status=RunStatus.FAILED_DISPATCHER_ERROR, reason="broken"
    ),
}
WRITES = ("succeed", "suspect", "fail", "retry now", "retry later", "skip")


@dataclass(slots=True)
class Bag:
    """The broker: what was sent and may be delivered, any number of times."""

    is_up: bool = True
    #: Ids of runs that are to be started, and of device results that are to be read.
    starts: list[int] = field(default_factory=list)
    devices: list[int] = field(default_factory=list)

    def send(self, results: Iterable[DeviceResult]) -> None:
        if not self.is_up:
            raise OperationalError
        self.devices += [result.pk for result in results]

    def lose_all(self) -> None:
        self.starts.clear()
        self.devices.clear()

    def ring(self, run_id: int) -> None:
        if self.is_up:
            self.starts.append(run_id)


def rows_of(model: type[Model]) -> Rows:
    return {row["id"]: dict(row) for row in model._default_manager.values()}


def followers(moves: Iterable[Move[Any]]) -> dict[str, set[str]]:
    """Each status with all that may come after it, at once or later, and itself."""
    after: dict[str, set[str]] = {}
    for move in moves:
        for source in move.sources:
            after.setdefault(source, {source}).update(move.targets)
    for _ in after:
        for reached in after.values():
            reached.update(*(after.get(status, {status}) for status in set(reached)))
    return after


class RunsOfOneJob(RuleBasedStateMachine):
    """One job, one run at a time, workers that crash and freeze, and a person who interferes."""

    bag: ClassVar[Bag]
    snapshot: ClassVar[Snapshot]
    run_followers = followers(RUN_MOVES)
    result_followers = followers(RESULT_MOVES)

    @initialize(
        count=st.sampled_from([1, 1, 2, 3, 5]),
        without_credential=st.integers(0, 1),
        started=st.booleans(),
    )
    def start(self, count: int, without_credential: int, started: bool) -> None:
        self.example = ExitStack()
        self.example.enter_context(transaction.atomic())
        self.bag.is_up = True
        self.bag.lose_all()
        CredentialFactory.create(tags=["known"])
        self.devices: list[Device] = [
            DeviceFactory.create(tags=["all"] if number < without_credential else ["all", "known"])
            for number in range(count)
        ]
        self.job: Job = JobFactory.create(tags=["all"])
        #: Claims whose task works, and those whose task was killed or has frozen.
        self.live: list[Claim] = []
        self.gone: list[Claim] = []
        self.ends: Counter[int] = Counter()
        self.results_before: Rows = {}
        self.runs_before: Rows = {}
        self.ask_for_a_run()
        if started:
            dispatch_run(self.bag.starts.pop())

    def teardown(self) -> None:
        if not hasattr(self, "example"):
            return
        try:
            self.everything_ends()
        finally:
            transaction.set_rollback(True)
            self.example.close()

    # --- The broker and the workers -------------------------------------------------------------

    @rule(data=st.data(), again=st.booleans())
    def deliver(self, data: st.DataObject, again: bool) -> None:
        """A message comes, and perhaps once more later."""
        deliveries: list[tuple[list[int], Callable[[int], object]]]
        deliveries = [(self.bag.starts, dispatch_run), (self.bag.devices, self.claim)]
        possible = [(messages, deliver) for messages, deliver in deliveries if messages]
        if not possible:
            return
        messages, deliver = data.draw(st.sampled_from(possible))
        pk = data.draw(st.sampled_from(messages))
        if not again:
            messages.remove(pk)
        deliver(pk)

    def wake(self) -> None:
        """What the heartbeat does for parked devices."""
        released = parked_release_all()
        if self.bag.is_up:
            self.bag.send(released.results)
        for run_id in released.run_ids:
            run_advance(run_id)

    def take_a_claim(self, data: st.DataObject) -> Claim | None:
        """The claim of a task at work; if there is none, all messages come to make one."""
        if not self.live:
            if self.open_run() is None:
                self.ask_for_a_run()
            self.deliver_everything()
        if not self.live:
            return None
        claim = data.draw(st.sampled_from(self.live))
        self.live.remove(claim)
        self.gone.append(claim)
        return claim

    def deliver_everything(self) -> None:
        for run_id in self.bag.starts:
            dispatch_run(run_id)
        for result_id in self.bag.devices:
            self.claim(result_id)
        self.bag.lose_all()

    def claim(self, result_id: int) -> None:
        before = DeviceResult.objects.select_related("run").get(pk=result_id)
        won = result_claim(result_id=result_id)
        if won is not None:
            assert before.status in RESULT_CLAIM.sources
            assert before.run.status == RunStatus.RUNNING
            assert won.attempts == before.attempts + 1
            self.live.append(Claim(won.pk, won.attempts))

    @rule(data=st.data(), taken_over=st.booleans())
    def fall_silent(self, data: st.DataObject, taken_over: bool) -> None:
        """A worker crashes or freezes, and perhaps another one gets its device."""
        claim = self.take_a_claim(data)
        if claim is not None and taken_over:
            self.an_hour_passes()
            reconcile()
            self.claim(claim.result_id)

    @rule(data=st.data(), how=st.sampled_from(WRITES), goes_on=st.booleans())
    def finish(self, data: st.DataObject, how: str, goes_on: bool) -> None:
        """A task ends, and perhaps the run is told."""
        claim = self.take_a_claim(data)
        if claim is None:
            return
        self.write(claim, how)
        if goes_on:
            run_advance(DeviceResult.objects.get(pk=claim.result_id).run_id)

    @precondition(lambda self: self.gone)
    @rule(data=st.data(), how=st.sampled_from(WRITES))
    def write_late(self, data: st.DataObject, how: str) -> None:
        taken = {claim.result_id for claim in self.live}
        rivals = [claim for claim in self.gone if claim.result_id in taken]
        self.write(data.draw(st.sampled_from(rivals or self.gone)), how)

    def write(self, claim: Claim, how: str) -> None:
        """A write takes effect exactly when its claim still stands, and else changes nothing."""
        rows = DeviceResult.objects.filter(pk=claim.result_id)
        before = rows.values().get()
        holds = (before["status"], before["attempts"]) == ("RUNNING", claim.attempt)
        assert (claims_gone(claims=[claim]) == set()) == holds
        assert self._writers(claim)[how]() == holds
        if not holds:
            assert rows.values().get() == before
        elif how.startswith("retry"):
            self.bag.devices.append(claim.result_id)
        else:
            self.ends[claim.result_id] += 1

    def _writers(self, claim: Claim) -> dict[str, Callable[[], bool]]:
        slow: dict[str, Any] = {"category": ErrorCategory.READ_TIMEOUT, "message": "slow"}
        return {
            "succeed": lambda: result_succeed(claim=claim, snapshot=self.snapshot, changed=True),
            "suspect": lambda: result_suspect(claim=claim, reasons=["short"]),
            "fail": lambda: result_fail(claim=claim, status=ResultStatus.FAILED, **slow),
            "retry now": lambda: result_retry(claim=claim, delay_seconds=-1, **slow),
            "retry later": lambda: result_retry(claim=claim, delay_seconds=60, **slow),
            "skip": lambda: result_skip(claim=claim, reason="deleted"),
        }

    # --- Time and repair ------------------------------------------------------------------------

    def an_hour_passes(self) -> None:
        DeviceResult.objects.exclude(status__in=FINAL_RESULT_STATUSES).update(
            queued_at=F("queued_at") - HOUR,
            retry_at=F("retry_at") - HOUR,
            lease_until=F("lease_until") - HOUR,
        )
        self.open_runs().update(queued_at=F("queued_at") - HOUR)
        leases_renew(claims=self.live)

    @rule(data=st.data(), how=st.sampled_from(["later", "advance", "finalise"]))
    def go_on(self, data: st.DataObject, how: str) -> None:
        if how == "later":
            self.an_hour_passes()
            reconcile()
            self.wake()
            return
        run = self.any_run(data)
        if how == "advance":
            run_advance(run.pk)
            return
        ready = run.status == RunStatus.RUNNING and not self.open_results(run)
        assert run_finalise(run=run) == ready

    @rule(data=st.data(), what=st.sampled_from(TROUBLE))
    def trouble(self, data: st.DataObject, what: str) -> None:
        self.bag.is_up = what != "broker down"
        if what == "messages lost":
            self.bag.lose_all()
        if what == "device deleted" and self.devices:
            self.devices.pop().delete()
        if what == "deadline":
            self.open_runs().update(deadline_at=timezone.now())
            reconcile()
        if what in {"cancelled", "failed"}:
            run = self.any_run(data)
            assert EARLY_ENDS[what](run) == (run.status in OPEN_RUN_STATUSES)
            assert run_start(run=run) is False

    # --- People ---------------------------------------------------------------------------------

    def ask_for_a_run(self) -> None:
        is_busy = self.open_run() is not None
        try:
            self.bag.ring(run_create(job=self.job, trigger=Trigger.MANUAL).pk)
        except JobBusy:
            assert is_busy
        else:
            assert not is_busy

    @rule(data=st.data(), whole=st.booleans())
    def ask_again(self, data: st.DataObject, whole: bool) -> None:
        if whole:
            self.ask_for_a_run()
            return
        run = self.any_run(data)
        failed = run.results.filter(status__in=RETRYABLE_STATUSES, device__isnull=False).count()
        possible = run.status in FINAL_RUN_STATUSES and failed > 0
        try:
            retry = run_create_retry(run=run, trigger=Trigger.RETRY)
        except NothingToRetry:
            assert not possible
        except JobBusy:
            assert possible and self.open_run() is not None
        else:
            assert possible and retry.total_count == failed
            self.bag.ring(retry.pk)

    # --- What must always hold ------------------------------------------------------------------

    @invariant()
    def everything_fits(self) -> None:
        results, runs = rows_of(DeviceResult), rows_of(JobRun)
        self.nothing_final_changes(results, runs)
        for pk, run in runs.items():
            self.the_run_fits_its_devices(
                run, [row["status"] for row in results.values() if row["run_id"] == pk]
            )
        assert sum(run["status"] in OPEN_RUN_STATUSES for run in runs.values()) <= 1
        assert all(count == 1 for count in self.ends.values())
        self.results_before, self.runs_before = results, runs

    def nothing_final_changes(self, results: Rows, runs: Rows) -> None:
        for pk, before in self.results_before.items():
            row = results[pk]
            assert row["status"] in self.result_followers.get(before["status"], {before["status"]})
            assert row["attempts"] >= before["attempts"] and row["losses"] >= before["losses"]
            if before["status"] in FINAL_RESULT_STATUSES:
                # Only the device may go.
                assert row | {"device_id": None} == before | {"device_id": None}
        for pk, before in self.runs_before.items():
            followers = self.run_followers.get(before["status"], {before["status"]})
            assert runs[pk]["status"] in followers
            # That people were told of its end is noted afterwards.
            told = {"notified_at": None}
            is_open = before["status"] in OPEN_RUN_STATUSES
            assert is_open or runs[pk] | told == before | told

    def the_run_fits_its_devices(self, run: dict[str, Any], statuses: list[str]) -> None:
        assert len(statuses) == run["total_count"]
        if run["status"] in OPEN_RUN_STATUSES:
            return
        counts = Counter(statuses)
        assert set(counts) <= FINAL_RESULT_STATUSES
        for status in FINAL_RESULT_STATUSES:
            assert run[f"{status.lower()}_count"] == counts[status]

    def everything_ends(self) -> None:
        """With workers that do their work, repair alone brings every run to its end."""
        self.bag.is_up = True
        self.bag.lose_all()
        self.gone += self.live
        self.live.clear()
        for _ in range(ROUNDS_TO_THE_END):
            if self.open_run() is None:
                break
            self.an_hour_passes()
            reconcile()
            self.deliver_everything()
            while self.live:
                self.write(self.live.pop(), "succeed")
                self.wake()
                self.deliver_everything()
        assert self.open_run() is None
        self.everything_fits()

    # --- Looking --------------------------------------------------------------------------------

    def any_run(self, data: st.DataObject) -> JobRun:
        return data.draw(st.sampled_from(list(JobRun.objects.order_by("-pk")[:2])))

    def open_run(self) -> JobRun | None:
        return self.open_runs().first()

    def open_runs(self) -> QuerySet[JobRun]:
        return JobRun.objects.filter(status__in=OPEN_RUN_STATUSES)

    def open_results(self, run: JobRun) -> bool:
        return run.results.exclude(status__in=FINAL_RESULT_STATUSES).exists()


@pytest.mark.slow
@pytest.mark.django_db
def test_nothing_is_lost_whatever_the_order(
    monkeypatch: pytest.MonkeyPatch, configure: Callable[..., None]
) -> None:
    configure(wave_size=2)
    bag = Bag()
    monkeypatch.setattr("jobs.tasks.send_wave", lambda _, results: bag.send(results))
    monkeypatch.setattr("jobs.reconcile.resend", lambda results, **_: bag.send(results))
    monkeypatch.setattr("jobs.reconcile.ring", bag.ring)
    RunsOfOneJob.bag = bag
    snapshot = backup_store(
        device=DeviceFactory.create(),
        outcome=backup_outcome(),
        label=RunLabel(run_id=1, job_name="earlier"),
    )
    assert snapshot is not None
    RunsOfOneJob.snapshot = snapshot
    run_state_machine_as_test(
        RunsOfOneJob,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
