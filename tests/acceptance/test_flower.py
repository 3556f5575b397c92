"""Flower shows which device a task is for, and nothing that is secret."""

from __future__ import annotations

import ast
import http
import json
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import pytest

from netraven_site.demo.simulator import Fault, FaultKind
from netraven_site.stack.keys import EmbeddedKeys
from netraven_site.stack.processes import FLOWER_USER
from tests.acceptance.conftest import import_devices, succeeded
from tests.acceptance.lab import canary
from tests.support.devices import device_spec, fleet_in_process
from tests.support.leaks import Secrets
from tests.support.up import Up
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

_SLOW = "flower-slow"
_NAMES = ("flower-sw1", "flower-sw2", "flower-down", _SLOW)
#: Each answer of the slow device takes so long; the run waits for it, and Flower can be asked.
_SLOW_MILLISECONDS = 1500
_TASKS, _OTHERS = "/api/tasks", ("/api/workers?refresh=1", "/api/queues/length")


@dataclass(frozen=True)
class Watched:
    """A run of devices that were backed up, and of one that refused the log-in."""

    run_id: int
    secrets: Secrets
    #: What Flower said while the run was under way, by path.
    during: dict[str, Any]


@pytest.fixture(scope="module")
def watched(up: Up, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """Asks Flower in the middle of the run, when nothing but the slow device is missing."""
    password, wrong = canary("Login"), canary("Other")
    specs = [
        device_spec("cisco_ios", name, password=wrong if name == "flower-down" else password)
        for name in _NAMES
    ]
    with fleet_in_process(*specs) as fleet:
        fleet.set_fault(_SLOW, Fault(FaultKind.SLOW, _SLOW_MILLISECONDS))
        import_devices(
            up,
            tmp_path_factory.mktemp("flower") / "devices.csv",
            [(name, *fleet.address(name), "cisco_ios", "flower") for name in _NAMES],
        )
        options = ["--username", "netops", "--password-stdin", "--tags", "flower"]
        succeeded(up.command("create_credential", "flower", *options, stdin=f"{password}\n"))
        succeeded(up.command("create_job", "flower", "--tags", "flower"))
        command = up.start_command("run_job", "flower", "--wait", "--json", "--timeout", "90")
        during: dict[str, Any] = {}

        def is_in_the_middle() -> bool:
            during[_TASKS] = up.http_json(up.flower_port, _TASKS, authorization(up))
            states = {named(task)["device"]: task["state"] for task in ours(during[_TASKS])}
            return states.get(_SLOW) == "STARTED" and "SUCCESS" in states.values()

        wait_for(is_in_the_middle, "the middle of the run", 60)
        during |= {path: up.http_json(up.flower_port, path, authorization(up)) for path in _OTHERS}
        printed, errors = command.communicate(timeout=120)
        assert command.returncode == 1, errors
        configured = {secret for spec in specs for secret in fleet.secrets(spec.hostname)}
    run = json.loads(printed)
    assert run["devices"]["succeeded"] == 3
    secrets = Secrets({password, wrong} | {secret for secret in configured if len(secret) > 5})
    return Watched(run["run_id"], secrets, during)


def ours(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The tasks of this module's devices in an answer of Flower's."""
    return [task for task in answer.values() if "flower-" in (task["kwargs"] or "")]


def named(task: dict[str, Any]) -> dict[str, Any]:
    """What Flower shows a task to be for."""
    shown: dict[str, Any] = ast.literal_eval(task["kwargs"])
    return shown


def test_shows_devices_run_and_progress_while_it_is_under_way(watched: Watched) -> None:
    by_device = {named(task)["device"]: task for task in ours(watched.during[_TASKS])}
    for device, task in by_device.items():
        assert named(task) == {"device": device, "run": watched.run_id}
        assert task["name"] == "jobs.backup_device"
        # To Celery a device that cannot be backed up is a task that has done its work.
        assert (task["state"] == "SUCCESS") is bool(task["succeeded"])
    slow = by_device[_SLOW]
    assert slow["started"] and not slow["succeeded"]
    assert slow["worker"].startswith("devices1@")


def test_shows_the_queues(up: Up, watched: Watched) -> None:
    def shown() -> bool:
        # Flower waits a second for the answers of workers; busy ones have to be asked again.
        up.http_json(up.flower_port, _OTHERS[0], authorization(up))
        answer = up.http_json(up.flower_port, "/api/queues/length", authorization(up))
        names = {queue["name"] for queue in answer["active_queues"]}
        return names >= {"devices", "control", "git", "isolated"}

    wait_for(shown, "Flower has all queues")


def test_shows_no_secret_while_it_is_under_way(watched: Watched) -> None:
    for path, answer in watched.during.items():
        assert watched.secrets.found_in(json.dumps(answer).encode()) == set(), path


def test_shows_how_each_task_ended(up: Up, watched: Watched) -> None:
    def ended() -> bool:
        return {task["state"] for task in tasks(up)} == {"SUCCESS"}

    wait_for(ended, "Flower has all results", 20)
    results = [task["result"] for task in tasks(up)]
    assert sum("SUCCEEDED" in result for result in results) >= 3
    assert sum("FAILED" in result for result in results) >= 1


def test_shows_no_secret(up: Up, watched: Watched) -> None:
    # Without "refresh" Flower knows only the workers that were there before it.
    for path in ("/api/tasks", "/api/workers?refresh=1"):
        answer = json.dumps(up.http_json(up.flower_port, path, authorization(up)))
        assert len(answer) > 100
        assert watched.secrets.found_in(answer.encode()) == set()


def test_lets_nobody_in_without_the_password(up: Up) -> None:
    wrong = "Basic " + b64encode(f"{FLOWER_USER}:guess".encode()).decode()
    for path in ("/", "/api/tasks", "/api/workers"):
        for given in ("", wrong):
            assert up.http_status(up.flower_port, path, given) == http.HTTPStatus.UNAUTHORIZED


def authorization(up: Up) -> str:
    password = EmbeddedKeys.load_or_create(up.data_dir).flower_password
    return "Basic " + b64encode(f"{FLOWER_USER}:{password}".encode()).decode()


def tasks(up: Up) -> list[dict[str, Any]]:
    """The device tasks of this module's devices that Flower knows."""
    path = "/api/tasks?taskname=jobs.backup_device&limit=1000"
    return ours(up.http_json(up.flower_port, path, authorization(up)))
