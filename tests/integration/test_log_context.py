"""What lines of the log have in common that belong to one request or one task."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import structlog
from celery import shared_task
from django.test import Client

from jobs.tasks import backup_device
from netraven_site.log_context import HEADER
from netraven_site.log_format import RedactedFormatter
from tests.factories import DeviceResultFactory, UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]


class Lines(logging.Handler):
    """Keeps lines as they are written, at the time at which they are."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(RedactedFormatter("json"))
        self.kept: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(json.loads(self.format(record)))


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    handler, root = Lines(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler.kept
    root.removeHandler(handler)
    root.setLevel(level)


def requests(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == "http.request"]


def test_a_request_is_a_line_with_its_id_and_without_its_query(
    client: Client, lines: list[dict[str, Any]]
) -> None:
    user = UserFactory.create(is_superuser=True)
    client.force_login(user)
    given = "req-0123.abc"
    answer = client.get("/api/v1/devices/?search=CANARY", headers={HEADER: given})
    [line] = requests(lines)
    assert answer[HEADER] == line["request"] == given
    assert (line["method"], line["path"], line["status"]) == ("GET", "/api/v1/devices/", 200)
    assert line["user"] == user.pk
    assert "CANARY" not in json.dumps(line)
    assert structlog.contextvars.get_contextvars() == {}


@pytest.mark.parametrize("given", ["short", "x" * 65, "two words", 'a"b"c"d"e', "ümläut-id"])
def test_an_id_that_is_none_is_not_taken_over(
    client: Client, lines: list[dict[str, Any]], given: str
) -> None:
    answer = client.get("/api/v1/", headers={HEADER: given})
    assert len(answer[HEADER]) == 32 and requests(lines)[0]["request"] == answer[HEADER]


def test_probes_are_no_lines(client: Client, lines: list[dict[str, Any]]) -> None:
    for path in ("/healthz", "/metrics"):
        client.get(path)
    assert requests(lines) == []


@shared_task(name="tests.says_something")
def says_something(run_id: int, text: str) -> None:
    logging.getLogger("netmiko").warning("a library says %s", "something")


def test_lines_of_a_task_name_it_and_the_ids_of_its_message(lines: list[dict[str, Any]]) -> None:
    structlog.contextvars.bind_contextvars(left="over")
    done = says_something.apply((7,), {"text": "CANARY"})
    [line] = [one for one in lines if one["logger"] == "netmiko"]
    assert (line["task"], line["task_name"], line["run"]) == (
        done.id,
        "tests.says_something",
        7,
    )
    assert line["event"] == "a library says something"
    assert "CANARY" not in json.dumps(line) and "left" not in line
    assert structlog.contextvars.get_contextvars() == {}


def test_a_device_task_names_device_and_run(monkeypatch: pytest.MonkeyPatch) -> None:
    bound: dict[str, Any] = {}

    def back_up(**_: object) -> None:
        bound.update(structlog.contextvars.get_contextvars())

    monkeypatch.setattr("jobs.tasks.device_back_up", back_up)
    result = DeviceResultFactory.create()
    backup_device.apply((result.pk,))
    assert (bound["device"], bound["run"]) == (result.hostname, result.run_id)
    assert bound["result"] == result.pk
