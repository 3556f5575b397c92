"""A worker is killed in the middle of a run: no device is forgotten, and none is stored twice."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest

from netraven_site.demo.simulator import Fault, FaultKind
from netraven_site.stack.state import StackState
from tests.acceptance.conftest import import_devices, succeeded
from tests.acceptance.lab import canary
from tests.support.devices import device_spec, fleet_in_process
from tests.support.servers import wait_until
from tests.support.up import Up

pytestmark = pytest.mark.slow

_DEVICES = 20
#: Milliseconds before each answer: a device takes seconds, and the run several rounds of them.
_SLOW = Fault(FaultKind.SLOW, 600)
_JOB = "slow-devices"


@pytest.fixture(scope="module")
def slow_devices(up: Up, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Slow devices that the stack knows, with a job over them."""
    password = canary("Login")
    specs = [
        device_spec("cisco_ios", f"slow-sw{number:02}", password=password, fault=_SLOW)
        for number in range(_DEVICES)
    ]
    with fleet_in_process(*specs) as fleet:
        import_devices(
            up,
            tmp_path_factory.mktemp("slow") / "devices.csv",
            [(spec.hostname, *fleet.address(spec.hostname), "cisco_ios", "slow") for spec in specs],
        )
        options = ["--username", "netops", "--password-stdin", "--tags", "slow"]
        succeeded(up.command("create_credential", "slow", *options, stdin=f"{password}\n"))
        succeeded(up.command("create_job", _JOB, "--tags", "slow"))
        yield


@pytest.mark.usefixtures("slow_devices")
@pytest.mark.parametrize("queues", ["devices", "control,git"])
def test_every_device_is_backed_up_all_the_same(up: Up, queues: str) -> None:
    command = up.start_command("run_job", _JOB, "--wait", "--json", "--timeout", "100")
    with command:
        wait_until(lambda: in_full_swing(up), "devices that are done, under way and waiting", 40)
        worker = up.child("worker", "-Q", queues)
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
        output, errors = command.communicate(timeout=110)
    run = json.loads(output)
    assert run["status"] == "COMPLETED_SUCCESS", (run, errors)
    assert command.returncode == 0
    assert run["devices"]["succeeded"] == run["devices"]["total"] == _DEVICES
    assert all(row["attempts"] >= 1 and row["commit"] for row in run["results"])
    attempts, losses, revisions = counts(up)
    if queues == "devices":
        assert losses >= 1
    else:
        assert (attempts, losses) == (_DEVICES, 0)
    assert revisions == _DEVICES
    wait_until(lambda: up.child("worker", "-Q", queues) not in (None, worker), "a new worker", 30)


@pytest.mark.usefixtures("slow_devices")
def test_devices_that_are_parked_go_on_when_a_worker_is_killed(up: Up) -> None:
    limit = 4
    query(up, "UPDATE credentials_tag SET max_sessions = 4 WHERE name = 'slow' RETURNING %s::text")
    command = up.start_command("run_job", _JOB, "--wait", "--json", "--timeout", "150")
    with command:
        wait_until(lambda: in_full_swing(up), "devices that are done, under way and waiting", 60)
        worker = up.child("worker", "-Q", "devices")
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
        most = 0
        while command.poll() is None:
            [(running, parked)] = query(
                up,
                "SELECT count(*) FILTER (WHERE status = 'RUNNING'),"
                " count(*) FILTER (WHERE status = 'PENDING' AND parked_at IS NOT NULL)"
                " FROM jobs_deviceresult WHERE run_id ="
                " (SELECT max(id) FROM jobs_jobrun WHERE job_name = %s)",
            )
            most = max(most, running)
            time.sleep(0.2)
        output, errors = command.communicate(timeout=10)
    run = json.loads(output)
    assert run["status"] == "COMPLETED_SUCCESS", (run, errors)
    assert run["devices"]["succeeded"] == _DEVICES
    assert 2 <= most <= limit
    assert parked == 0
    query(up, "UPDATE credentials_tag SET max_sessions = NULL RETURNING %s::text")


def in_full_swing(up: Up) -> bool:
    """Whether the newest run has devices in every state, so that a kill meets all of them."""
    statuses = Counter(
        status
        for (status,) in query(
            up,
            "SELECT status FROM jobs_deviceresult WHERE run_id ="
            " (SELECT max(id) FROM jobs_jobrun WHERE job_name = %s AND status = 'RUNNING')",
        )
    )
    return all(statuses[status] >= 2 for status in ("SUCCEEDED", "RUNNING", "PENDING"))


def counts(up: Up) -> tuple[int, int, int]:
    """Attempts and losses in the newest run of the job; revisions of its devices in all runs."""
    [(attempts, losses)] = query(
        up,
        "SELECT sum(attempts), sum(losses) FROM jobs_deviceresult"
        " WHERE run_id = (SELECT max(id) FROM jobs_jobrun WHERE job_name = %s)",
    )
    [(revisions,)] = query(up, "SELECT count(*) FROM backups_snapshot WHERE job_name = %s")
    return attempts, losses, revisions


def query(up: Up, statement: LiteralString) -> list[tuple[Any, ...]]:
    """The rows that ``statement`` gives for the job."""
    state = StackState.read(up.data_dir)
    assert state is not None
    with psycopg.connect(state.database_url) as connection:
        return connection.execute(statement, [_JOB]).fetchall()
