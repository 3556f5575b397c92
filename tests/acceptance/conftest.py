"""One stack for all acceptance tests, and one lab of real routers behind it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.lab import Lab, missing, running_lab
from tests.support.leaks import Watch, watched_arguments
from tests.support.openssh import ADDRESS
from tests.support.up import Up

#: Times short enough for a test, long enough for a busy machine. A small pool keeps devices
#: waiting, so that a worker which is killed leaves some of each kind.
SETTINGS = {
    "NETRAVEN_ALLOWED_NETWORKS": "127.0.0.0/8",
    "NETRAVEN_RETRY_BACKOFF_SECONDS": "0.1",
    "NETRAVEN_RETRY_BACKOFF_MAX_SECONDS": "0.5",
    "NETRAVEN_LEASE_SECONDS": "5",
    "NETRAVEN_HEARTBEAT_SECONDS": "1",
    "NETRAVEN_RECONCILE_SECONDS": "1",
    "NETRAVEN_MESSAGE_TTL_SECONDS": "5",
    "NETRAVEN_WORKER_CONCURRENCY": "8",
}
JOB = "routers"


@pytest.fixture(scope="package")
def arguments() -> Iterator[Watch]:
    """The command lines that were to be seen on this machine since the first test."""
    with watched_arguments() as watch:
        yield watch


@pytest.fixture(scope="package")
def up(tmp_path_factory: pytest.TempPathFactory, arguments: Watch) -> Iterator[Up]:
    """The whole stack, running."""
    up = Up.prepared(tmp_path_factory.mktemp("acceptance") / "data", **SETTINGS)
    try:
        yield up.start()
    finally:
        up.kill_all()


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    """The routers, running and configured."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with running_lab() as lab:
        yield lab


@dataclass(frozen=True)
class Backups:
    """A stack that knows the lab's routers, as its operator uses it."""

    up: Up
    #: What the first run of the job printed.
    first: dict[str, Any]

    def run(self, *, expected_exit: int = 0) -> dict[str, Any]:
        """One run of the job over all routers: the object that it prints."""
        return run_job(self.up, JOB, expected_exit=expected_exit)

    def config(self, *arguments: str) -> str:
        """What a ``config`` command prints."""
        return succeeded(self.up.command("config", *arguments))


@pytest.fixture(scope="package")
def backups(up: Up, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Backups:
    """The routers are imported, have credentials, and were backed up once."""
    import_devices(
        up,
        tmp_path_factory.mktemp("inventory") / "devices.csv",
        [
            (router.hostname, ADDRESS, router.sshd.port, "frr", f"frr;{router.hostname}-login")
            for router in lab.routers
        ],
    )
    for router in lab.routers:
        login = router.login
        options, lines = ["--username", login.account, "--tags", f"{router.hostname}-login"], []
        if login.password is not None:
            options.append("--password-stdin")
            lines.append(login.password)
        if login.key is not None and login.passphrase is not None:
            key_file = login.key.write(tmp_path_factory.mktemp("key") / "id_ed25519")
            options += ["--ssh-key", str(key_file), "--passphrase-stdin"]
            lines.append(login.passphrase)
        stdin = "".join(f"{line}\n" for line in lines)
        succeeded(
            up.command("create_credential", f"{router.hostname}-login", *options, stdin=stdin)
        )
    succeeded(up.command("create_job", JOB, "--tags", "frr"))
    return Backups(up, run_job(up, JOB))


def succeeded(done: subprocess.CompletedProcess[str], *, expected_exit: int = 0) -> str:
    """The output of a command that ended as it should."""
    assert done.returncode == expected_exit, done.stderr + done.stdout
    return done.stdout


def run_job(up: Up, name: str, *, expected_exit: int = 0) -> dict[str, Any]:
    """Run a job to its end: the object that ``run_job --json`` prints."""
    done = up.command("run_job", name, "--wait", "--json", "--timeout", "90", timeout=120)
    printed: dict[str, Any] = json.loads(succeeded(done, expected_exit=expected_exit))
    return printed


def import_devices(up: Up, file: Path, devices: Iterable[tuple[str, str, int, str, str]]) -> None:
    """Import hostname, address, port, platform and tags of each device, by way of a CSV file."""
    rows = [",".join(str(value) for value in device) for device in devices]
    header = "hostname,ip_address,port,platform,tags"
    file.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    printed = succeeded(up.command("import_devices", str(file)))
    assert printed.startswith(f"{len(rows)} devices were created"), printed
