"""Limits as operators set them, as devices see them, and what runs say of their end."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from credentials.models import Credential, Tag
from inventory.models import JumpHost, Zone
from jobs.choices import RunStatus, Trigger
from jobs.launch import request_run
from jobs.models import DeviceResult, Job, JobRun, WorkerProcess
from jobs.queues import zone_queue
from jobs.selectors.forecast import predicted_finish
from jobs.waking import wake_if_elected
from netraven_site.demo.simulator import Fault, FaultKind
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobFactory,
    JobRunFactory,
    JumpHostFactory,
    TagFactory,
    ZoneFactory,
)
from tests.support.devices import device_spec, fleet_in_thread
from tests.support.inventory import add_credential, add_device, add_job
from tests.support.sessions_seen import sessions_seen
from tests.support.waiting import wait_for, wait_for_end

API = "/api/v1"

# --- With devices and a worker ------------------------------------------------------------------


def ended(run: JobRun) -> JobRun:
    """The run once it has ended, with the heartbeat's part done here."""

    def is_over() -> bool:
        wake_if_elected()
        run.refresh_from_db()
        return run.finished_at is not None

    wait_for(is_over, f"the end of run {run.pk}", 90)
    return run


@pytest.mark.usefixtures("worker")
def test_devices_see_no_more_sessions_than_the_limit_and_no_worker_waits_for_them() -> None:
    slow = [
        device_spec(
            "cisco_ios", f"slow{number}", password="Pw-1234567", fault=Fault(FaultKind.SLOW, 300)
        )
        for number in range(9)
    ]
    quick = [device_spec("cisco_ios", f"quick{number}", password="Pw-1234567") for number in (1, 2)]
    site, others = TagFactory.create(name="site", max_sessions=2), TagFactory.create(name="others")
    add_credential(slow[0]).tags.add(others)
    with fleet_in_thread(*slow, *quick) as fleet, sessions_seen() as seen:
        for spec in slow:
            add_device(spec, *fleet.address(spec.hostname)).tags.add(site)
        for spec in quick:
            add_device(spec, *fleet.address(spec.hostname)).tags.set([others])
        run = request_run(job=add_job(), trigger=Trigger.MANUAL)
        wait_for(lambda: seen.open == 2, "two sessions")
        # As many devices wait as there are threads; another run does not notice.
        assert run.results.filter(status="PENDING", parked_at__isnull=False).count() >= 5
        most_before = seen.most
        other = request_run(job=JobFactory.create(tags=["others"]), trigger=Trigger.MANUAL)
        assert wait_for_end(other).status == RunStatus.COMPLETED_SUCCESS
        run.refresh_from_db()
        assert run.status == RunStatus.RUNNING
        seen.most = 0
        assert ended(run).status == RunStatus.COMPLETED_SUCCESS
    assert (most_before, seen.most) == (2, 2)
    assert set(run.results.values_list("attempts", flat=True)) == {1}


@pytest.mark.usefixtures("worker")
def test_two_runs_over_the_same_devices_never_meet_at_one() -> None:
    specs = [
        device_spec(
            "cisco_ios", f"sw{number}", password="Pw-1234567", fault=Fault(FaultKind.SLOW, 100)
        )
        for number in range(3)
    ]
    add_credential(specs[0])
    with fleet_in_thread(*specs) as fleet:
        for spec in specs:
            add_device(spec, *fleet.address(spec.hostname))
        runs = [request_run(job=add_job(name), trigger=Trigger.MANUAL) for name in ("one", "two")]
        assert {ended(run).status for run in runs} == {RunStatus.COMPLETED_SUCCESS}
        logs = [fleet.log(spec.hostname) for spec in specs]
    assert [log["concurrent_max"] for log in logs] == [1] * 3
    assert [log["config_sessions"] for log in logs] == [2] * 3
    waited = DeviceResult.objects.exclude(parked_reason="")
    assert waited.exists()
    assert all(one.parked_reason.endswith("reads this device") for one in waited)


# --- What operators set -------------------------------------------------------------------------


@pytest.fixture
def api(admin_client: Client) -> Client:
    return admin_client


@pytest.mark.django_db
@pytest.mark.usefixtures("web")
def test_the_api_sets_limits_and_refuses_none_at_all(api: Client) -> None:
    tag, host, job = TagFactory.create(), JumpHostFactory.create(), JobFactory.create()
    for path, field, good, bad in (
        (f"tags/{tag.pk}", "max_sessions", 4, 0),
        (f"jump-hosts/{host.pk}", "max_sessions", 5, -1),
        (f"jobs/{job.pk}", "starts_per_second", 2.5, 0),
    ):
        answer = api.patch(
            f"{API}/{path}/", json.dumps({field: good}), content_type="application/json"
        )
        assert (answer.status_code, answer.json()[field]) == (200, good)
        answer = api.patch(
            f"{API}/{path}/", json.dumps({field: bad}), content_type="application/json"
        )
        assert answer.status_code == 400
        assert field in answer.json()["error"]["fields"]
    assert Tag.objects.get(pk=tag.pk).max_sessions == 4
    assert JumpHost.objects.get().max_sessions == 5


@pytest.mark.django_db
def test_commands_set_limits() -> None:
    call_command("create_job", "slowly", "--starts-per-second", "2.5", stdout=io.StringIO())
    assert Job.objects.get().starts_per_second == 2.5
    for rate in ("0", "nan", "fast"):
        with pytest.raises((CommandError, ValueError)):
            call_command("create_job", "no", f"--starts-per-second={rate}", stdout=io.StringIO())


@pytest.mark.django_db
@pytest.mark.usefixtures("web")
@pytest.mark.parametrize(
    "path",
    [
        "inventory/zone",
        "credentials/tag",
        "inventory/jumphost",
        "credentials/credential",
    ],
)
def test_the_admin_offers_the_limit(api: Client, path: str) -> None:
    for factory in (ZoneFactory, TagFactory, JumpHostFactory, CredentialFactory):
        factory.create()
    model: Any = {"zone": Zone, "tag": Tag, "jumphost": JumpHost, "credential": Credential}
    row = model[path.split("/")[1]].objects.first()
    page = api.get(f"/admin/{path}/{row.pk}/change/").content.decode()
    assert 'name="max_sessions"' in page


# --- What runs say ------------------------------------------------------------------------------


def past(device: Any, seconds: float) -> None:
    DeviceResultFactory.create(
        device=device, status="SUCCEEDED", finished_at=timezone.now(), duration_seconds=seconds
    )


def minutes_left(run: JobRun) -> float | None:
    finish = predicted_finish(run=run)
    return None if finish is None else (finish - timezone.now()).total_seconds() / 60


@pytest.mark.django_db
def test_nothing_is_predicted_before_anything_was_read() -> None:
    result = DeviceResultFactory.create()
    assert predicted_finish(run=result.run) is None


@pytest.mark.django_db
def test_the_prediction_counts_past_durations_workers_and_limits() -> None:
    zone = ZoneFactory.create(max_sessions=2)
    run = JobRunFactory.create()
    for _ in range(12):
        device = DeviceFactory.create(zone=zone)
        past(device, 999)
        past(device, 60)
        DeviceResultFactory.create(run=run, device=device, limit_keys=[f"zone:{zone.pk}"])
    # One that was never read takes as long as the others.
    DeviceResultFactory.create(run=run)
    WorkerProcess.objects.create(
        node="devices1@here",
        host="here",
        pid=1,
        queues=["devices"],
        concurrency=13,
        started_at=timezone.now(),
        seen_at=timezone.now(),
    )
    assert minutes_left(run) == pytest.approx(6, abs=0.1)
    Zone.objects.update(max_sessions=None)
    assert minutes_left(run) == pytest.approx(1, abs=0.1)
    WorkerProcess.objects.update(queues=[zone_queue("dmz")], concurrency=1)
    assert minutes_left(run) == pytest.approx(13, abs=0.1)
    WorkerProcess.objects.update(seen_at=timezone.now() - timedelta(hours=1), concurrency=13)
    run.starts_per_second = 0.05
    assert minutes_left(run) == pytest.approx(13 / 0.05 / 60 + 1, abs=0.1)
    run.status = RunStatus.CANCELLED
    assert minutes_left(run) is None


@pytest.mark.django_db
def test_a_run_that_is_under_way_is_judged_by_itself() -> None:
    run = JobRunFactory.create(started_at=timezone.now() - timedelta(seconds=100))
    for _ in range(10):
        DeviceResultFactory.create(
            run=run, status="SUCCEEDED", finished_at=timezone.now(), duration_seconds=20
        )
    for _ in range(30):
        DeviceResultFactory.create(run=run)
    # Ten devices of 20 s in 100 s: two at once.
    assert minutes_left(run) == pytest.approx(5, abs=0.5)


@pytest.mark.django_db
@pytest.mark.usefixtures("web")
def test_the_api_predicts_for_one_run_and_asks_nothing_for_a_list(api: Client) -> None:
    run = JobRunFactory.create()
    for _ in range(3):
        result = DeviceResultFactory.create(run=run)
        past(result.device, 60)
    answer = api.get(f"{API}/runs/{run.pk}/").json()
    assert answer["predicted_finish_at"] is not None
    with CaptureQueriesContext(connection) as few:
        listed = api.get(f"{API}/runs/").json()["results"]
    assert "predicted_finish_at" not in listed[0]
    assert len(few) < 12
    assert api.get(f"/admin/jobs/jobrun/{run.pk}/change/").status_code == 200


@pytest.mark.django_db
@pytest.mark.usefixtures("web")
def test_the_api_says_what_a_device_waits_for(api: Client) -> None:
    row = DeviceResultFactory.create(
        parked_at=timezone.now(), parked_key="zone:1", parked_reason="zone 'dmz' is full"
    )
    assert api.get(f"{API}/device-results/{row.pk}/").json()["waits_for"] == "zone 'dmz' is full"
    DeviceResult.objects.update(status="CANCELLED", finished_at=timezone.now())
    assert api.get(f"{API}/device-results/{row.pk}/").json()["waits_for"] == ""
