"""``/metrics``: right, cheap, listed in the documents, and closed unless it is opened."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import yaml
from celery import current_app
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from backups.models import GitRemote
from inventory.models import Device
from jobs.choices import ResultStatus
from jobs.models import (
    JobRun,
    NotificationMessage,
    NotificationTarget,
    PhaseDuration,
    ReconcilerTick,
    RunCredential,
    Tick,
)
from jobs.monitoring.metrics import metrics_text
from jobs.services import durations
from jobs.services.durations import durations_count, durations_write
from netraven_site.config import PROJECT_DIR
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobRunFactory,
    UserFactory,
    ZoneFactory,
)
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
    ReconcilerTick.objects.create(pk=Tick.RECONCILE, last_at=Now() - timedelta(seconds=30))
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
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in text_string_to_metric_families(metrics_text().decode())
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
    assert len(queries) < 26


@pytest.fixture
def no_durations() -> None:
    """Nothing is counted yet: sessions of other tests may have been, in this process."""
    durations_write()
    PhaseDuration.objects.all().delete()


@pytest.mark.usefixtures("no_durations")
def test_phases_are_a_histogram_that_all_workers_add_to() -> None:
    for seconds in (0.2, 0.25, 40.0, 4000.0):
        durations_count(phase_seconds={"collect": seconds, "store": 0.01})
        durations_write()
    durations_write()
    families = text_string_to_metric_families(metrics_text().decode())
    [family] = [one for one in families if one.name == "netraven_phase_seconds"]
    assert family.type == "histogram"
    found = {
        (one.name.rpartition("_")[2], one.labels.get("le", "")): one.value
        for one in family.samples
        if one.labels["phase"] == "collect"
    }
    assert [found["bucket", le] for le in ("0.1", "0.25", "30.0", "60.0", "+Inf")] == [
        0,
        2,
        2,
        3,
        4,
    ]
    assert (found["count", ""], found["sum", ""]) == (4, pytest.approx(4040.45))


@pytest.mark.usefixtures("no_durations")
def test_durations_that_could_not_be_written_are_written_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    durations_count(phase_seconds={"connect": 1.0})
    with monkeypatch.context() as broken:
        broken.setattr(durations, "_WRITE", "SELECT 1/0")
        with pytest.raises(DatabaseError), transaction.atomic():
            durations_write()
    durations_count(phase_seconds={"connect": 1.0})
    durations_write()
    assert PhaseDuration.objects.get(phase="connect").count == 2


def test_places_remotes_and_messages_are_told() -> None:
    zone = ZoneFactory.create(name="dmz")
    device = DeviceFactory.create(zone=zone, platform="frr")
    DeviceResultFactory.create(device=device)
    GitRemote.objects.create(name="mirror", url="https://git.example.org/x.git", failures=3)
    target = NotificationTarget.objects.create(name="noc", failures=2)
    NotificationMessage.objects.create(
        target=target, key="x", subject="x", state="FAILED", due_at=timezone.now()
    )
    by_place = samples("netraven_device_results_last_day_by_place")
    assert by_place == {("frr", "PENDING", "dmz"): 1}
    assert samples("netraven_git_remote_failures") == {("mirror",): 3}
    assert samples("netraven_git_remote_lag_snapshots") == {("mirror",): 0}
    assert samples("netraven_notification_target_failures") == {("noc",): 2}
    assert samples("netraven_notifications")["FAILED",] == 1
    assert samples("netraven_archive_bytes")[()] > 0


# --- Dashboard and alerts -----------------------------------------------------------------------

MONITORING = PROJECT_DIR / "deploy" / "monitoring"
#: What expressions of Prometheus have beside names of metrics and labels.
_GROUPING = re.compile(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)")
#: Matching is between two vectors only; of a number Prometheus refuses the whole file.
_SCALAR_MATCHED = re.compile(r"\b[\d.]+\s*[-+*/<>=!]+\s*(?:on|ignoring)\b")
_SELECTOR = re.compile(r"\b(netraven_\w+)(?:\{([^}]*)\})?")


def documented() -> dict[str, set[str]]:
    """The labels of each metric, those of the histogram under each of its names."""
    known: dict[str, set[str]] = {}
    for line in (PROJECT_DIR / "docs" / "metrics.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `netraven_"):
            name, labels, *_ = line.strip("| ").split(" | ")
            known[name.strip("`")] = set(re.findall(r"`(\w+)`", labels))
    histogram = known.pop("netraven_phase_seconds")
    known |= {f"netraven_phase_seconds_{end}": histogram for end in ("bucket", "sum", "count")}
    return known


def alerts() -> list[dict[str, Any]]:
    read = yaml.safe_load((MONITORING / "prometheus-alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in read["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    text = (MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8")
    return [panel for panel in json.loads(text)["panels"] if panel["type"] != "row"]


def expressions() -> list[tuple[str, str]]:
    """Each expression with the words beside it that may name labels."""
    found = [(one["expr"], str(one["annotations"])) for one in alerts()]
    targets = [target for panel in panels() for target in panel["targets"]]
    return found + [(one["expr"], one["legendFormat"]) for one in targets]


def test_dashboard_and_alerts_use_metrics_and_labels_that_there_are() -> None:
    known = documented()
    used: set[str] = set()
    for expression, words in expressions():
        names = [name for name, _ in _SELECTOR.findall(expression)]
        assert set(names) <= set(known), expression
        used |= set(names)
        for name, matchers in _SELECTOR.findall(expression):
            assert set(re.findall(r"(\w+)\s*[=!]", matchers)) <= known[name], expression
        labels = set().union(*(known[name] for name in names))
        for grouping in _GROUPING.findall(expression):
            assert set(re.findall(r"\w+", grouping)) <= labels, expression
        shown = re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", words)
        assert set(shown) <= labels | {"value"}, (expression, words)
        assert expression.count("(") == expression.count(")")
        assert not _SCALAR_MATCHED.search(expression), f"Prometheus refuses {expression}"
    assert len(used) > 25


def test_each_alert_says_what_to_do() -> None:
    names = [one["alert"] for one in alerts()]
    assert len(names) == len(set(names))
    for one in alerts():
        assert one["labels"]["severity"] in {"warning", "critical"}
        assert one["annotations"]["summary"] and one["annotations"]["description"]


def test_panels_do_not_cover_each_other() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        own = {
            (place["x"] + column, place["y"] + line)
            for column in range(place["w"])
            for line in range(place["h"])
        }
        assert not own & cells and place["x"] + place["w"] <= 24, panel["title"]
        cells |= own
