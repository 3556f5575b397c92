"""Two hosts share database and broker: each reads what it reaches, and either may die.

One serves devices without a zone and has the Git store; the other reaches the zone and has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backups.models import Snapshot
from backups.services.verify import store_verify
from inventory.models import Zone
from jobs.choices import RunStatus, Trigger
from jobs.launch import request_run
from jobs.models import DeviceResult, Job, JobRun
from netraven_site.demo.simulator import Fault, FaultKind
from tests.factories import ZoneFactory
from tests.support.devices import device_spec, fleet_in_process
from tests.support.git_repository import assert_sound, history
from tests.support.hosts import Host
from tests.support.inventory import add_credential, add_device, add_job
from tests.support.waiting import wait_for, wait_for_end

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(600),
]

_EACH = 9
#: Milliseconds before each answer: some devices of each host are under way at any time.
_SLOW = Fault(FaultKind.SLOW, 400)
_SIZES = ("--processes", "1", "--concurrency", "4")


@pytest.fixture
def job() -> Iterator[Job]:
    """A job over slow devices, half of them in the zone ``dmz``."""
    specs = {
        name: device_spec("cisco_ios", name, username="netops", password="Pw-1234567", fault=_SLOW)
        for number in range(_EACH)
        for name in (f"core{number:02}", f"dmz{number:02}")
    }
    zone: Zone = ZoneFactory.create(name="dmz")
    with fleet_in_process(*specs.values()) as fleet:
        for name, spec in specs.items():
            place = zone if name.startswith("dmz") else None
            add_device(spec, *fleet.address(name), zone=place)
        add_credential(specs["core00"])
        yield add_job()


@pytest.fixture
def main_host(tmp_path: Path, git_directory: Path) -> Host:
    """The host with the Git store, which serves everything but zones."""
    return Host(
        tmp_path / "main",
        *_SIZES,
        NETRAVEN_GIT_WRITER="queue",
        NETRAVEN_GIT_PATH=str(git_directory),
    )


@pytest.fixture
def zone_host(tmp_path: Path) -> Host:
    """The host that reaches the zone."""
    return Host(tmp_path / "zone", "--zone", "dmz", *_SIZES, NETRAVEN_GIT_WRITER="queue")


def in_full_swing(run: JobRun) -> bool:
    """Whether both hosts have devices that are being read and devices that wait."""
    rows = DeviceResult.objects.filter(run=run).values_list("device__zone", "status")
    counts = Counter((zone is None, status) for zone, status in rows)
    return all(
        counts[is_core, status] >= 2
        for is_core in (True, False)
        for status in ("RUNNING", "PENDING")
    )


@pytest.mark.parametrize("dies", ["zone", "main"])
def test_every_device_ends_with_one_result(
    configure: Callable[..., None],
    git_directory: Path,
    job: Job,
    main_host: Host,
    zone_host: Host,
    dies: str,
) -> None:
    configure(git_writer="queue")
    with main_host, zone_host:
        run = request_run(job=job, trigger=Trigger.MANUAL)
        wait_for(lambda: in_full_swing(run), "devices under way and waiting on both hosts", 60)
        host = {"zone": zone_host, "main": main_host}[dies]
        host.kill()
        host.start()
        run = wait_for_end(run, 120)
    results = list(run.results.select_related("device__zone", "snapshot"))
    assert run.status == RunStatus.COMPLETED_SUCCESS, [
        (result.hostname, result.status, result.error_message) for result in results
    ]
    assert len(results) == 2 * _EACH and all(result.commit for result in results)
    lost = {bool(result.device and result.device.zone) for result in results if result.losses}
    assert lost == {"zone": {True}, "main": {False}}[dies]
    assert Snapshot.objects.count() == len(history(git_directory)) == 2 * _EACH
    assert store_verify(progress=lambda _: None).is_clean
    assert_sound(git_directory)
    assert not list(zone_host.data_dir.rglob("*.git"))
