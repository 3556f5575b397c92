"""The monitor of a run: progress, devices by what matters, logs, and what can be done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from jobs.choices import LogLevel, ResultStatus, RunStatus
from jobs.models import ConnectionLog, DeviceResult, JobRun
from jobs.selectors.monitor import STATUSES
from jobs.services.logs import job_log
from netraven_site.accounts.roles import Role
from tests.factories import DeviceFactory, DeviceResultFactory, JobRunFactory
from tests.support.pages import few_queries, part, said

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]


def result(run: JobRun, hostname: str, status: str, **values: Any) -> DeviceResult:
    device = values.pop("device", None) or DeviceFactory.create(
        hostname=hostname, tags=values.pop("tags", ())
    )
    now = timezone.now()
    if status == "RUNNING":
        values |= {"lease_until": now + timedelta(minutes=5), "started_at": now}
    elif status not in {"PENDING", "RETRYING"}:
        values |= {"finished_at": now, "duration_seconds": 2.5}
    made: DeviceResult = DeviceResultFactory.create(
        run=run, device=device, hostname=device.hostname, status=status, **values
    )
    return made


def end(run: JobRun) -> None:
    now = timezone.now()
    JobRun.objects.filter(pk=run.pk).update(
        status=RunStatus.COMPLETED_PARTIAL_FAILURE, finished_at=now
    )


@pytest.fixture
def run() -> JobRun:
    """Under way, with a device in each state."""
    made: JobRun = JobRunFactory.create(job_name="nightly", total_count=6)
    result(made, "done", "SUCCEEDED", config_changed=False, tags=["berlin"])
    result(made, "waits", "PENDING", tags=["berlin"])
    result(made, "again", "RETRYING", attempts=1)
    result(made, "talks", "RUNNING", attempts=1)
    result(made, "odd", "SUSPECT", tags=["berlin"])
    result(
        made,
        "broken",
        "FAILED",
        error_category="authentication",
        error_message="<b>refused</b> the log-in",
    )
    return made


def hostnames(page: Any) -> list[str]:
    return [row.hostname for row in page.context["page_obj"]]


def test_what_matters_stands_first(client: Client, operator: User, run: JobRun) -> None:
    with few_queries():
        page = client.get(f"/runs/{run.pk}/")
    assert hostnames(page) == ["broken", "odd", "talks", "again", "waits", "done"]
    assert b"3 of 6 devices ended" in page.content
    assert b"3 devices a minute" in page.content
    assert b'aria-valuenow="3"' in page.content
    assert b"&lt;b&gt;refused&lt;/b&gt;" in page.content
    assert b"Cancel the run" in page.content


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("show=failures", ["broken", "odd"]),
        ("show=waiting", ["again", "waits"]),
        ("q=DON", ["done"]),
        ("cause=authentication", ["broken"]),
        ("changed=no", ["done"]),
        ("ordering=-attempt", ["again", "talks", "done", "waits", "odd", "broken"]),
        ("show=nonsense", []),
    ],
)
def test_devices_of_a_run_are_narrowed_by_the_address(
    client: Client, operator: User, run: JobRun, query: str, expected: list[str]
) -> None:
    assert hostnames(client.get(f"/runs/{run.pk}/?{query}")) == expected


def test_it_asks_again_with_its_filters_until_the_run_has_ended(
    client: Client, operator: User, run: JobRun
) -> None:
    address = f"/runs/{run.pk}/?show=running&page=1"
    live = client.get(address, headers=part("nr-live"))
    text = live.content.decode()
    assert "<html" not in text
    assert 'data-poll="2" hx-get="' + address.replace("&", "&amp;") in text
    assert "HX-Trigger" not in live.headers
    end(run)
    live = client.get(address, headers=part("nr-live"))
    assert b"data-poll" not in live.content
    assert live.headers["HX-Trigger"] == "run-ended"
    assert b"Retry 2 failed" in live.content


def test_the_finish_is_predicted_apart(client: Client, operator: User, run: JobRun) -> None:
    with few_queries():
        forecast = client.get(f"/runs/{run.pk}/", headers=part("nr-forecast"))
    assert b"Predicted to end" in forecast.content
    assert b"<table" not in forecast.content


def test_a_run_without_devices_says_what_to_do(client: Client, operator: User) -> None:
    run = JobRunFactory.create(status="COMPLETED_NO_DEVICES", finished_at=timezone.now())
    assert b"Give the job a tag" in client.get(f"/runs/{run.pk}/").content


def test_failures_are_grouped(client: Client, operator: User, run: JobRun) -> None:
    with few_queries(15):
        page = client.get(f"/runs/{run.pk}/failures/?by=nonsense", headers=part("nr-failures"))
    assert [group.count for group in page.context["groups"]] == [1, 1]
    assert b"What to do" in page.content
    assert b"Retry these" not in page.content, "the run has not ended"
    end(run)
    page = client.get(f"/runs/{run.pk}/failures/?by=tag")
    assert [group.key for group in page.context["groups"]] == ["", "berlin"]
    assert b"Retry these 1" in page.content


def test_the_log_of_a_device_fills_the_panel(client: Client, operator: User, run: JobRun) -> None:
    row = run.results.get(hostname="talks")
    ConnectionLog.objects.create(
        run=run, device=row.device, attempt=1, level="error", message="<i>no prompt</i>"
    )
    job_log(run=run, device_id=row.device_id, level=LogLevel.WARNING, message="it is slow")
    address = f"/runs/{run.pk}/devices/{row.pk}/"
    with few_queries():
        panel = client.get(address, headers=part("nr-panel"))
    assert b"<html" not in panel.content
    assert b"&lt;i&gt;no prompt&lt;/i&gt;" in panel.content
    assert b"it is slow" in panel.content
    assert b"data-poll" in panel.content
    assert b"<html" in client.get(address).content
    DeviceResult.objects.filter(pk=row.pk).update(device=None)
    assert b"No session yet" in client.get(address).content


# --- Deeds --------------------------------------------------------------------------------------


def test_a_run_is_cancelled(client: Client, operator: User, run: JobRun) -> None:
    address = f"/runs/{run.pk}/cancel/"
    assert client.post(address)["Location"] == f"/runs/{run.pk}/"
    run.refresh_from_db()
    assert (run.status, run.cancelled_by) == (RunStatus.CANCELLED, operator.username)
    assert "has ended already" in said(client.post(address))


def test_what_failed_is_tried_again(client: Client, operator: User, run: JobRun) -> None:
    address = f"/runs/{run.pk}/retry/"
    assert "has not ended" in said(client.post(address))
    end(run)
    answer = client.post(address)
    retry = JobRun.objects.get(retry_of=run)
    assert answer["Location"] == f"/runs/{retry.pk}/"
    assert set(retry.results.values_list("hostname", flat=True)) == {"broken", "odd"}


def test_a_group_of_failures_is_tried_again(client: Client, operator: User, run: JobRun) -> None:
    end(run)
    client.post(f"/runs/{run.pk}/retry/", {"by": "tag", "key": "berlin"})
    retry = JobRun.objects.get(retry_of=run)
    assert [row.hostname for row in retry.results.all()] == ["odd"]


def test_a_group_that_is_gone_is_named(client: Client, operator: User, run: JobRun) -> None:
    end(run)
    answer = client.post(f"/runs/{run.pk}/retry/", {"by": "tag", "key": "wien"})
    assert "no failures by tag under 'wien'" in said(answer)
    assert not JobRun.objects.filter(retry_of=run).exists()


@pytest.mark.parametrize("deed", ["cancel", "retry"])
def test_viewers_watch_only(
    client: Client, log_in: Callable[..., User], run: JobRun, deed: str
) -> None:
    log_in(Role.VIEWER)
    assert client.post(f"/runs/{run.pk}/{deed}/").status_code == 403
    page = client.get(f"/runs/{run.pk}/").content
    assert b"Cancel the run" not in page
    end(run)
    for address in ("", "failures/"):
        assert b"/retry/" not in client.get(f"/runs/{run.pk}/{address}").content


def test_limited_users_see_their_part_of_a_run(
    client: Client, log_in: Callable[..., User], run: JobRun
) -> None:
    log_in(Role.OPERATOR, only=("berlin",))
    with few_queries():
        page = client.get(f"/runs/{run.pk}/")
    assert hostnames(page) == ["odd", "waits", "done"]
    assert b"2 of 3 devices ended" in page.content
    assert client.post(f"/runs/{run.pk}/cancel/").status_code == 403
    strange = run.results.get(hostname="broken")
    assert client.get(f"/runs/{run.pk}/devices/{strange.pk}/").status_code == 404
    groups = client.get(f"/runs/{run.pk}/failures/").context["groups"]
    assert [group.hostnames for group in groups] == [("odd",)]
    end(run)
    client.post(f"/runs/{run.pk}/retry/")
    assert [row.hostname for row in JobRun.objects.get(retry_of=run).results.all()] == ["odd"]


@pytest.mark.parametrize("address", ["", "failures/", "devices/1/"])
def test_runs_of_others_are_not_there(
    client: Client, log_in: Callable[..., User], run: JobRun, address: str
) -> None:
    log_in(Role.OPERATOR, only=("wien",))
    assert client.get(f"/runs/{run.pk}/{address}").status_code == 404
    for deed in ("cancel", "retry"):
        assert client.post(f"/runs/{run.pk}/{deed}/").status_code == 404


def test_statuses_are_sorted_into_what_matters() -> None:
    sorted_in = [status for statuses in STATUSES.values() for status in statuses]
    assert sorted(sorted_in) == sorted(ResultStatus)
