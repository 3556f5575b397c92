"""``manage.py worker``: which processes it starts, what it refuses, and that it runs and stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from netraven_site.stack.processes import node_name, workers, workers_of
from netraven_site.stack.supervisor import ProcessSpec
from tests.factories import ZoneFactory
from tests.support.servers import wait_until

_PROJECT = Path(__file__).parents[2]


def option(spec: ProcessSpec, name: str) -> str:
    return spec.argv[spec.argv.index(name) + 1]


def shapes(specs: list[ProcessSpec]) -> list[tuple[str, str, str]]:
    """Name, pool and queues of each worker."""
    return [(spec.name, option(spec, "-P"), option(spec, "-Q")) for spec in specs]


def test_up_serves_its_zones_beside_the_devices(configure: Callable[..., None]) -> None:
    configure(worker_processes=2, worker_zones=["dmz"])
    assert shapes(workers(settings.NETRAVEN)) == [
        ("devices1", "threads", "devices,zone.dmz"),
        ("devices2", "threads", "devices,zone.dmz"),
        ("control", "threads", "control,git"),
        ("isolated", "prefork", "isolated"),
    ]


def test_a_worker_of_a_zone_serves_nothing_else(configure: Callable[..., None]) -> None:
    configure(worker_processes=1)
    assert shapes(workers_of(settings.NETRAVEN, ["zone.dmz"])) == [
        ("zone-dmz1", "threads", "zone.dmz")
    ]
    assert shapes(workers_of(settings.NETRAVEN, ["git"])) == [("git", "threads", "git")]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--zone", "dzm"], "there is no zone 'dzm'; the zones are: dmz"),
        (["--queues", "devices,zone.x"], "there is no zone 'x'"),
        (["--queues", "device"], "there is no queue 'device'; the queues are: devices,"),
        (["--processes", "0"], "at least 1"),
    ],
)
def test_what_nobody_could_serve_is_refused(arguments: list[str], message: str) -> None:
    ZoneFactory.create(name="dmz")
    with pytest.raises(CommandError, match=message):
        call_command("worker", *arguments)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_it_runs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    ZoneFactory.create(name="lone")
    database = settings.DATABASES["default"]["NAME"]
    url = os.environ["DATABASE_URL"].replace("/netraven?", f"/{database}?")
    environment = os.environ | {"DATABASE_URL": url, "NETRAVEN_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "manage.py", "worker", "--zone", "lone", "--processes", "1"]
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=_PROJECT, env=environment, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        node = node_name("zone-lone1")
        wait_until(lambda: f"ready: {node}" in output.read_text(), "the worker is ready")
        second = subprocess.run(command, cwd=_PROJECT, env=environment, capture_output=True)
        assert second.returncode == 1
        assert f"{node} runs already".encode() in second.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 0, output.read_text()
    finally:
        process.kill()
        process.wait()
