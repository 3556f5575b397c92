"""Both logs of runs as one list: filters, order, pages, and who reads which."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from credentials.models import TagLimit
from credentials.services import tags_ensure
from inventory.models import Device
from jobs.models import ConnectionLog, JobLog, JobRun
from netraven_site.accounts.roles import Role
from tests.factories import DeviceFactory, JobRunFactory, UserFactory, user_in, user_with

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

LOGS = "/api/v1/logs/"
BEGIN = timezone.now()


def lines_of(user: User, **query: Any) -> list[str]:
    """The messages of the first page."""
    client = Client()
    client.force_login(user)
    answer = client.get(f"{LOGS}?{urlencode(query)}")
    assert answer.status_code == 200, answer.content
    return [row["message"] for row in answer.json()["results"]]


@pytest.fixture
def admin() -> User:
    return UserFactory.create(is_superuser=True)


def write(run: JobRun, message: str, *, device: Device | None = None, at: int = 0) -> None:
    """A line of the job log, or with a device of the connection log, so many seconds in."""
    if device is None:
        line: Any = JobLog.objects.create(run=run, level="info", message=message)
    else:
        line = ConnectionLog.objects.create(
            run=run, device=device, attempt=1, level="error", message=message
        )
    type(line).objects.filter(pk=line.pk).update(created_at=BEGIN + timedelta(seconds=at))


@pytest.fixture
def runs() -> list[JobRun]:
    """Two runs whose lines are written in turn."""
    made = [JobRunFactory.create(), JobRunFactory.create()]
    for number, run in enumerate(made):
        device = DeviceFactory.create(hostname=f"sw{number}", tags=[f"site{number}"])
        write(run, f"began {number}", at=10 * number)
        write(run, f"refused {number}", device=device, at=10 * number + 1)
        write(run, f"ended {number}", at=10 * number + 2)
    return made


def test_both_logs_come_in_the_order_of_their_times(admin: User, runs: list[JobRun]) -> None:
    told = [f"{word} {number}" for number in (0, 1) for word in ("began", "refused", "ended")]
    assert lines_of(admin) == told[::-1]
    assert lines_of(admin, ordering="created_at") == told
    pages = [lines_of(admin, size=4, page=page, ordering="created_at") for page in (1, 2)]
    assert pages == [told[:4], told[4:]]


def test_a_line_says_where_it_comes_from(client: Client, admin: User, runs: list[JobRun]) -> None:
    client.force_login(admin)
    answer = client.get(f"{LOGS}?run_id={runs[1].pk}").json()
    assert (answer["count"], answer["pages"]) == (3, 1)
    row = answer["results"][1]
    device = Device.objects.get(hostname="sw1")
    assert (row["log_type"], row["level"], row["attempt"]) == ("connection_log", "error", 1)
    assert (row["run_id"], row["job_id"]) == (runs[1].pk, runs[1].job_id)
    assert (row["job_name"], row["device_id"], row["hostname"]) == (
        runs[1].job_name,
        device.pk,
        "sw1",
    )
    assert answer["results"][0]["log_type"] == "job_log"
    assert answer["results"][0]["hostname"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (lambda run: {"run_id": run.pk}, ["ended 0", "refused 0", "began 0"]),
        (lambda run: {"job_id": run.job_id}, ["ended 0", "refused 0", "began 0"]),
        (lambda run: {"device_id": Device.objects.get(hostname="sw0").pk}, ["refused 0"]),
        (lambda run: {"level": "error"}, ["refused 1", "refused 0"]),
        (lambda run: {"log_type": "connection_log"}, ["refused 1", "refused 0"]),
        (lambda run: {"log_type": "job_log", "run_id": run.pk}, ["ended 0", "began 0"]),
        (lambda run: {"search": "ENDED"}, ["ended 1", "ended 0"]),
        (lambda run: {"search": "sw1"}, ["refused 1"]),
        (lambda run: {"since": (BEGIN + timedelta(seconds=11)).isoformat()}, 2),
        (lambda run: {"until": (BEGIN + timedelta(seconds=1)).isoformat()}, ["began 0"]),
        (lambda run: {"run_id": 987654321}, []),
    ],
)
def test_filters(
    admin: User, runs: list[JobRun], query: Callable[[JobRun], dict[str, Any]], found: Any
) -> None:
    lines = lines_of(admin, **query(runs[0]))
    assert (len(lines) if isinstance(found, int) else lines) == found


@pytest.mark.parametrize(
    "query",
    [
        "run_id=abc",
        "device_id=0",
        "job_id=99999999999999999999",
        "level=loud",
        "log_type=diary",
        "since=yesterday",
        "ordering=message",
        "search=%00",
    ],
)
def test_a_wrong_filter_is_named(client: Client, admin: User, query: str) -> None:
    client.force_login(admin)
    answer = client.get(f"{LOGS}?{query}")
    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == [query.partition("=")[0]]


def test_each_right_shows_its_own_log(client: Client, runs: list[JobRun]) -> None:
    assert len(lines_of(user_with("jobs.view_joblog"))) == 4
    assert len(lines_of(user_with("jobs.view_connectionlog"))) == 2
    assert lines_of(user_with("jobs.view_joblog"), log_type="connection_log") == []
    client.force_login(user_with("jobs.view_job"))
    assert client.get(LOGS).status_code == 403


def test_a_limited_user_reads_about_their_devices_only(runs: list[JobRun]) -> None:
    viewer = user_in(Role.VIEWER)
    TagLimit.objects.create(user=viewer).tags.set(tags_ensure(names=["site1"]))
    assert lines_of(viewer) == ["refused 1"]
    assert lines_of(viewer, run_id=runs[0].pk) == []


def test_a_page_takes_few_queries_however_many_lines_there_are(
    client: Client, admin: User, runs: list[JobRun]
) -> None:
    client.force_login(admin)
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as captured:
            assert client.get(LOGS).status_code == 200
        counts.append(len(captured))
        for number in range(30):
            write(runs[0], f"line {number}")
    assert counts[0] == counts[1] <= 6
