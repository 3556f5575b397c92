"""From the previous release to this version, with runs under way, as docs/howto/upgrade.md says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from netraven_site.config import PROJECT_DIR
from tests.acceptance.conftest import run_job, succeeded
from tests.faults.lab import DEVICES, Lab, running_lab
from tests.support import previous_release
from tests.support.up import Up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A stack of the previous release that has backed up each device once."""
    checkout = tmp_path / "previous"
    previous_release.check_out(checkout)

    def make_up(data_dir: Path, **settings: str) -> Up:
        up = Up(data_dir, **settings)
        up.project = checkout
        return up

    with running_lab(tmp_path, {}, make_up=make_up) as lab:
        assert run_job(lab.up, "lab")["status"] == "COMPLETED_SUCCESS"
        yield lab


def test_runs_go_on_while_the_version_changes(lab: Lab) -> None:
    up = lab.up
    old_workers = lab.start_run()
    lab.wait_full_swing(old_workers)
    up.project = PROJECT_DIR
    succeeded(up.command("migrate", "--noinput", timeout=120))
    lab.wait_end(old_workers)
    assert lab.statuses(old_workers) == {"SUCCEEDED": DEVICES}

    both = lab.start_run()
    lab.wait_full_swing(both)
    assert up.stop() == 0
    up.start()
    upgraded = Lab(up, lab.fleet, lab.hostnames, lab.git_directory)
    upgraded.wait_end(both)
    assert upgraded.statuses(both) == {"SUCCEEDED": DEVICES}
    [(failures,)] = upgraded.rows(
        "SELECT count(*) FROM jobs_deviceresult WHERE run_id IN (%s, %s) AND losses > 0",
        old_workers,
        both,
    )
    assert failures == 0

    upgraded.set_fault(None)
    run = run_job(up, "lab")
    outcome = upgraded.outcome(run["run_id"])
    assert outcome.status == "COMPLETED_SUCCESS"
    assert "nothing is wrong" in succeeded(up.command("verify_store"))
    history = succeeded(up.command("config", "history", lab.hostnames[0], "--json"))
    assert len(json.loads(history)["revisions"]) == 3
