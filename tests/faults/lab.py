"""A stack with simulated devices, runs over them, and what has to be true after each fault."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psutil
import psycopg
import redis

from backups.engine.config_path import config_path
from backups.engine.normalise import normalise_text
from backups.engine.redaction import Redactor
from inventory.platforms import get_platform
from jobs.choices import FINAL_RESULT_STATUSES, FINAL_RUN_STATUSES, ResultStatus
from jobs.policy import final_status
from netraven_site.demo.simulator import Fault, FaultKind, SimulatorProcess
from netraven_site.stack.keys import EmbeddedKeys
from netraven_site.stack.state import StackState
from tests.acceptance.conftest import succeeded
from tests.acceptance.lab import canary
from tests.support.devices import device_spec, fleet_in_process
from tests.support.git_repository import assert_sound, run_git
from tests.support.up import Up
from tests.support.waiting import wait_for
from tests.support.worker_watch import worker_processes

PLATFORM = "cisco_ios"
LEASE_SECONDS = 5
#: Times short enough for a test, long enough for a busy machine. Few threads, so that a fault finds
#: devices that are done, under way and waiting.
SETTINGS = {
    "NETRAVEN_ALLOWED_NETWORKS": "127.0.0.0/8",
    "NETRAVEN_RETRY_BACKOFF_SECONDS": "0.2",
    "NETRAVEN_RETRY_BACKOFF_MAX_SECONDS": "1",
    "NETRAVEN_LEASE_SECONDS": str(LEASE_SECONDS),
    "NETRAVEN_HEARTBEAT_SECONDS": "1",
    "NETRAVEN_RECONCILE_SECONDS": "1",
    "NETRAVEN_MESSAGE_TTL_SECONDS": "5",
    "NETRAVEN_DRAIN_SECONDS": "10",
    "NETRAVEN_WORKER_CONCURRENCY": "6",
    # Devices that hang at their log-in would let the lockout guard hold the others back.
    "NETRAVEN_LOCKOUT_DEVICES": "0",
}
WORKERS = ("devices1", "devices2", "control", "isolated")
DEVICES, LINES = 18, 300
#: Milliseconds before each answer.
SLOW = Fault(FaultKind.SLOW, 300)
#: A session takes several times as long as a lease.
LONG = Fault(FaultKind.SLOW, 4000)
#: A session takes longer than a worker has to end.
STUCK = Fault(FaultKind.SLOW, 30_000)
END_SECONDS = 120.0
#: One process in place of one per command: password, then a line per device, by standard input.
_INTRODUCE = """
import sys
from credentials.services import credential_create, tags_ensure
from inventory.imports import file_import
from jobs.models import Job
from jobs.schedules import job_save_scheduled
password = sys.stdin.readline().strip()
head = "hostname,ip_address,port,platform,tags"
file_import(text=head + chr(10) + sys.stdin.read())
tags = tags_ensure(names=["lab"])
credential_create(name="lab", username="netops", password=password, tags=tags)
job_save_scheduled(job=Job(name="lab"), tags=tags)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended, read from its rows."""

    status: str
    #: By hostname: status, attempts, losses, error category.
    devices: dict[str, tuple[str, int, int, str]]
    #: From the moment that was asked about to the end of the run.
    seconds: float

    @property
    def attempts(self) -> int:
        return sum(attempts for _, attempts, _, _ in self.devices.values())

    @property
    def losses(self) -> int:
        return sum(losses for _, _, losses, _ in self.devices.values())

    def status_of(self, hostname: str) -> str:
        return self.devices[hostname][0]


class Lab:
    """A running stack, its devices, and one job over all of them."""

    def __init__(
        self, up: Up, fleet: SimulatorProcess, hostnames: Sequence[str], git_directory: Path
    ) -> None:
        self.up = up
        self.fleet = fleet
        self.hostnames = list(hostnames)
        self.git_directory = git_directory
        state = StackState.read(up.data_dir)
        assert state is not None
        self._state = state
        key = EmbeddedKeys.load_or_create(up.data_dir).redaction_key
        self._redactor = Redactor(key.encode())
        [(self._job_id,)] = self.rows("SELECT id FROM jobs_job WHERE name = 'lab'")

    # --- asking --------------------------------------------------------------------------------

    def start_run(
        self, *, fault: Fault | None = SLOW, faults: Mapping[str, Fault] | None = None
    ) -> int:
        """Change every device, give each ``fault``, ask for a run by the API; the run's id.

        ``faults`` are those of some devices, by hostname.
        """
        for hostname in self.hostnames:
            self.fleet.change(hostname)
        self.set_fault(fault)
        if fault == SLOW:
            self._spread()
        for hostname, own in (faults or {}).items():
            self.fleet.set_fault(hostname, own)
        status, answer = self.post(f"/api/v1/jobs/{self._job_id}/run/")
        assert status == http.HTTPStatus.ACCEPTED, answer
        return int(answer["id"])

    def set_fault(self, fault: Fault | None) -> None:
        """Give each device ``fault`` in all sessions to come."""
        for hostname in self.hostnames:
            self.fleet.set_fault(hostname, fault)

    def _spread(self) -> None:
        """Let the devices end one after the other, so that some are done while others wait."""
        for number, hostname in enumerate(self.hostnames):
            self.fleet.set_fault(hostname, Fault(FaultKind.SLOW, 200 + 40 * number))

    def post(self, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """Status and answer to a POST."""
        connection = http.client.HTTPConnection("127.0.0.1", self.up.web_port, timeout=60)
        try:
            header = {"Authorization": self.up.api_authorization()}
            if body is not None:
                header["Content-Type"] = "application/json"
            connection.request("POST", path, json.dumps(body) if body else None, header)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def rows(self, statement: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        """What the stack's database answers."""
        with psycopg.connect(self._state.database_url, connect_timeout=5) as connection:
            return connection.execute(statement, values).fetchall()

    def broker(self) -> redis.Redis:
        """A client of the stack's Redis."""
        return redis.Redis.from_url(self._state.redis_url)

    def execute(self, statement: LiteralString, *values: object) -> None:
        """Change rows of the stack's database."""
        with psycopg.connect(self._state.database_url, connect_timeout=5) as connection:
            connection.execute(statement, values)

    def said(self, run_id: int, text: str) -> int:
        """How many lines of the run's log hold ``text``."""
        [(count,)] = self.rows(
            "SELECT count(*) FROM jobs_joblog WHERE run_id = %s AND message LIKE %s",
            run_id,
            f"%{text}%",
        )
        return int(count)

    def story(self) -> str:
        """How the newest run stands, line by line, with its log: for a test that failed."""
        [(newest,)] = self.rows("SELECT max(id) FROM jobs_jobrun")
        devices = self.rows(
            "SELECT hostname, status, attempts, losses, lease_until, queued_at, retry_at,"
            " parked_at FROM jobs_deviceresult WHERE run_id = %s ORDER BY hostname",
            newest,
        )
        log = self.rows(
            "SELECT created_at, message FROM jobs_joblog WHERE run_id = %s ORDER BY id", newest
        )
        lines = [" ".join(map(str, row)) for row in [*devices, *log]]
        return "\n".join([*lines, f"workers: {sorted(self.workers())}"])

    def now(self) -> Any:
        """The database's clock."""
        [(now,)] = self.rows("SELECT clock_timestamp()")
        return now

    # --- waiting -------------------------------------------------------------------------------

    def statuses(self, run_id: int) -> Counter[str]:
        """How many devices of a run stand at which status."""
        rows = self.rows("SELECT status FROM jobs_deviceresult WHERE run_id = %s", run_id)
        return Counter(status for (status,) in rows)

    def wait_for(self, run_id: int, **counts: int) -> None:
        """Until so many devices at the least stand at each status."""

        def reached() -> bool:
            statuses = self.statuses(run_id)
            return all(statuses[name] >= count for name, count in counts.items())

        wait_for(reached, f"{counts} in run {run_id}", 60)

    def start_stuck_run(self, sessions: int) -> int:
        """Ask for a run, and wait until so many of its sessions are stuck; the run's id."""
        before = self._delayed()
        run = self.start_run(fault=STUCK)

        def stuck() -> bool:
            pairs = zip(self._delayed(), before, strict=True)
            return sum(now > then for now, then in pairs) >= sessions

        wait_for(stuck, f"{sessions} stuck sessions", 60)
        return run

    def _delayed(self) -> list[int]:
        """How often each device has held back an answer."""
        return [self.fleet.log(hostname)["delayed"] for hostname in self.hostnames]

    def wait_full_swing(self, run_id: int) -> None:
        """Until devices of the run are done, under way and waiting."""
        self.wait_for(run_id, SUCCEEDED=2, RUNNING=2, PENDING=2)

    def wait_end(self, run_id: int, seconds: float = END_SECONDS) -> None:
        """Until the run has ended. The database may be away meanwhile."""

        def ended() -> bool:
            with suppress(psycopg.OperationalError):
                [(status,)] = self.rows("SELECT status FROM jobs_jobrun WHERE id = %s", run_id)
                return status in FINAL_RUN_STATUSES
            return False

        wait_for(ended, f"the end of run {run_id}", seconds)

    def wait_workers(self) -> None:
        """Until every worker of the stack waits for messages, so that a fault finds it at work."""
        broker = self.broker()

        def all_wait() -> bool:
            with suppress(redis.RedisError):
                # Each worker is blocked in one BRPOP over its queues.
                waiting = [one for one in broker.client_list() if "b" in one["flags"]]
                return len(waiting) == len(WORKERS) == len(self.workers())
            return False

        wait_for(all_wait, "all workers", 90)

    # --- processes -----------------------------------------------------------------------------

    def workers(self) -> dict[str, psutil.Process]:
        """The main process of each worker by its name."""
        assert self.up.process is not None
        found = {}
        for process in worker_processes(self.up):
            with suppress(psutil.Error):
                arguments = process.cmdline()
                if process.ppid() == self.up.process.pid:
                    name = arguments[arguments.index("-n") + 1].partition("@")[0]
                    found[name] = process
        return found

    def reads_device(self, process: psutil.Process) -> bool:
        """Whether the process has a session with a device."""
        ports = {self.fleet.address(name)[1] for name in self.hostnames}
        talks = process.net_connections("tcp")
        return any(one.raddr and one.raddr.port in ports for one in talks)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a worker, ``beat`` or ``web``; its process id."""
        words = {"beat": ("beat",), "web": ("gunicorn",)}.get(name)
        pid = self.up.child(*words) if words else self.workers()[name].pid
        assert pid is not None, f"{name} does not run"
        os.kill(pid, number)
        return pid

    def server(self, name: str) -> psutil.Process:
        """The main process of ``redis`` or ``postgres``."""
        assert self.up.process is not None
        for child in psutil.Process(self.up.process.pid).children():
            with suppress(psutil.Error):
                if name in Path(child.cmdline()[0]).name:
                    return child
        raise AssertionError(f"{name} does not run")

    # --- what has to be true -------------------------------------------------------------------

    def outcome(self, run_id: int, since: Any = None) -> Outcome:
        """How the run ended, after everything was checked that has to hold after any fault."""
        self._assert_rows(run_id)
        [(status, seconds)] = self.rows(
            "SELECT status, extract(epoch FROM finished_at - coalesce(%s, started_at))::float"
            " FROM jobs_jobrun WHERE id = %s",
            since,
            run_id,
        )
        rows = self.rows(
            "SELECT hostname, status, attempts, losses, error_category"
            " FROM jobs_deviceresult WHERE run_id = %s",
            run_id,
        )
        self.assert_in_git([row[0] for row in rows if row[1] == ResultStatus.SUCCEEDED])
        return Outcome(status=status, devices={row[0]: row[1:] for row in rows}, seconds=seconds)

    def _assert_rows(self, run_id: int) -> None:
        """Each device has one final result; the run ended once, as its rows say."""
        rows = self.rows("SELECT hostname FROM jobs_deviceresult WHERE run_id = %s", run_id)
        assert sorted(name for (name,) in rows) == sorted(self.hostnames)
        counts = {ResultStatus(name): count for name, count in self.statuses(run_id).items()}
        assert set(counts) <= FINAL_RESULT_STATUSES, counts
        [run] = self.rows(
            "SELECT status, succeeded_count, failed_count, errored_count, suspect_count,"
            " skipped_count, cancelled_count FROM jobs_jobrun WHERE id = %s",
            run_id,
        )
        order = ("SUCCEEDED", "FAILED", "ERRORED", "SUSPECT", "SKIPPED", "CANCELLED")
        assert run == (final_status(counts), *(counts.get(ResultStatus(one), 0) for one in order))
        ends = self.rows(
            "SELECT message FROM jobs_joblog WHERE run_id = %s AND message LIKE %s",
            run_id,
            "the run ended as %",
        )
        assert len(ends) == 1, ends

    def assert_in_git(self, hostnames: Sequence[str]) -> None:
        """The newest text of each device stands in Git, and Git is whole."""
        repository = self.git_directory
        assert_sound(repository)
        ids = dict(self.rows("SELECT hostname, id FROM inventory_device"))
        for hostname in hostnames:
            path = config_path(hostname, ids[hostname])
            assert run_git(repository, "show", f"main:{path}") == self._expected(hostname)

    def _expected(self, hostname: str) -> str:
        platform = get_platform(PLATFORM)
        text = normalise_text(platform, self.fleet.config(hostname))
        return self._redactor.redact(platform, text).text


@contextmanager
def running_lab(
    directory: Path,
    settings: Mapping[str, str],
    devices: int = DEVICES,
    make_up: Callable[..., Up] = Up.prepared,
) -> Iterator[Lab]:
    """A stack that knows its devices and a job over them; ``settings`` on top of ours.

    ``make_up`` gets the data directory, and settings as keywords.
    """
    hostnames = [f"sw{number:02}" for number in range(devices)]
    password = canary("Login")
    with ExitStack() as resources:
        specs = [device_spec(PLATFORM, name, password=password, lines=LINES) for name in hostnames]
        fleet = resources.enter_context(fleet_in_process(*specs))
        sizes = {"NETRAVEN_WORKER_PROCESSES": "2"}
        up = make_up(directory / "data", **{**SETTINGS, **sizes, **settings})
        resources.callback(up.kill_all)
        up.start()
        rows = "\n".join(
            ",".join([name, *map(str, fleet.address(name)), PLATFORM, "lab"]) for name in hostnames
        )
        succeeded(up.command("shell", "-v0", "-c", _INTRODUCE, stdin=f"{password}\n{rows}\n"))
        git_directory = Path(settings.get("NETRAVEN_GIT_PATH", up.data_dir / "configs.git"))
        yield Lab(up, fleet, hostnames, git_directory)


def has_ended(pid: int) -> bool:
    """Whether a process has ended, its parent notwithstanding."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
