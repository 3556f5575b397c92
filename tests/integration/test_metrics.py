"""``/metrics``: right, cheap, listed in the documents, and closed unless it is opened."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from celery import current_app
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from inventory.models import Device
from jobs.choices import ResultStatus
from jobs.models import JobRun, ReconcilerTick, RunCredential
from jobs.monitoring.metrics import metrics_text
from netraven_site.config import PROJECT_DIR
from tests.factories import CredentialFactory, DeviceResultFactory, JobRunFactory, UserFactory
from tests.support.failures import ended_run, failed_result, many_failed
from tests.support.workers import alive

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

TOKEN = "Zq9-CANARY-metrics-token"


def samples(name: str) -> dict[tuple[str, ...], float]:
    """Values of a metric by the values of its labels, which come in the order of their names."""
    for family in text_string_to_metric_families(metrics_text().decode()):
        if family.name == name:
            return {
                tuple(value for _, value in sorted(one.labels.items())): one.value
                for one in family.samples
            }
    raise AssertionError(name)


@pytest.fixture
def with_token(configure: Callable[..., None]) -> None:
    configure(metrics_token=SecretStr(TOKEN))


# --- Who may ------------------------------------------------------------------------------------


def test_without_a_token_there_is_no_such_address(client: Client) -> None:
    assert client.get("/metrics").status_code == 404
    client.force_login(UserFactory.create(is_superuser=True))
    assert client.get("/metrics").status_code == 404


@pytest.mark.usefixtures("with_token")
@pytest.mark.parametrize(
    "header",
    [None, "", TOKEN, f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x", "Bearer é", f"Bearer{TOKEN}"],
)
def test_a_wrong_token_opens_nothing(client: Client, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert TOKEN.encode() not in answer.content and b"netraven_" not in answer.content


@pytest.mark.usefixtures("with_token")
def test_the_token_opens_it(client: Client) -> None:
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"netraven_open_runs 0.0" in answer.content
    assert client.post("/metrics").status_code == 405


def test_the_configuration_may_open_it_for_all(
    client: Client, configure: Callable[..., None]
) -> None:
    configure(metrics_without_token=True)
    assert client.get("/metrics").status_code == 200
    configure(metrics_without_token=True, metrics_token=SecretStr(TOKEN))
    assert client.get("/metrics").status_code == 401


# --- What it says -------------------------------------------------------------------------------


def test_runs_and_their_devices_are_counted() -> None:
    run = ended_run(failed_count=2, succeeded_count=5)
    failed_result(run)
    failed_result(run)
    old = ended_run(failed_count=1)
    failed_result(old)
    JobRun.objects.filter(pk=old.pk).update(created_at=Now() - timedelta(days=2))
    open_run = DeviceResultFactory.create().run
    JobRun.objects.filter(pk=open_run.pk).update(created_at=Now() - timedelta(seconds=90))
    runs = samples("netraven_runs")
    assert runs["COMPLETED_PARTIAL_FAILURE",] == 2
    assert runs["RUNNING",] == 1 and runs["CANCELLED",] == 0
    devices = samples("netraven_run_devices")
    assert (devices["FAILED",], devices["SUCCEEDED",], devices["SKIPPED",]) == (3, 5, 0)
    assert samples("netraven_device_results_last_day") == {
        ("connection_timeout", "FAILED"): 2,
        ("", "PENDING"): 1,
    }
    assert samples("netraven_open_runs")[()] == 1
    assert samples("netraven_oldest_open_run_age_seconds")[()] == pytest.approx(90, abs=10)


def test_workers_queues_and_the_rest_are_told() -> None:
    alive("devices", "zone.b")
    ReconcilerTick.objects.create(pk=1, last_at=Now() - timedelta(seconds=30))
    run = JobRunFactory.create()
    DeviceResultFactory.create(run=run)
    Device.objects.update(skipped_until=Now() + timedelta(hours=1))
    RunCredential.objects.create(
        run=run, credential=CredentialFactory.create(), set_aside_at=timezone.now(), reason="x"
    )
    assert samples("netraven_workers") == {("alive",): 1, ("dead",): 0}
    assert samples("netraven_worker_busy") == {("devices1@here",): 3}
    assert samples("netraven_worker_capacity") == {("devices1@here",): 50}
    assert samples("netraven_queue_workers")["devices",] == 1
    assert samples("netraven_queue_waiting")["devices",] == 1
    assert samples("netraven_broker_up")[()] == 1
    assert set(samples("netraven_queue_messages")) == set(samples("netraven_queue_workers"))
    assert samples("netraven_reconciler_age_seconds")[()] == pytest.approx(30, abs=10)
    assert samples("netraven_devices") == {("active",): 1, ("inactive",): 0}
    assert samples("netraven_devices_circuit_open")[()] == 1
    assert samples("netraven_credentials_set_aside")[()] == 1


def test_what_is_not_known_has_no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app.conf, "broker_url", "redis://127.0.0.1:1/0")
    assert samples("netraven_broker_up")[()] == 0
    assert samples("netraven_queue_messages") == {}
    assert samples("netraven_unacked_messages") == {}
    assert samples("netraven_reconciler_age_seconds") == {}


def test_the_documents_list_the_metrics() -> None:
    page = (PROJECT_DIR / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    listed = {cells[0].strip("`"): cells[1:] for cells in rows}
    families = {
        family.name: family for family in text_string_to_metric_families(metrics_text().decode())
    }
    assert set(listed) == set(families)
    for name, family in families.items():
        labels = {label for sample in family.samples for label in sample.labels}
        if family.samples:
            assert listed[name][0] == (", ".join(f"`{one}`" for one in sorted(labels)) or "none")
        assert listed[name][1] == family.documentation


def test_a_scrape_asks_few_queries_for_any_number_of_devices() -> None:
    run = ended_run()
    many_failed(run, 500, credential=CredentialFactory.create())
    DeviceResultFactory.create(status=ResultStatus.PENDING.value)
    with CaptureQueriesContext(connection) as queries:
        metrics_text()
    assert len(queries) < 15
