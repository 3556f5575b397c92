"""The lockout guard: a wrong password reaches few devices, however many threads are at it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import transaction
from django.utils import timezone

from backups.engine.errors import DeviceError, ErrorCategory
from backups.targets import device_target
from credentials.models import Credential
from credentials.services import credential_create, tags_ensure
from inventory.models import JumpHost
from jobs.choices import ResultStatus, RunStatus, Trigger
from jobs.launch import request_run
from jobs.models import DeviceResult, JobLog, JobRun, RunCredential
from jobs.models.results import PARKED
from jobs.selectors.limits import parked_lines
from jobs.services.backup import device_back_up
from jobs.services.claims import Claim
from jobs.services.guard import RunGuard
from jobs.services.lockout import (
    _written,
    credential_accepted,
    log_in_permit,
    results_reassign,
)
from jobs.services.parking import parked_release, parked_release_all, result_withhold, room_made
from jobs.services.results import result_claim, result_fail
from jobs.services.runs import run_resolve_credentials, run_take_wave
from jobs.waking import wake_if_elected
from netraven_site.demo.simulator import DeviceSpec, Fault, FaultKind
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobRunFactory,
    JumpHostFactory,
)
from tests.support.devices import ThreadedFleet, device_spec, fleet_in_thread
from tests.support.inventory import TAG, add_credential, add_device, add_job
from tests.support.sessions_seen import sessions_seen
from tests.support.threads import all_at_once, in_thread, is_free, waits_for_lock
from tests.support.waiting import wait_for, wait_for_end
from tests.support.worker_in_process import worker_in_process

REFUSED = DeviceError(ErrorCategory.AUTHENTICATION, "no")


# --- With the database --------------------------------------------------------------------------


def run_of(count: int, *, login: Credential | None = None) -> tuple[JobRun, Credential]:
    """A dispatched run over so many devices with one credential."""
    login = login or CredentialFactory.create(name="lab", tags=["all"])
    run = JobRunFactory.create()
    for _ in range(count):
        device = DeviceFactory.create(tags=["all"])
        DeviceResultFactory.create(run=run, device=device, queued_at=None)
    run_resolve_credentials(run=run)
    return run, login


def begin(result: DeviceResult) -> DeviceResult:
    claimed = result_claim(result_id=result.pk)
    assert claimed is not None
    return claimed


def may_log_in(result: DeviceResult) -> bool:
    assert result.credential_id is not None
    return log_in_permit(
        result_id=result.pk,
        attempt=result.attempts,
        run_id=result.run_id,
        credential_id=result.credential_id,
    )


def end(result: DeviceResult, failure: DeviceError = REFUSED) -> None:
    assert result_fail(
        claim=Claim(result.pk, result.attempts),
        status=ResultStatus.FAILED,
        category=failure.category,
        message=failure.message,
    )
    RunGuard(result, lambda: None).count_failure(failure)


def probes(run: JobRun) -> list[DeviceResult]:
    return parked_release(lines=parked_lines(run_id=run.pk)).results


@pytest.mark.django_db
def test_no_more_devices_than_the_limit_need_no_probation() -> None:
    run, _ = run_of(3)
    assert len(run_take_wave(run=run)) == 3
    assert not RunCredential.objects.exists()


@pytest.mark.django_db
def test_an_unproven_credential_is_tried_on_few_until_one_takes_it() -> None:
    run, login = run_of(8)
    assert run_take_wave(run=run) == []
    assert len(probes(run)) == 3
    assert probes(run) == []
    [reason] = set(run.results.values_list("parked_reason", flat=True))
    assert reason == "credential 'lab' is on probation until a device takes it"
    assert credential_accepted(run_id=run.pk, credential_id=login.pk)
    assert not credential_accepted(run_id=run.pk, credential_id=login.pk)
    assert parked_release_all().run_ids == {run.pk}
    assert len(run_take_wave(run=run)) == 5


@pytest.mark.django_db
def test_refusals_in_a_row_set_the_credential_aside() -> None:
    run, login = run_of(6)
    for result in probes(run):
        end(begin(result))
    standing = RunCredential.objects.get()
    refusers = list(run.results.filter(status="FAILED").order_by("finished_at"))
    assert standing.set_aside_at is not None
    assert standing.reason == "3 devices in a row refused it: " + ", ".join(
        one.hostname for one in refusers
    )
    skipped = run.results.filter(status="SKIPPED")
    assert skipped.count() == 3
    assert {one.error_category for one in skipped} == {"credential_set_aside"}
    assert {one.error_message for one in skipped} == {
        f"credential 'lab' is set aside for this run: {standing.reason}; check it, then run the "
        "job again"
    }
    assert JobLog.objects.filter(message__contains="3 have none and are skipped").count() == 1
    assert login.name in JobLog.objects.filter(message__contains="set aside").get().message


@pytest.mark.django_db
def test_each_refusal_leaves_room_for_one_less() -> None:
    run, _ = run_of(8)
    first, second, third = (begin(one) for one in probes(run))
    assert all(may_log_in(one) for one in (first, second, third))
    end(first)
    assert room_made(result=first).results == []  # two are at the log-in, one has refused
    end(second, DeviceError(ErrorCategory.SESSION_DROPPED, "gone"))
    assert len(room_made(result=second).results) == 2  # silence makes room for one more


@pytest.mark.django_db
def test_who_finds_the_log_in_taken_waits_without_having_tried() -> None:
    run, _ = run_of(8)
    RunCredential.objects.update(unanswered=4)
    sessions = [begin(one) for one in probes(run)]
    assert len(sessions) == 7
    assert [may_log_in(one) for one in sessions] == [True] * 3 + [False] * 4
    assert result_withhold(result=sessions[3])
    assert DeviceResult.objects.get(pk=sessions[3].pk).own_attempts == 0
    assert parked_release_all().results == []
    # Its credential is set aside while it was on the way back into the line.
    for one in sessions[:3]:
        end(one)
    assert result_withhold(result=sessions[4])
    assert parked_release_all().run_ids == {run.pk}
    assert run.results.filter(status="SKIPPED").count() == 3
    assert not DeviceResult.objects.filter(PARKED).exists()


@pytest.mark.django_db(transaction=True)
def test_permits_asked_for_at_once_are_not_more_than_the_limit() -> None:
    run, _ = run_of(6)
    RunCredential.objects.update(unanswered=4)
    sessions = [begin(one) for one in probes(run)]
    assert sum(all_at_once(len(sessions), lambda: may_log_in(sessions.pop()))) == 3


@pytest.mark.django_db
def test_the_waiting_devices_take_their_next_credential_on_probation() -> None:
    spare = CredentialFactory.create(name="spare", tags=["all"], priority=200)
    run, _ = run_of(9)
    for result in probes(run):
        end(begin(result))
    waiting = run.results.filter(status="PENDING")
    assert waiting.count() == 6
    assert {one.credential for one in waiting} == {spare}
    assert {tuple(one.limit_keys) for one in waiting} == {(f"trial:{run.pk}:{spare.pk}",)}
    assert len(probes(run)) == 3


@pytest.mark.django_db
def test_a_device_that_comes_back_with_a_credential_set_aside_takes_its_next_one() -> None:
    run, login = run_of(3)
    spare = CredentialFactory.create(name="spare", tags=["all"], priority=200)
    row = run.results.order_by("pk")[0]
    DeviceResult.objects.filter(pk=row.pk).update(attempts=1, losses=1)
    RunCredential.objects.create(
        run=run, credential=login, set_aside_at=timezone.now(), reason="refused"
    )
    got = result_claim(result_id=row.pk)
    assert got is not None and got.credential == spare


@pytest.mark.django_db
def test_after_proof_only_refusals_in_a_row_count() -> None:
    run, login = run_of(8)
    credential_accepted(run_id=run.pk, credential_id=login.pk)
    parked_release_all()
    rows = [begin(one) for one in run_take_wave(run=run)]
    for row in rows[:4]:
        # An acceptance a moment ago may stand for one in between.
        end(row)
        assert RunCredential.objects.get().refusals == 1
    RunCredential.objects.update(accepted_at=timezone.now() - timedelta(seconds=5))
    for row in rows[4:7]:
        end(row)
    assert RunCredential.objects.get().set_aside_at is not None


@pytest.mark.django_db
@pytest.mark.parametrize(
    "failure",
    [
        DeviceError(ErrorCategory.AUTHENTICATION, "jump host 'gate': no", jump_host="gate"),
        DeviceError(ErrorCategory.ENABLE, "no"),
        DeviceError(ErrorCategory.CONNECTION_TIMEOUT, "no"),
    ],
)
def test_what_is_no_refusal_is_not_counted(failure: DeviceError) -> None:
    run, _ = run_of(8)
    for result in probes(run):
        end(begin(result), failure)
    assert RunCredential.objects.get().refusals == 0


def behind(jump_host: JumpHost, run: JobRun) -> DeviceResult:
    """A claimed device of ``run`` behind this jump host, with a proven credential of its own."""
    lab = CredentialFactory.create()
    device = DeviceFactory.create(jump_host=jump_host, credential=lab)
    return begin(DeviceResultFactory.create(run=run, device=device, credential=lab))


def refused_on_the_way(result: DeviceResult, jump_host: JumpHost) -> None:
    guard = RunGuard(result, lambda: None)
    assert result.device is not None
    guard.go_by(device_target(device=result.device).jumps)
    with transaction.atomic():
        assert not guard.count_failure(
            DeviceError(ErrorCategory.AUTHENTICATION, "no", jump_host=jump_host.name)
        )


@pytest.mark.django_db(transaction=True)
def test_a_jump_host_that_refuses_its_credential_is_not_asked_for_every_device() -> None:
    jump_host, run = JumpHostFactory.create(name="bastion"), JobRunFactory.create()
    other = JumpHostFactory.create(name="other", credential=jump_host.credential)
    for _ in range(3):
        refused_on_the_way(behind(jump_host, run), jump_host)
    for host in (jump_host, other):
        result = behind(host, run)
        done = device_back_up(result=result)
        assert done is not None and done.retry_seconds is None
        result.refresh_from_db()
        assert result.error_category == ErrorCategory.CREDENTIAL_SET_ASIDE
        assert "jump host 'bastion' refused it 3 times in a row" in result.error_message
    another_run = behind(jump_host, JobRunFactory.create())
    refused_on_the_way(another_run, jump_host)


@pytest.mark.django_db(transaction=True)
def test_a_log_in_at_a_jump_host_ends_the_row_of_refusals() -> None:
    jump_host, run = JumpHostFactory.create(), JobRunFactory.create()
    for _ in range(2):
        for _ in range(2):
            refused_on_the_way(behind(jump_host, run), jump_host)
        result = behind(jump_host, run)
        guard = RunGuard(result, lambda: None)
        assert result.device is not None
        guard.go_by(device_target(device=result.device).jumps)
        guard.logged_in()
        _written.forget((run.pk, jump_host.credential_id))
    assert RunCredential.objects.get(credential=jump_host.credential).set_aside_at is None


@pytest.mark.django_db
def test_the_guard_can_be_switched_off(configure: Callable[..., None]) -> None:
    configure(lockout_devices=0)
    run, _ = run_of(8)
    rows = run_take_wave(run=run)
    assert len(rows) == 8
    for row in rows:
        end(begin(row))
    assert not RunCredential.objects.exists()


@pytest.mark.django_db
def test_reassigning_twice_changes_nothing() -> None:
    run, login = run_of(5)
    for result in probes(run):
        end(begin(result))
    before = list(run.results.order_by("pk").values())
    results_reassign(run_id=run.pk, credential_id=login.pk)
    assert list(run.results.order_by("pk").values()) == before


@pytest.mark.django_db
def test_devices_with_another_credential_count_in_waves_again(
    configure: Callable[..., None],
) -> None:
    configure(wave_size=1)
    second = CredentialFactory.create(name="second", tags=["all"], priority=200)
    run, _ = run_of(8, login=CredentialFactory.create(name="lab", tags=["all"], priority=1))
    credential_accepted(run_id=run.pk, credential_id=second.pk)
    for result in probes(run):
        end(begin(result))
    assert run.results.filter(status=ResultStatus.PENDING, credential=second).count() == 5
    assert [len(run_take_wave(run=run)) for _ in range(3)] == [1, 1, 0]


# --- With devices and workers -------------------------------------------------------------------


@pytest.fixture
def fifty_threads(transactional_db: None, git_directory: Path) -> Iterator[None]:
    """A worker that reads fifty devices at once, and a heartbeat that wakes."""
    with worker_in_process("control", "devices", "isolated", "git", concurrency=50):
        yield


@contextmanager
def lab(specs: list[DeviceSpec]) -> Iterator[ThreadedFleet]:
    with fleet_in_thread(*specs) as fleet:
        for spec in specs:
            add_device(spec, *fleet.address(spec.hostname))
        yield fleet


def switches(count: int, **fields: object) -> list[DeviceSpec]:
    return [
        device_spec("cisco_ios", f"sw{number:03}", password="Pw-1234567", **fields)
        for number in range(count)
    ]


def ended(run: JobRun, seconds: float = 120) -> JobRun:
    """The run once it has ended, with the heartbeat's part done here."""

    def is_over() -> bool:
        wake_if_elected()
        run.refresh_from_db()
        return run.finished_at is not None

    wait_for(is_over, f"the end of run {run.pk}", seconds)
    return run


def statuses(run: JobRun) -> Counter[tuple[str, str]]:
    return Counter(run.results.values_list("status", "error_category"))


@pytest.mark.usefixtures("fifty_threads")
def test_a_wrong_password_reaches_three_of_a_hundred_devices() -> None:
    specs = switches(100)
    credential_create(
        name="wrong", username="netops", password="not-this-one", tags=tags_ensure(names=[TAG])
    )
    with lab(specs) as fleet:
        run = ended(request_run(job=add_job(), trigger=Trigger.MANUAL))
        tried = sum(fleet.log(spec.hostname)["login_attempts"] for spec in specs)
    assert tried == 3
    assert statuses(run) == {
        ("FAILED", "authentication"): 3,
        ("SKIPPED", "credential_set_aside"): 97,
    }
    assert run.status == RunStatus.COMPLETED_FAILURE


@pytest.mark.usefixtures("fifty_threads")
def test_devices_that_do_not_answer_make_no_room_for_refusals() -> None:
    specs = switches(24)
    wrong = credential_create(
        name="wrong", username="netops", password="not-this-one", tags=tags_ensure(names=[TAG])
    )
    with lab(specs) as fleet:
        with transaction.atomic():
            run = request_run(job=add_job(), trigger=Trigger.MANUAL)
            # As after forty devices that were not reached: all go at once.
            RunCredential.objects.create(run=run, credential=wrong, unanswered=40)
        ended(run)
        logs = [fleet.log(spec.hostname) for spec in specs]
    assert sum(log["login_attempts"] for log in logs) == 3
    assert sum(log["connections"] for log in logs) > 3
    assert statuses(run) == {
        ("FAILED", "authentication"): 3,
        ("SKIPPED", "credential_set_aside"): 21,
    }


@pytest.mark.usefixtures("worker")
def test_the_next_credential_opens_the_devices_that_waited_and_those_that_refused() -> None:
    specs = switches(10)
    credential_create(
        name="wrong",
        username="netops",
        password="not-this-one",
        priority=1,
        tags=tags_ensure(names=[TAG]),
    )
    add_credential(specs[0])
    with lab(specs) as fleet:
        run = ended(request_run(job=add_job(), trigger=Trigger.MANUAL))
        tried = sum(fleet.log(spec.hostname)["login_attempts"] for spec in specs)
    # Three refused the first one, and all took the next.
    assert tried == 3 + 10
    assert statuses(run) == {("SUCCEEDED", ""): 10}
    assert "wrong" in RunCredential.objects.get(set_aside_at__isnull=False).credential.name


@pytest.mark.usefixtures("worker")
def test_probation_ends_with_the_first_log_in_and_not_with_its_session() -> None:
    specs = switches(8, fault=Fault(FaultKind.SLOW, 1500))
    add_credential(specs[0])
    with lab(specs), sessions_seen() as seen:
        run = request_run(job=add_job(), trigger=Trigger.MANUAL)
        wait_for(lambda: seen.open > 3, "sessions beyond the first three")
        assert not run.results.filter(status="SUCCEEDED").exists()
        assert wait_for_end(run).status == RunStatus.COMPLETED_SUCCESS


@pytest.mark.django_db(transaction=True)
def test_waiting_devices_are_locked_in_the_order_in_which_others_lock_them() -> None:
    run, login = run_of(3)
    first, second, third = run.results.order_by("pk")
    # Its place in the table is behind the others from here on.
    DeviceResult.objects.filter(pk=first.pk).update(hostname="moved")
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            DeviceResult.objects.select_for_update().get(pk=second.pk)
            reassigning = in_thread(
                pool, lambda: results_reassign(run_id=run.pk, credential_id=login.pk)
            )
            wait_for(waits_for_lock, "the devices to be waited for")
            free = [is_free(run.results.filter(pk=one.pk)) for one in (first, third)]
        reassigning.result(30)
    assert free == [False, True]
