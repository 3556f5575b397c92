"""What runs at this moment: queues, workers, open runs, and what needs a hand."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backups.models import Snapshot
from backups.services.store import RunLabel, backup_store
from jobs.choices import ResultStatus, RunStatus
from jobs.models import DeviceResult, JobRun, ReconcilerTick, RunCredential, Tick, WorkerProcess
from jobs.monitoring.attention import needs_a_hand
from jobs.monitoring.facts import QueueFacts, SystemFacts, system_facts
from jobs.queues import CONTROL_QUEUE, DEVICES_QUEUE, FIXED_QUEUES, ISOLATED_QUEUE, zone_queue
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobRunFactory,
    ZoneFactory,
    backup_outcome,
    user_with,
)
from tests.support.workers import alive

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]


def queue(name: str, facts: SystemFacts | None = None) -> QueueFacts:
    facts = facts or system_facts()
    return next(one for one in facts.queues if one.name == name)


def troubles() -> str:
    return "\n".join(needs_a_hand(facts=system_facts()))


def without_seconds(text: str) -> str:
    """``text`` with a sign for the seconds behind minutes: a busy machine takes some to look."""
    return re.sub(r"(?<=min )\d+ s\b", "N s", text)


@pytest.fixture
def well() -> None:
    """An installation in which everything is as it should be."""
    alive(*FIXED_QUEUES)
    ReconcilerTick.objects.create(pk=Tick.RECONCILE, last_at=Now())


@pytest.fixture
def broker() -> Any:
    """The real broker, empty."""
    current_app.control.purge()
    with current_app.connection_for_write() as opened:
        channel: Any = opened.default_channel
        client = channel.client
        client.delete("unacked", zone_queue("b"), DEVICES_QUEUE)
        yield client
        client.delete("unacked", zone_queue("b"), DEVICES_QUEUE)


@pytest.fixture
def broker_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app.conf, "broker_url", "redis://:Zq9-CANARY-pw@127.0.0.1:1/0")


# --- Queues -------------------------------------------------------------------------------------


def test_depths_come_from_the_broker(broker: Any) -> None:
    ZoneFactory.create(name="b")
    broker.rpush(zone_queue("b"), "one", "two")
    broker.hset("unacked", "tag", "message")
    facts = system_facts()
    assert queue("zone.b", facts).depth == 2
    assert queue(DEVICES_QUEUE, facts).depth == 0
    assert facts.broker.unacked == 1
    assert [one.name for one in facts.queues] == [*FIXED_QUEUES, "zone.b"]


def test_the_oldest_waiting_device_comes_from_the_rows() -> None:
    zone = ZoneFactory.create(name="b")
    now = timezone.now()
    run = JobRunFactory.create()

    def result(seconds: int, **values: Any) -> None:
        since = now - timedelta(seconds=seconds)
        DeviceResultFactory.create(**({"run": run, "queued_at": since} | values))

    result(100, device=DeviceFactory.create(zone=zone))
    result(50, device=DeviceFactory.create(zone=zone))
    result(20)
    result(900, parked_at=now)
    result(900, status=ResultStatus.RUNNING.value, lease_until=now)
    result(900, run=JobRunFactory.create(status="CANCELLED", finished_at=now))
    result(300, attempts=1, losses=1)
    facts = system_facts()
    assert (queue("zone.b", facts).waiting, queue(DEVICES_QUEUE, facts).waiting) == (2, 1)
    assert queue("zone.b", facts).oldest_seconds == pytest.approx(100, abs=10)
    assert queue(DEVICES_QUEUE, facts).oldest_seconds == pytest.approx(20, abs=10)
    assert queue(ISOLATED_QUEUE, facts).oldest_seconds == pytest.approx(300, abs=10)


def test_a_run_that_nobody_starts_waits_in_control() -> None:
    since = timezone.now() - timedelta(seconds=70)
    JobRunFactory.create(status="PENDING", started_at=None, queued_at=since)
    assert queue(CONTROL_QUEUE).waiting == 1
    assert queue(CONTROL_QUEUE).oldest_seconds == pytest.approx(70, abs=10)


def test_only_living_workers_serve_a_queue() -> None:
    alive(DEVICES_QUEUE, node="a@here")
    alive(DEVICES_QUEUE, CONTROL_QUEUE, node="b@here")
    WorkerProcess.objects.filter(node="b@here").update(seen_at=Now() - timedelta(hours=1))
    facts = system_facts()
    assert (queue(DEVICES_QUEUE, facts).workers, queue(CONTROL_QUEUE, facts).workers) == (1, 0)
    assert {one.node: one.is_alive for one in facts.workers} == {"a@here": True, "b@here": False}


@pytest.mark.usefixtures("broker_down", "well")
def test_a_broker_that_is_down_is_an_answer(client: Client) -> None:
    facts = system_facts()
    assert facts.broker.problem == (
        "the broker cannot be reached; check that Redis runs, and REDIS_URL"
    )
    assert {one.depth for one in facts.queues} == {None}
    assert facts.broker.problem in troubles()
    client.force_login(user_with("jobs.view_workerprocess"))
    for path in ("", "queues/", "workers/"):
        answer = client.get(f"/api/v1/system/{path}")
        assert answer.status_code == 200
        assert b"CANARY" not in answer.content


def test_nobody_waits_long_for_a_silent_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setattr(current_app.conf, "broker_url", f"redis://127.0.0.1:{port}/0")
        started = time.monotonic()
        assert system_facts().broker.problem == "the broker did not answer within 2 s"
        assert time.monotonic() - started < 10


def test_a_refused_log_in_does_not_show_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    url = str(current_app.conf.broker_url)
    password = url.split("@")[0].split(":")[-1]
    wrong = url.replace(password, "Zq9-CANARY-pw")
    monkeypatch.setattr(current_app.conf, "broker_url", wrong)
    problem = system_facts().broker.problem
    assert problem == "the broker refused the log-in; check REDIS_URL"


# --- What needs a hand --------------------------------------------------------------------------


@pytest.mark.usefixtures("well")
def test_nothing_needs_a_hand_when_all_is_well(broker: Any) -> None:
    ZoneFactory.create(name="empty")
    assert troubles() == ""


@pytest.mark.usefixtures("well")
def test_what_nobody_serves_is_named_with_what_to_do(broker: Any) -> None:
    zone = ZoneFactory.create(name="b")
    result = DeviceResultFactory.create(device=DeviceFactory.create(zone=zone))
    DeviceResult.objects.update(queued_at=Now() - timedelta(minutes=2, seconds=5))
    assert without_seconds(troubles()) == (
        "nobody serves queue zone.b, in which 1 waits, 2 min N s; run 'python manage.py worker "
        "--zone b'"
    )
    result.delete()
    assert troubles().startswith("nobody serves queue zone.b; run")
    alive("zone.b", node="b@here")
    assert troubles() == ""


def test_an_installation_without_workers_says_so_once() -> None:
    ReconcilerTick.objects.create(pk=Tick.RECONCILE, last_at=Now() - timedelta(hours=1))
    assert "no worker is alive" in troubles()
    assert "reconciler" not in troubles()


@pytest.mark.usefixtures("well")
def test_each_trouble_is_a_line(configure: Callable[..., None]) -> None:
    alive("zone.gone", node="dead@here")
    WorkerProcess.objects.filter(node="dead@here").update(seen_at=Now() - timedelta(minutes=10))
    ReconcilerTick.objects.update(last_at=Now() - timedelta(minutes=5))
    backup_store(
        device=DeviceFactory.create(),
        outcome=backup_outcome(),
        label=RunLabel(run_id=1, job_name="x"),
    )
    Snapshot.objects.update(collected_at=Now() - timedelta(hours=2))
    run = JobRunFactory.create(deadline_at=timezone.now() - timedelta(hours=1))
    RunCredential.objects.create(
        run=run,
        credential=CredentialFactory.create(name="site-b"),
        set_aside_at=timezone.now(),
        reason="3 devices refused it",
    )
    assert [line.split(";")[0] for line in without_seconds(troubles()).splitlines()] == [
        "worker dead@here gave no sign of life for 10 min N s",
        "the reconciler was not seen for 5 min N s",
        "1 snapshots wait for Git, the oldest for 2 h 0 min",
        f"run {run.pk} of job '{run.job_name}' is past its deadline and still open",
        f"run {run.pk} has set aside credential 'site-b': 3 devices refused it",
    ]


@pytest.mark.usefixtures("well")
def test_a_git_store_that_is_gone_is_named(configure: Callable[..., None], tmp_path: Any) -> None:
    configure(git_path=tmp_path / "gone.git")
    assert "Git store" not in troubles()
    backup_store(
        device=DeviceFactory.create(),
        outcome=backup_outcome(),
        label=RunLabel(run_id=1, job_name="x"),
    )
    Snapshot.objects.update(state="COMMITTED", commit="c" * 40, pending_text="")
    assert f"does not reach the Git store at {tmp_path / 'gone.git'}" in troubles()


# --- API and command ----------------------------------------------------------------------------


def test_who_may_see_the_system(client: Client) -> None:
    for path in ("", "queues/", "workers/"):
        address = f"/api/v1/system/{path}"
        client.logout()
        assert client.get(address).status_code == 401
        client.force_login(user_with("jobs.view_jobrun"))
        assert client.get(address).status_code == 403
        client.force_login(user_with("jobs.view_workerprocess"))
        assert client.get(address).status_code == 200


@pytest.mark.usefixtures("well")
def test_the_api_tells_it_all(client: Client, broker: Any) -> None:
    run = JobRunFactory.create(total_count=2)
    DeviceResultFactory.create(run=run)
    DeviceResultFactory.create(run=run, status="SUCCEEDED", finished_at=timezone.now())
    client.force_login(user_with("jobs.view_workerprocess"))
    workers = client.get("/api/v1/system/workers/").json()
    assert (workers["count"], workers["results"][0]["busy"]) == (1, 3)
    queues = client.get("/api/v1/system/queues/?size=2").json()
    assert (queues["count"], queues["pages"], len(queues["results"])) == (4, 2, 2)
    system = client.get("/api/v1/system/").json()
    assert set(system["versions"]) == {
        *("netraven", "python", "django", "celery", "netmiko", "postgresql")
    }
    assert system["counts"]["devices"] == 2
    assert system["git_store"]["is_reachable"] is True
    assert system["reconciler_seconds"] < 60
    (told,) = system["open_runs"]
    assert (told["id"], told["done"], told["total"], told["is_late"]) == (run.pk, 1, 2, False)
    assert system["needs_a_hand"] == []


def test_the_status_is_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    alive(DEVICES_QUEUE)
    now = timezone.now()
    JobRunFactory.create(total_count=9)
    JobRunFactory.create(
        status=RunStatus.COMPLETED_SUCCESS.value,
        started_at=now - timedelta(seconds=5),
        finished_at=now,
    )
    call_command("status")
    text = capsys.readouterr().out
    for words in [
        "3 of 50 busy",
        "RUNNING, 0 of 9 devices done",
        "COMPLETED_SUCCESS after 5.0 s",
        "Needs a hand",
        "  - nobody serves queue control; run 'python manage.py worker --queues control'",
    ]:
        assert words in text, text
    call_command("status", "--json")
    assert json.loads(capsys.readouterr().out)["counts"]["open_runs"] == 1


def test_facts_cost_as_many_queries_with_much_under_way_as_with_nothing() -> None:
    with CaptureQueriesContext(connection) as empty:
        system_facts()
    for number in range(5):
        zone = ZoneFactory.create()
        DeviceResultFactory.create(device=DeviceFactory.create(zone=zone))
        alive(zone_queue(zone.name), node=f"w{number}@here")
    with CaptureQueriesContext(connection) as full:
        system_facts()
    assert len(full) == len(empty) == 5
    assert JobRun.objects.count() == 5
