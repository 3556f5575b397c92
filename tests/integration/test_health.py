"""Health: probes with reasons, workers, beat, and the dead man's switch."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from celery.utils.nodenames import gethostname
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.db.migrations.executor import MigrationExecutor
from django.db.models.functions import Now
from django.test import Client
from django_celery_beat.models import PeriodicTask
from pydantic import SecretStr

from credentials.models import InstallationKey
from jobs.beat import SlotScheduler
from jobs.models import ReconcilerTick, Tick, WorkerProcess
from jobs.notification_tasks import heartbeat_send, ping_heartbeat
from netraven_site import health, readiness
from netraven_site.readiness import Readiness
from tests.factories import DeviceFactory
from tests.support.receiver import Receiver, receiver
from tests.support.stored import store
from tests.support.workers import alive

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web", "git_directory")]


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_readiness", Readiness())
    # It closes the connection of its thread, which here is that of the test.
    monkeypatch.setattr("netraven_site.readiness.connection.close", lambda: None)


def reasons(client: Client) -> dict[str, str]:
    answer = client.get("/readyz")
    checks = answer.json()["checks"]
    wrong = {name: check["reason"] for name, check in checks.items() if not check["is_ok"]}
    assert (answer.status_code, answer.json()["is_ready"]) == (
        (503, False) if wrong else (200, True)
    )
    assert set(checks) == {"database", "broker", "migrations", "keys", "git"}
    return wrong


def test_ready_when_everything_is_there(client: Client) -> None:
    assert reasons(client) == {}
    assert client.get("/healthz").content == b"ok"
    assert client.post("/readyz").status_code == 405


def test_pages_are_ready_without_the_broker(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_app.conf, "broker_url", "redis://127.0.0.1:1/0")
    assert client.get("/readyz").status_code == 503
    answer = client.get("/readyz?for=pages")
    assert answer.status_code == 200 and not answer.json()["checks"]["broker"]["is_ok"]


def test_a_database_that_is_down_is_the_reason(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down() -> None:
        raise OperationalError("connection to 10.1.2.3 as netraven failed")

    monkeypatch.setattr(readiness, "ask_database", down)
    wrong = reasons(client)
    assert (
        wrong.pop("database")
        == "the database does not answer; check that it runs, and DATABASE_URL"
    )
    assert set(wrong.values()) == {"not known while the database does not answer"}


def test_a_broker_that_is_down_is_the_reason(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_app.conf, "broker_url", "redis://:Zq9-CANARY@127.0.0.1:1/0")
    wrong = reasons(client)
    assert "cannot be reached" in wrong["broker"] and "CANARY" not in str(wrong)


def test_tables_that_are_not_up_to_date_are_the_reason(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = MigrationExecutor.migration_plan
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_: [1, 2])
    assert reasons(client)["migrations"].startswith("2 migrations are not applied")
    monkeypatch.setattr(MigrationExecutor, "migration_plan", plan)
    monkeypatch.setattr(readiness, "_FRESH_SECONDS", 0.0)
    assert reasons(client) == {}


def test_keys_that_do_not_fit_are_the_reason(client: Client) -> None:
    InstallationKey.objects.update_or_create(name="redaction", defaults={"fingerprint": "other"})
    assert set(reasons(client)) == {"keys"}


def test_a_git_store_that_is_gone_is_the_reason(client: Client, git_directory: Path) -> None:
    store(DeviceFactory.create(), "hostname x\nend\n")
    assert reasons(client) == {}
    git_directory.rename(git_directory.with_suffix(".gone"))
    health._readiness = Readiness()
    wrong = reasons(client)
    assert set(wrong) == {"git"} and str(git_directory) not in wrong["git"]


def test_who_asks_again_and_again_costs_nothing(
    client: Client, django_assert_num_queries: Any
) -> None:
    reasons(client)
    with django_assert_num_queries(0):
        reasons(client)


def answer_of(*arguments: str) -> str:
    out = io.StringIO()
    call_command("health", *arguments, stdout=out)
    return out.getvalue().strip()


def test_the_command_asks_after_the_workers_of_this_host() -> None:
    with pytest.raises(CommandError, match="no worker of this host"):
        answer_of("worker")
    alive("devices")
    WorkerProcess.objects.update(host="elsewhere")
    with pytest.raises(CommandError, match="no worker of this host"):
        answer_of("worker")
    host = gethostname()
    WorkerProcess.objects.update(host=host, node=f"devices@{host}")
    assert answer_of("worker") == answer_of("worker", "--name", "devices")
    with pytest.raises(CommandError, match="no worker control"):
        answer_of("worker", "--name", "control")
    WorkerProcess.objects.update(seen_at=Now() - timedelta(hours=1))
    with pytest.raises(CommandError, match="sign of life"):
        answer_of("worker")


def test_the_command_asks_after_beat() -> None:
    with pytest.raises(CommandError, match="beat did not go round"):
        answer_of("beat")
    PeriodicTask.objects.all().delete()
    SlotScheduler(app=current_app, lazy=True).tick()
    assert answer_of("beat") == "beat goes round"
    ReconcilerTick.objects.filter(pk=Tick.BEAT).update(last_at=Now() - timedelta(seconds=61))
    with pytest.raises(CommandError, match="beat did not go round"):
        answer_of("beat")


def test_the_command_asks_for_everything() -> None:
    assert answer_of("ready") == "ready"


@pytest.fixture
def watch(configure: Callable[..., None]) -> Iterator[Receiver]:
    with receiver() as kept:
        configure(heartbeat_url=SecretStr(f"{kept.url}/Zq9-CANARY"))
        yield kept


def test_the_watch_is_asked_once_a_minute_by_one_worker(
    watch: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ping_heartbeat, "apply_async", lambda **_: ping_heartbeat())
    for _ in range(3):
        heartbeat_send()
    assert watch.paths == ["/Zq9-CANARY"]
    ReconcilerTick.objects.update(last_at=Now() - timedelta(seconds=61))
    heartbeat_send()
    assert len(watch.paths) == 2


def test_nobody_is_asked_where_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ping_heartbeat, "apply_async", lambda **_: 1 / 0)
    heartbeat_send()


def test_a_watch_that_does_not_answer_is_logged_without_its_address(
    watch: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    watch.status = 404
    ping_heartbeat()
    assert "127.0.0.1 answered with 404" in caplog.text and "CANARY" not in caplog.text
