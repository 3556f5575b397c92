"""Flower shows which device a task is for, and nothing that is secret."""

from __future__ import annotations

import http
import json
from base64 import b64encode

import pytest

from netraven_site.stack.keys import EmbeddedKeys
from netraven_site.stack.processes import FLOWER_USER
from tests.acceptance.conftest import import_devices, run_job, succeeded
from tests.acceptance.lab import canary
from tests.support.devices import device_spec, fleet_in_process
from tests.support.leaks import Secrets
from tests.support.servers import wait_until
from tests.support.up import Up

pytestmark = pytest.mark.slow

_NAMES = ("flower-sw1", "flower-sw2", "flower-down")


@pytest.fixture(scope="module")
def secrets(up: Up, tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    """The secrets of two devices that were backed up and of one that refused the log-in."""
    password, wrong = canary("Login"), canary("Other")
    specs = [
        device_spec("cisco_ios", name, password=wrong if name == "flower-down" else password)
        for name in _NAMES
    ]
    with fleet_in_process(*specs) as fleet:
        import_devices(
            up,
            tmp_path_factory.mktemp("flower") / "devices.csv",
            [(name, *fleet.address(name), "cisco_ios", "flower") for name in _NAMES],
        )
        options = ["--username", "netops", "--password-stdin", "--tags", "flower"]
        succeeded(up.command("create_credential", "flower", *options, stdin=f"{password}\n"))
        succeeded(up.command("create_job", "flower", "--tags", "flower"))
        run = run_job(up, "flower", expected_exit=1)
        configured = {secret for spec in specs for secret in fleet.secrets(spec.hostname)}
    assert run["devices"]["succeeded"] == 2
    return Secrets({password, wrong} | {secret for secret in configured if len(secret) > 5})


def test_shows_the_device_of_each_task(up: Up, secrets: Secrets) -> None:
    def shown() -> bool:
        kwargs = [task["kwargs"] or "" for task in tasks(up)]
        return all(any(f"'{name}'" in text for text in kwargs) for name in _NAMES)

    wait_until(shown, "Flower has all tasks", 20)


def test_shows_how_each_task_ended(up: Up, secrets: Secrets) -> None:
    def ended() -> bool:
        return {task["state"] for task in tasks(up)} == {"SUCCESS"}

    wait_until(ended, "Flower has all results", 20)
    results = [task["result"] for task in tasks(up)]
    assert sum("SUCCEEDED" in result for result in results) >= 2
    assert sum("FAILED" in result for result in results) >= 1


def test_shows_no_secret(up: Up, secrets: Secrets) -> None:
    # Without "refresh" Flower knows only the workers that were there before it.
    for path in ("/api/tasks", "/api/workers?refresh=1"):
        answer = json.dumps(up.http_json(up.flower_port, path, authorization(up)))
        assert len(answer) > 100
        assert secrets.found_in(answer.encode()) == set()


def test_lets_nobody_in_without_the_password(up: Up) -> None:
    wrong = "Basic " + b64encode(f"{FLOWER_USER}:guess".encode()).decode()
    for path in ("/", "/api/tasks", "/api/workers"):
        for given in ("", wrong):
            assert up.http_status(up.flower_port, path, given) == http.HTTPStatus.UNAUTHORIZED


def authorization(up: Up) -> str:
    password = EmbeddedKeys.load_or_create(up.data_dir).flower_password
    return "Basic " + b64encode(f"{FLOWER_USER}:{password}".encode()).decode()


def tasks(up: Up) -> list[dict[str, str]]:
    """The device tasks of this module's devices that Flower knows."""
    path = "/api/tasks?taskname=jobs.backup_device&limit=1000"
    found = up.http_json(up.flower_port, path, authorization(up))
    return [task for task in found.values() if "flower-" in (task["kwargs"] or "")]
