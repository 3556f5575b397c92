"""Healthy, broken and hostile devices in front of one stack, and what runs over them leave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from backups.engine.config_path import config_path
from backups.engine.errors import ErrorCategory
from backups.engine.normalise import normalise_text
from backups.engine.redaction import Redactor
from inventory.platforms import get_platform
from netraven_site.demo.simulator import DeviceSpec, Fault, FaultKind, SimulatorProcess
from netraven_site.stack.keys import EmbeddedKeys
from netraven_site.stack.state import StackState
from tests.acceptance.conftest import import_devices, run_job, succeeded
from tests.acceptance.lab import canary
from tests.support.devices import device_spec, fleet_in_process
from tests.support.git_repository import run_git
from tests.support.hostile import ADDRESS, Hostility, hostile_servers
from tests.support.leaks import Secrets
from tests.support.up import Up
from tests.support.worker_watch import threads_by_worker, watched_memory

PLATFORM = "cisco_ios"
HEALTHY = tuple(f"healthy{number:02}" for number in range(20))
#: Shows another host key from the second run on.
IMPOSTOR = "impostor"
#: Devices that look bad and are not.
GARBLED, LOOKALIKES, LONG_BANNER, HUGE = "garbled", "lookalikes", "long-banner", "huge"
HUGE_LINES = 100_000
_LINES = 500
DEADLINE_SECONDS = 20
#: Fewer than the first run has devices, so that it brings up all threads of the pool.
_CONCURRENCY = 16
SETTINGS = {
    "NETRAVEN_ALLOWED_NETWORKS": "127.0.0.0/8",
    "NETRAVEN_CONNECT_TIMEOUT_SECONDS": "5",
    "NETRAVEN_LOGIN_TIMEOUT_SECONDS": "8",
    "NETRAVEN_COMMAND_TIMEOUT_SECONDS": "8",
    "NETRAVEN_DEVICE_DEADLINE_SECONDS": str(DEADLINE_SECONDS),
    "NETRAVEN_RETRY_ATTEMPTS": "1",
    "NETRAVEN_WORKER_CONCURRENCY": str(_CONCURRENCY),
}
#: Devices that cannot be backed up: what is wrong with them, and how that has to be called.
LOST: Mapping[FaultKind | Hostility, ErrorCategory] = {
    Hostility.SILENT: ErrorCategory.SSH_NEGOTIATION,
    Hostility.GARBAGE: ErrorCategory.SSH_NEGOTIATION,
    Hostility.LINES_BEFORE_VERSION: ErrorCategory.SSH_NEGOTIATION,
    Hostility.ENDLESS_VERSION: ErrorCategory.SSH_NEGOTIATION,
    Hostility.GIANT_PACKET: ErrorCategory.SSH_NEGOTIATION,
    FaultKind.HANG_AT_LOGIN: ErrorCategory.READ_TIMEOUT,
    FaultKind.HANG_AFTER_LOGIN: ErrorCategory.READ_TIMEOUT,
    FaultKind.HANG_MID_OUTPUT: ErrorCategory.READ_TIMEOUT,
    FaultKind.DROP_MID_OUTPUT: ErrorCategory.SESSION_DROPPED,
    FaultKind.RESET_MID_OUTPUT: ErrorCategory.SESSION_DROPPED,
    FaultKind.DRIP: ErrorCategory.DEADLINE,
    FaultKind.FLOOD: ErrorCategory.OUTPUT_TOO_LARGE,
    FaultKind.FLOOD_STDERR: ErrorCategory.OUTPUT_TOO_LARGE,
    FaultKind.ENDLESS_LINE: ErrorCategory.OUTPUT_TOO_LARGE,
}
#: Jobs, and tags of the devices that they run over.
_FIRST, _EVERY, _HEALTHY_ONLY = "first", "every", "healthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What is recorded of one device in one run."""

    device_id: int
    status: str
    category: str
    message: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """What is to be looked at after the runs; stack and devices are still there."""

    up: Up
    fleet: SimulatorProcess
    #: What the runs printed: before, with and after the hostile devices.
    before: Mapping[str, Any]
    hostile: Mapping[str, Any]
    after: Mapping[str, Any]
    #: Of the run with the hostile devices, by hostname.
    results: Mapping[str, Result]
    #: The most memory that each worker process has had, in bytes.
    memory: Mapping[str, int]
    #: Threads of each worker process after the first run.
    threads: Mapping[str, int]
    #: Passwords that the impostor was sent before and after its key had changed.
    attempts: tuple[int, int]
    #: Where all devices listen.
    ports: frozenset[int]
    #: Passwords of the log-in and of all configurations.
    secrets: Secrets

    def committed(self, hostname: str) -> str:
        """What Git has of a device."""
        path = config_path(hostname, self.results[hostname].device_id)
        return run_git(self.up.data_dir / "configs.git", "show", f"main:{path}")

    def expected(self, printed: str) -> str:
        """How a text of the platform has to stand in Git once it is clean."""
        platform = get_platform(PLATFORM)
        key = EmbeddedKeys.load_or_create(self.up.data_dir).redaction_key
        return Redactor(key.encode()).redact(platform, normalise_text(platform, printed)).text

    def messages(self) -> list[str]:
        """All that was written down about all runs."""
        rows = _rows(
            self.up,
            "SELECT message FROM jobs_joblog UNION ALL SELECT message FROM jobs_connectionlog"
            " UNION ALL SELECT error_message FROM jobs_deviceresult",
        )
        return [message for (message,) in rows]

    def log_files(self) -> dict[str, str]:
        """The logs of all processes."""
        files = sorted((self.up.data_dir / "log").iterdir())
        return {path.name: path.read_text("utf-8", "surrogateescape") for path in files}


@contextmanager
def after_the_runs(up: Up, directory: Path) -> Iterator[Aftermath]:
    """Run over the good devices, over all, and over the good ones again."""
    password = canary("Login")
    specs = _specs(password)
    with ExitStack() as resources:
        fleet = resources.enter_context(fleet_in_process(*specs))
        listeners = {spec.hostname: fleet.address(spec.hostname) for spec in specs}
        servers = resources.enter_context(hostile_servers())
        listeners |= {kind.value: (ADDRESS, port) for kind, port in servers.items()}
        _introduce(up, listeners, password, directory)
        fleet.config(HUGE)  # rendered now, so that no device waits for it later
        memory = resources.enter_context(watched_memory(up))
        before = run_job(up, _FIRST)
        threads = threads_by_worker(up)
        fleet.set_fault(IMPOSTOR, Fault(FaultKind.DIFFERENT_HOST_KEY))
        attempts = _attempts(fleet)
        hostile = run_job(up, _EVERY, expected_exit=1)
        yield Aftermath(
            up=up,
            fleet=fleet,
            before=before,
            hostile=hostile,
            after=run_job(up, _HEALTHY_ONLY),
            results=_results(up),
            memory=memory,
            threads=threads,
            attempts=(attempts, _attempts(fleet)),
            ports=frozenset(port for _, port in listeners.values()),
            secrets=Secrets({password}.union(*(fleet.secrets(s.hostname) for s in specs))),
        )


def _specs(password: str) -> list[DeviceSpec]:
    faults: dict[str, Fault | None] = dict.fromkeys([*HEALTHY, IMPOSTOR, HUGE])
    faults |= {kind.value: Fault(kind) for kind in LOST if isinstance(kind, FaultKind)}
    faults |= {
        GARBLED: Fault(FaultKind.GARBAGE),
        LOOKALIKES: Fault(FaultKind.LOOKALIKES),
        LONG_BANNER: Fault(FaultKind.LONG_BANNER, 3000),
    }
    sizes = {HUGE: HUGE_LINES}
    return [
        device_spec(
            *(PLATFORM, name), password=password, fault=fault, lines=sizes.get(name, _LINES)
        )
        for name, fault in faults.items()
    ]


def _introduce(
    up: Up, listeners: Mapping[str, tuple[str, int]], password: str, directory: Path
) -> None:
    """Tell the stack of the devices, how to log in, and which jobs there are."""
    import_devices(
        up,
        directory / "devices.csv",
        [(name, *where, PLATFORM, _tags(name)) for name, where in listeners.items()],
    )
    options = ["--username", "netops", "--password-stdin", "--tags", _EVERY]
    succeeded(up.command("create_credential", "lab", *options, stdin=f"{password}\n"))
    for name in (_FIRST, _EVERY, _HEALTHY_ONLY):
        succeeded(up.command("create_job", name, "--tags", name))


def _tags(hostname: str) -> str:
    if hostname in HEALTHY:
        return f"{_EVERY};{_FIRST};{_HEALTHY_ONLY}"
    return f"{_EVERY};{_FIRST}" if hostname == IMPOSTOR else _EVERY


def _attempts(fleet: SimulatorProcess) -> int:
    attempts: int = fleet.log(IMPOSTOR)["login_attempts"]
    return attempts


def _results(up: Up) -> dict[str, Result]:
    rows = _rows(
        up,
        "SELECT hostname, device_id, result.status, error_category, error_message,"
        " result.duration_seconds FROM jobs_deviceresult result"
        " JOIN jobs_jobrun run ON run.id = result.run_id WHERE run.job_name = %s",
        _EVERY,
    )
    return {
        hostname: Result(
            device_id=device_id, status=status, category=category, message=message, seconds=seconds
        )
        for hostname, device_id, status, category, message, seconds in rows
    }


def _rows(up: Up, query: LiteralString, *values: str) -> list[tuple[Any, ...]]:
    state = StackState.read(up.data_dir)
    assert state is not None
    with psycopg.connect(state.database_url) as connection:
        return connection.execute(query, values).fetchall()
