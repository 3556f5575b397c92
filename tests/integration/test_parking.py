"""Devices that wait for room: parked without a worker, released when there is room, never lost."""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backups.engine.errors import ErrorCategory
from backups.services.store import RunLabel, backup_store
from credentials.models import Tag
from inventory.models import Device, Zone
from jobs.choices import ResultStatus, RunStatus, Trigger
from jobs.models import DeviceResult, JobRun
from jobs.models.results import PARKED
from jobs.reconcile import reconcile
from jobs.selectors.limits import parked_lines
from jobs.services.claims import Claim
from jobs.services.parking import Released, parked_release, parked_release_all, room_made
from jobs.services.results import result_claim, result_fail, result_retry
from jobs.services.run_creation import run_create
from jobs.services.runs import run_finalise, run_resolve_credentials, run_take_wave
from jobs.tasks import advance
from jobs.waking import wake_if_elected
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobFactory,
    JobRunFactory,
    JumpHostFactory,
    TagFactory,
    ZoneFactory,
    backup_outcome,
)
from tests.support.threads import all_at_once, in_thread

LOGIN = "all"


@pytest.fixture(autouse=True)
def no_probation(configure: Callable[..., None]) -> None:
    """The lockout guard has its own tests."""
    configure(lockout_devices=0)


def run_of(*devices: Device, **fields: Any) -> JobRun:
    """A run over these devices that has been dispatched, up to the messages."""
    CredentialFactory.create(tags=[LOGIN])
    run = JobRunFactory.create(**fields)
    for device in devices:
        DeviceResultFactory.create(run=run, device=device, queued_at=None)
    run_resolve_credentials(run=run)
    return run


def devices(count: int, **fields: Any) -> list[Device]:
    return [DeviceFactory.create(tags=[LOGIN], **fields) for _ in range(count)]


def end(result: DeviceResult) -> Released:
    """The session fails; gives who gets its room."""
    assert result_fail(
        claim=Claim(result.pk, result.attempts),
        status=ResultStatus.FAILED,
        category=ErrorCategory.READ_TIMEOUT,
        message="no",
    )
    return room_made(result=result)


def released(run: JobRun) -> list[DeviceResult]:
    """Those that the dispatch gives room, in the order of their messages."""
    return parked_release(lines=parked_lines(run_id=run.pk)).results


def claimed(result: DeviceResult) -> DeviceResult:
    got = result_claim(result_id=result.pk)
    assert got is not None
    return got


# --- Dispatch -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_devices_without_a_limit_go_into_waves_and_the_others_wait() -> None:
    free = devices(2)
    capped = devices(3, zone=ZoneFactory.create(name="dmz", max_sessions=2))
    run = run_of(*capped, *free)
    assert [one.device for one in run_take_wave(run=run)] == free
    parked = list(run.results.filter(PARKED).order_by("pk"))
    assert [one.device for one in parked] == capped
    assert {one.parked_reason for one in parked} == {"zone 'dmz' has room for 2 sessions at once"}
    assert {one.queued_at for one in parked} == {None}
    assert [one.device for one in released(run)] == capped[:2]
    assert released(run) == []


@pytest.mark.django_db
def test_every_kind_of_limit_is_frozen_the_tightest_first() -> None:
    login = CredentialFactory.create(tags=["gate"], max_sessions=3)
    gate = JumpHostFactory.create(name="gate", max_sessions=8)
    outer = JumpHostFactory.create(name="outer", max_sessions=9)
    outer.credential.max_sessions = 2
    outer.credential.save()
    gate.via = outer
    gate.save()
    tag = TagFactory.create(name="site", max_sessions=4)
    device = DeviceFactory.create(
        tags=[LOGIN, "site"],
        zone=ZoneFactory.create(max_sessions=6),
        jump_host=gate,
        credential=login,
    )
    run = run_of(device, starts_per_second=5.0)
    result = run.results.get()
    assert result.limit_keys == [
        f"credential:{outer.credential_id}",
        f"credential:{login.pk}",
        f"tag:{tag.pk}",
        f"zone:{device.zone_id}",
        f"jump_host:{gate.pk}",
        f"jump_host:{outer.pk}",
        f"run:{run.pk}",
    ]
    assert result.parked_key == f"credential:{outer.credential_id}"
    assert [one.pk for one in released(run)] == [result.pk]


@pytest.mark.django_db
@pytest.mark.parametrize("with_limits", [False, True])
def test_freezing_takes_a_constant_number_of_queries(with_limits: bool) -> None:
    zone = ZoneFactory.create(max_sessions=2 if with_limits else None)
    counts = []
    for size in (3, 30):
        CredentialFactory.create(tags=[LOGIN])
        run = JobRunFactory.create()
        for device in devices(size, zone=zone):
            DeviceResultFactory.create(run=run, device=device, queued_at=None)
        with CaptureQueriesContext(connection) as queries:
            run_resolve_credentials(run=run)
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.django_db
def test_a_device_without_a_limit_costs_no_query_more() -> None:
    [device] = devices(1)
    run = run_of(device)
    [row] = run_take_wave(run=run)
    with CaptureQueriesContext(connection) as queries:
        claimed(row)
    statements = [query["sql"].split()[0] for query in queries]
    assert [one for one in statements if one in {"SELECT", "UPDATE", "INSERT"}] == [
        "UPDATE",
        "SELECT",
    ]


# --- Claims and releases ------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_claim_without_room_parks_and_the_next_end_releases_the_oldest() -> None:
    run = run_of(*devices(4, zone=ZoneFactory.create(max_sessions=1)))
    rows = list(run.results.order_by("pk"))
    [first] = released(run)
    assert first == rows[0]
    session = claimed(first)
    # Messages that come all the same, and early: the claim keeps the limit.
    for row in rows[1:]:
        assert result_claim(result_id=row.pk) is None
    assert run.results.filter(PARKED).count() == 3
    done = end(session)
    assert [one.pk for one in done.results] == [rows[1].pk]
    assert not done.run_ids
    rows[1].refresh_from_db()
    assert (rows[1].parked_at, rows[1].parked_key) == (None, "")
    assert rows[1].queued_at is not None


@pytest.mark.django_db
def test_who_was_released_and_claimed_by_nobody_gives_the_room_to_others() -> None:
    run = run_of(*devices(3, zone=ZoneFactory.create(max_sessions=1)))
    [first] = released(run)
    assert not parked_release_all().results
    # Perhaps no worker serves its queue.
    DeviceResult.objects.filter(pk=first.pk).update(queued_at=timezone.now() - timedelta(minutes=1))
    [second] = parked_release_all().results
    assert result_claim(result_id=second.pk) is not None
    assert result_claim(result_id=first.pk) is None
    first.refresh_from_db()
    assert first.parked_at is not None


@pytest.mark.django_db
def test_a_device_under_two_limits_waits_for_both_and_holds_nobody_up() -> None:
    zone = ZoneFactory.create(max_sessions=3)
    tag = TagFactory.create(name="busy", max_sessions=2)
    both = [DeviceFactory.create(tags=[LOGIN, "busy"], zone=zone) for _ in range(3)]
    other = DeviceFactory.create(tags=[LOGIN, "busy"])
    only_zone = devices(2, zone=zone)
    run = run_of(other, *both, *only_zone)
    # The tag is tighter, so its line is that of "both"; 2 of 4 go, and one that is in the zone only
    # fills the zone.
    assert {one.device for one in released(run)} == {other, both[0], *only_zone}
    waiting = list(run.results.filter(PARKED).order_by("pk"))
    assert [one.device for one in waiting] == both[1:]
    assert {one.parked_key for one in waiting} == {f"tag:{tag.pk}"}


@pytest.mark.django_db
def test_who_is_held_up_by_another_limit_moves_to_its_line() -> None:
    zone = ZoneFactory.create(max_sessions=1)
    TagFactory.create(name="site", max_sessions=1)
    [in_zone] = devices(1, zone=zone)
    both = DeviceFactory.create(tags=[LOGIN, "site"], zone=zone)
    only_tag = DeviceFactory.create(tags=[LOGIN, "site"])
    run = run_of(in_zone, both, only_tag)
    rows = {row.device: row for row in run.results.all()}
    DeviceResult.objects.filter(pk=rows[both].pk).update(parked_key=rows[only_tag].parked_key)
    zone_session = claimed(rows[in_zone])
    DeviceResult.objects.filter(pk=rows[both].pk).update(queued_at=None)
    assert [one.device for one in released(run)] == [only_tag]
    rows[both].refresh_from_db()
    assert rows[both].parked_key == f"zone:{zone.pk}"
    end(claimed(rows[only_tag]))
    assert [one.device for one in end(zone_session).results] == [both]


@pytest.mark.django_db
def test_a_limit_counts_the_sessions_of_all_runs() -> None:
    zone = ZoneFactory.create(max_sessions=1)
    first, second = run_of(*devices(1, zone=zone)), run_of(*devices(1, zone=zone))
    [row] = released(first)
    session = claimed(row)
    assert released(second) == []
    assert [one.run for one in end(session).results] == [second]


@pytest.mark.django_db
def test_a_retry_without_room_is_parked() -> None:
    run = run_of(*devices(2, zone=ZoneFactory.create(max_sessions=1)))
    [first] = released(run)
    session = claimed(first)
    assert result_retry(
        claim=Claim(session.pk, session.attempts),
        category=ErrorCategory.READ_TIMEOUT,
        message="no",
        delay_seconds=0,
    )
    [second] = room_made(result=session).results
    claimed(second)
    assert result_claim(result_id=first.pk) is None
    first.refresh_from_db()
    assert (first.status, first.retry_at, first.attempts) == ("PENDING", None, 1)
    assert first.parked_at is not None


@pytest.mark.django_db
@pytest.mark.parametrize(("limit", "expected"), [(3, 2), (1, 0)])
def test_another_limit_counts_at_once(limit: int, expected: int) -> None:
    zone = ZoneFactory.create(max_sessions=1)
    run = run_of(*devices(5, zone=zone))
    [first] = released(run)
    claimed(first)
    Zone.objects.update(max_sessions=limit)
    assert len(parked_release_all().results) == expected


@pytest.mark.django_db
@pytest.mark.parametrize("delete", [False, True])
def test_without_its_limit_a_line_goes_into_waves(delete: bool) -> None:
    tag = TagFactory.create(name="site", max_sessions=1)
    zone = ZoneFactory.create(name="dmz", max_sessions=2)
    free = [DeviceFactory.create(tags=[LOGIN, "site"]) for _ in range(3)]
    capped = DeviceFactory.create(tags=[LOGIN, "site"], zone=zone)
    run = run_of(*free, capped)
    if delete:
        tag.delete()
    else:
        Tag.objects.update(max_sessions=None)
    done = parked_release_all()
    assert (done.results, done.run_ids) == ([], {run.pk})
    assert [one.device for one in run_take_wave(run=run)] == free
    [row] = parked_release_all().results
    assert (row.device, row.limit_keys) == (capped, [f"zone:{zone.pk}"])


@pytest.mark.django_db
def test_without_their_limit_devices_count_in_waves(configure: Callable[..., None]) -> None:
    configure(wave_size=1)
    TagFactory.create(name="site", max_sessions=1)
    run = run_of(*[DeviceFactory.create(tags=[LOGIN, "site"]) for _ in range(3)])
    Tag.objects.update(max_sessions=None)
    parked_release_all()
    assert [len(run_take_wave(run=run)) for _ in range(3)] == [1, 1, 0]


@pytest.mark.django_db(transaction=True)
def test_without_its_limit_a_line_leaves_devices_that_somebody_holds_for_the_next_pass() -> None:
    TagFactory.create(name="site", max_sessions=1)
    run = run_of(*[DeviceFactory.create(tags=[LOGIN, "site"]) for _ in range(3)])
    held = run.results.order_by("pk")[1]
    Tag.objects.update(max_sessions=None)
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        DeviceResult.objects.select_for_update().get(pk=held.pk)
        assert in_thread(pool, parked_release_all).result(30).run_ids == {run.pk}
    assert [one.pk for one in run.results.filter(PARKED)] == [held.pk]
    assert parked_release_all().run_ids == {run.pk}
    assert not run.results.filter(PARKED).exists()


@pytest.mark.django_db
def test_nobody_parked_costs_one_query() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert wake_if_elected() == 0
    assert len(queries) == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_callers_one_is_elected_to_wake() -> None:
    run_of(*devices(9, zone=ZoneFactory.create(max_sessions=4)))
    assert sorted(all_at_once(6, wake_if_elected)) == [0, 0, 0, 0, 0, 4]


# --- Never more at once, and nobody lost --------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(4))
def test_random_limits_hold_under_concurrent_claims_and_every_device_is_read(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - a test that can be repeated
    zones = [ZoneFactory.create(max_sessions=limit) for limit in (3, draw.choice([1, None]))]
    tags = [
        TagFactory.create(name=f"t{number}", max_sessions=draw.choice([1, 2, None]))
        for number in range(3)
    ]
    fleet = [
        DeviceFactory.create(
            tags=[LOGIN, *(tag.name for tag in draw.sample(tags, draw.randint(0, 2)))],
            zone=draw.choice([*zones, None]),
        )
        for _ in range(24)
    ]
    limits = {f"zone:{one.pk}": one.max_sessions for one in zones}
    limits |= {f"tag:{one.pk}": one.max_sessions for one in tags}
    run = run_of(*fleet)
    # Every row's message comes, twice, in any order; whoever gets room is rung for again.
    doorbell = deque(draw.sample(ids := [one.pk for one in run.results.all()], len(ids)) * 2)
    sessions: Counter[str] = Counter()
    most: Counter[str] = Counter()
    asked: list[int] = []
    lock = threading.Lock()

    def work() -> None:
        while True:
            try:
                result_id = doorbell.popleft()
            except IndexError:
                more = parked_release_all()
                if not more.results and not run.results.filter(status="RUNNING").exists():
                    return
                doorbell.extend(one.pk for one in more.results)
                continue
            result = result_claim(result_id=result_id)
            asked.append(result_id)
            if result is None:
                continue
            with lock:
                sessions.update(result.limit_keys)
                most.update(dict.fromkeys(result.limit_keys, 0))
                for key in result.limit_keys:
                    most[key] = max(most[key], sessions[key])
            until = len(asked) + 4  # it talks while others are turned away, or join
            while len(asked) < until and doorbell and sum(sessions.values()) < 5:
                threading.Event().wait(0.01)
            with lock:
                sessions.subtract(result.limit_keys)
            doorbell.extend(one.pk for one in end(result).results)

    all_at_once(6, work)
    assert not run.results.exclude(status="FAILED").exists()
    assert set(run.results.values_list("attempts", flat=True)) == {1}
    exceeded = {key: count for key, count in most.items() if count > (limits[key] or 99)}
    assert not exceeded
    assert max(most.values()) > 1  # sessions were open at once


# --- Exclusivity --------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_device_that_another_run_reads_is_parked_and_goes_on_after_it() -> None:
    [device] = devices(1)
    first, second = run_of(device), run_of(device)
    [row] = run_take_wave(run=first)
    session = claimed(row)
    [other] = run_take_wave(run=second)
    assert result_claim(result_id=other.pk) is None
    other.refresh_from_db()
    assert other.parked_reason == f"run {first.pk} reads this device"
    assert not parked_release_all().results
    end(session)
    assert parked_release_all().results == [other]
    assert result_claim(result_id=other.pk) is not None


@pytest.mark.django_db(transaction=True)
def test_two_runs_over_one_device_never_read_it_at_once() -> None:
    [device] = devices(1)
    rows = [run_take_wave(run=run_of(device))[0] for _ in range(6)]
    ids = deque(row.pk for row in rows)
    got = all_at_once(6, lambda: result_claim(result_id=ids.popleft()))
    assert sum(one is not None for one in got) == 1
    assert DeviceResult.objects.filter(PARKED).count() == 5


# --- Start ramp ---------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_ramp_spaces_the_starts() -> None:
    run = run_of(*devices(8), starts_per_second=2.0)
    rows = released(run)
    assert len(rows) == 3  # one at once, two in the second that follows
    claimed(rows[0])
    assert result_claim(result_id=rows[1].pk) is None
    rows[1].refresh_from_db()
    assert rows[1].parked_reason == "the run begins 2 sessions per second"
    run.refresh_from_db()
    assert run.next_start_at is not None
    wait = run.next_start_at - timezone.now()
    assert timedelta(seconds=0.2) < wait <= timedelta(seconds=0.5)
    JobRun.objects.update(next_start_at=timezone.now())
    claimed(rows[1])


@pytest.mark.django_db
def test_without_its_ramp_a_run_goes_into_waves() -> None:
    run = run_of(*devices(4), starts_per_second=0.01)
    assert len(released(run)) == 1
    JobRun.objects.update(starts_per_second=None)
    assert parked_release_all().run_ids == {run.pk}
    assert len(run_take_wave(run=run)) == 3


# --- Whatever happens to a run ------------------------------------------------------------------


@pytest.mark.django_db
def test_parked_devices_hold_up_no_wave_and_are_not_rung_for(
    configure: Callable[..., None],
) -> None:
    configure(wave_size=2)
    free = devices(4)
    run = run_of(*devices(6, zone=ZoneFactory.create(max_sessions=1)), *free)
    JobRun.objects.update(queued_at=timezone.now())
    assert len(run_take_wave(run=run)) == len(run_take_wave(run=run)) == 2
    assert run_take_wave(run=run) == []
    DeviceResult.objects.filter(PARKED).update(parked_at=timezone.now() - timedelta(hours=2))
    assert reconcile().messages_resent == 0
    assert not run_finalise(run=run)


@pytest.mark.django_db
def test_the_deadline_ends_parked_devices() -> None:
    run = run_of(*devices(3, zone=ZoneFactory.create(max_sessions=1)))
    JobRun.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    assert reconcile().runs_ended == 1
    run.refresh_from_db()
    assert run.errored_count == 3
    assert not DeviceResult.objects.filter(PARKED).exists()
    assert not parked_release_all().results


@pytest.mark.django_db
def test_the_last_session_of_parked_devices_ends_the_run() -> None:
    run = run_of(*devices(2, zone=ZoneFactory.create(max_sessions=1)))
    [row] = released(run)
    done = end(claimed(row))
    assert not done.run_ids
    [last] = done.results
    done = end(claimed(last))
    assert done.run_ids == {run.pk}
    advance(run.pk)
    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED_FAILURE


@pytest.mark.django_db
def test_a_lost_session_makes_room() -> None:
    run = run_of(*devices(3, zone=ZoneFactory.create(max_sessions=1)))
    [row] = released(run)
    claimed(row)
    DeviceResult.objects.filter(pk=row.pk).update(lease_until=timezone.now() - timedelta(hours=1))
    assert reconcile().devices_returned == 1
    # The lost one was rung for again and counts as such for a moment.
    DeviceResult.objects.filter(pk=row.pk).update(queued_at=timezone.now() - timedelta(minutes=1))
    [second] = parked_release_all().results
    claimed(second)
    assert result_claim(result_id=row.pk) is None
    assert run.results.filter(PARKED).count() == 2


@pytest.mark.django_db
def test_a_run_takes_the_ramp_of_its_job_or_of_the_installation(
    configure: Callable[..., None],
) -> None:
    configure(starts_per_second=7.0, lockout_devices=0)
    assert run_create(job=JobFactory.create(), trigger=Trigger.MANUAL).starts_per_second == 7
    job = JobFactory.create(starts_per_second=2.5)
    assert run_create(job=job, trigger=Trigger.MANUAL).starts_per_second == 2.5


@pytest.mark.django_db
def test_a_device_that_is_read_and_waits_for_git_holds_no_room(git_directory: Path) -> None:
    run = run_of(*devices(2, zone=ZoneFactory.create(max_sessions=1)))
    [row] = released(run)
    session = claimed(row)
    assert not parked_release_all().results
    assert session.device is not None
    snapshot = backup_store(
        device=session.device,
        outcome=backup_outcome(),
        label=RunLabel(run_id=run.pk, job_name=run.job_name),
    )
    DeviceResult.objects.filter(pk=session.pk).update(snapshot=snapshot)
    assert len(parked_release_all().results) == 1
