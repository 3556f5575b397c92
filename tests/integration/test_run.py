"""A job run from the request to the record, with real SSH, broker, worker, Git and database."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import git
import pytest
from django.core.management import call_command

from backups.models import Archive, Snapshot, Suspect
from backups.selectors.archives import archive_bytes
from backups.selectors.snapshots import snapshot_get, snapshot_text
from backups.services.suspects import suspect_accept
from inventory.models import Device
from jobs.choices import ResultStatus, RunStatus, Trigger
from jobs.launch import request_run
from jobs.models import ConnectionLog, DeviceResult, JobLog
from netraven_site.demo.simulator import Fault, FaultKind
from tests.support.devices import VOLATILE, device_spec, fleet_in_thread
from tests.support.inventory import add_credential, add_device, add_job
from tests.support.waiting import wait_for_end

pytestmark = pytest.mark.usefixtures("worker")

SECRETS = {"password": "Pa55-canary-word", "enable_secret": "En-canary-able"}


def by_hostname(run_id: int) -> dict[str, DeviceResult]:
    results = DeviceResult.objects.filter(run_id=run_id).select_related("snapshot")
    return {result.hostname: result for result in results}


def test_backs_up_changes_and_leaves_alone(git_directory: Path) -> None:
    specs = [
        device_spec(platform, f"r{number}", username="netops", **SECRETS)
        for number, platform in enumerate(
            ["cisco_ios", "cisco_nxos", "arista_eos", "juniper_junos", "vyos", "frr", "linux"]
        )
    ]
    with fleet_in_thread(*specs) as fleet:
        for spec in specs:
            add_device(spec, *fleet.address(spec.hostname))
        add_credential(specs[0])
        job = add_job()

        first = wait_for_end(request_run(job=job, trigger=Trigger.MANUAL))
        results = by_hostname(first.pk)
        assert first.status == RunStatus.COMPLETED_SUCCESS, [
            (result.hostname, result.error_message) for result in results.values()
        ]
        assert {result.config_changed for result in results.values()} == {True}
        assert first.succeeded_count == first.total_count == len(specs)

        second = wait_for_end(request_run(job=job, trigger=Trigger.MANUAL))
        results = by_hostname(second.pk)
        assert second.status == RunStatus.COMPLETED_SUCCESS
        assert {result.config_changed for result in results.values()} == {False}
        assert all(result.commit for result in results.values())
        assert Snapshot.objects.count() == len(specs)

        fleet.change("r0")
        third = wait_for_end(request_run(job=job, trigger=Trigger.MANUAL))
        changed = {name for name, result in by_hostname(third.pk).items() if result.config_changed}
        assert changed == {"r0"}

        secrets = {secret for spec in specs for secret in fleet.secrets(spec.hostname)}
        everything = _everything_readable(git_directory)
        leaked = {secret for secret in secrets | set(SECRETS.values()) if secret in everything}
        assert not leaked, [
            line for line in everything.splitlines() if any(secret in line for secret in leaked)
        ][:5]
        newest = snapshot_get(device=Device.objects.get(hostname="r0"))
        archive = newest.archives.get()
        raw = archive_bytes(archive=archive).decode().replace("\r\n", "\n")
        assert _steady_lines(raw) == _steady_lines(fleet.config("r0"))
        assert snapshot_text(snapshot=newest).count("<redacted:") > 3


def _steady_lines(text: str) -> list[str]:
    """The lines of an IOS configuration without those that move with each command."""
    return [line for line in text.strip().split("\n") if not VOLATILE["cisco_ios"].match(line)]


def _everything_readable(git_directory: Path) -> str:
    """All commits with their patches, all rows but the sealed ones, what the commands print."""
    history = git.Git(str(git_directory)).log("--all", "-p")
    assert "NetRaven-Device:" in history
    texts = [history]
    for model in (JobLog, ConnectionLog):
        texts += model.objects.values_list("message", flat=True)
    texts += [str(row) for row in DeviceResult.objects.values()]
    texts += [str(row) for row in Snapshot.objects.values()]
    texts += [str(row) for row in Archive.objects.values("key_id", "raw_digest", "media_type")]
    out = io.StringIO()
    call_command("config", "show", "r0", stdout=out)
    call_command("config", "diff", "r0", stdout=out)
    call_command("config", "search", ".", stdout=out)
    return "\n".join([*texts, out.getvalue()])


def test_trouble_of_one_device_is_its_own(configure: Callable[..., None]) -> None:
    configure(device_deadline_seconds=6, command_timeout_seconds=1, max_output_bytes=1_000_000)
    # On probation a session may be given back, which uses up the one that is flaky.
    configure(lockout_devices=0)
    faults = {
        "good": None,
        "hangs": Fault(FaultKind.HANG_AFTER_LOGIN),
        "drops": Fault(FaultKind.DROP_MID_OUTPUT),
        "floods": Fault(FaultKind.FLOOD),
        "truncates": Fault(FaultKind.TRUNCATED),
        "rejects": Fault(FaultKind.COMMAND_REJECTED),
        "refuses": Fault(FaultKind.AUTH_FAIL),
        "flaky": Fault(FaultKind.FLAKY, 1),
    }
    specs = [
        device_spec("cisco_ios", name, username="netops", password="Pw-1234567", fault=fault)
        for name, fault in faults.items()
    ]
    with fleet_in_thread(*specs) as fleet:
        for spec in specs:
            add_device(spec, *fleet.address(spec.hostname))
        gone = device_spec("cisco_ios", "gone", username="netops", password="Pw-1234567")
        add_device(gone, "127.0.0.1", 1)
        unknown = add_device(device_spec("cisco_ios", "odd"), "127.0.0.1", 1)
        Device.objects.filter(pk=unknown.pk).update(platform="no_such_platform")
        lonely = add_device(device_spec("cisco_ios", "lonely"), "192.0.2.1", 22)
        add_credential(specs[0])
        job = add_job()
        lonely.tags.clear()
        run = wait_for_end(request_run(job=job, trigger=Trigger.MANUAL), seconds=120)
        results = by_hostname(run.pk)
        found = {name: (result.status, result.error_category) for name, result in results.items()}
    assert found == {
        "good": ("SUCCEEDED", ""),
        "hangs": ("FAILED", "read_timeout"),
        "drops": ("FAILED", "session_dropped"),
        "floods": ("FAILED", "output_too_large"),
        "truncates": ("SUSPECT", "incomplete_output"),
        "rejects": ("FAILED", "command_rejected"),
        "refuses": ("FAILED", "authentication"),
        "flaky": ("SUCCEEDED", ""),
        "gone": ("FAILED", "connection_refused"),
        "odd": ("ERRORED", "unknown_platform"),
    }
    assert run.status == RunStatus.COMPLETED_PARTIAL_FAILURE
    assert results["refuses"].attempts == 1
    assert results["gone"].attempts == 3
    assert results["flaky"].attempts == 2
    assert results["truncates"].snapshot is None
    assert Archive.objects.filter(device__hostname="truncates", snapshot=None).count() == 1


def test_suspect_output_replaces_nothing() -> None:
    spec = device_spec("cisco_ios", "edge")
    with fleet_in_thread(spec) as fleet:
        device = add_device(spec, *fleet.address("edge"))
        add_credential(spec)
        job = add_job()
        wait_for_end(request_run(job=job, trigger=Trigger.MANUAL))
        good = snapshot_get(device=device)
        fleet.set_fault("edge", Fault(FaultKind.TRUNCATED))
        run = wait_for_end(request_run(job=job, trigger=Trigger.MANUAL))
    assert run.status == RunStatus.COMPLETED_FAILURE
    assert by_hostname(run.pk)["edge"].status == ResultStatus.SUSPECT
    assert snapshot_get(device=device) == good
    suspect = Suspect.objects.get()
    assert (suspect.device, suspect.run_id, suspect.state) == (device, run.pk, "OPEN")
    assert "end of the configuration is missing" in " ".join(suspect.reasons)


def test_what_was_accepted_is_trusted_in_the_next_run() -> None:
    spec = device_spec("cisco_ios", "edge", fault=Fault(FaultKind.TRUNCATED))
    with fleet_in_thread(spec) as fleet:
        device = add_device(spec, *fleet.address("edge"))
        add_credential(spec)
        job = add_job()
        wait_for_end(request_run(job=job, trigger=Trigger.MANUAL))
        accepted = suspect_accept(suspect=Suspect.objects.get(), accepted_by="jane")
        run = wait_for_end(request_run(job=job, trigger=Trigger.MANUAL))
        assert run.status == RunStatus.COMPLETED_SUCCESS
        assert by_hostname(run.pk)["edge"].config_changed is False
        fleet.set_fault("edge", None)
        run = wait_for_end(request_run(job=job, trigger=Trigger.MANUAL))
        assert by_hostname(run.pk)["edge"].config_changed is True
    assert snapshot_get(device=device).pk > accepted.pk


def test_what_a_session_found_out_is_kept() -> None:
    spec = device_spec("cisco_ios", "edge", username="netops")
    with fleet_in_thread(spec) as fleet:
        device = add_device(spec, *fleet.address("edge"))
        add_credential(spec)
        wait_for_end(request_run(job=add_job(), trigger=Trigger.MANUAL))
    device.refresh_from_db()
    assert device.os_version == "15.2(7)E4" and device.serial_number.startswith("FOC")
    assert device.facts_at is not None
    assert device.has_unsaved_config is False
    assert snapshot_get(device=device).changed_by == "netops"


def test_no_devices_and_no_credentials() -> None:
    job = add_job()
    assert request_run(job=job, trigger=Trigger.MANUAL).status == RunStatus.COMPLETED_NO_DEVICES
    add_device(device_spec("cisco_ios", "lonely"), "192.0.2.1", 22)
    run = wait_for_end(request_run(job=job, trigger=Trigger.MANUAL))
    assert run.status == RunStatus.COMPLETED_NO_CREDENTIALS
    assert run.skipped_count == 1


def test_waves_hand_out_every_device_once(configure: Callable[..., None]) -> None:
    configure(wave_size=2)
    specs = [
        device_spec("cisco_ios", f"w{number}", username="netops", password="Pw-1234567")
        for number in range(7)
    ]
    with fleet_in_thread(*specs) as fleet:
        for spec in specs:
            add_device(spec, *fleet.address(spec.hostname))
        add_credential(specs[0])
        run = wait_for_end(request_run(job=add_job(), trigger=Trigger.MANUAL))
        assert run.status == RunStatus.COMPLETED_SUCCESS
        assert [fleet.log(spec.hostname)["config_sessions"] for spec in specs] == [1] * 7


def test_run_job_prints_the_promised_object() -> None:
    spec = device_spec("cisco_ios", "core")
    with fleet_in_thread(spec) as fleet:
        add_device(spec, *fleet.address("core"))
        add_credential(spec)
        add_job("daily")
        out = io.StringIO()
        call_command("run_job", "DAILY", "--wait", "--json", stdout=out)
        printed = json.loads(out.getvalue())
        assert set(printed) == {"run_id", "status", "duration_seconds", "devices", "results"}
        assert printed["devices"] == {
            "total": 1,
            "succeeded": 1,
            "failed": 0,
            "errored": 0,
            "suspect": 0,
            "skipped": 0,
        }
        [row] = printed["results"]
        assert row["hostname"] == "core" and len(row["commit"]) == 40
        fleet.set_fault("core", Fault(FaultKind.AUTH_FAIL))
        with pytest.raises(SystemExit) as ended:
            call_command("run_job", "daily", "--wait", "--json", stdout=io.StringIO())
        assert ended.value.code == 1
