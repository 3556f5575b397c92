"""A device or another system tells of a change: one backup per burst, with the right author."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import git
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections
from django.db.backends.postgresql.base import DatabaseWrapper
from django.test import Client
from django.utils import timezone

from inventory.models import CredentialUse, Device
from jobs.choices import RunStatus, Trigger
from jobs.launch import request_changed
from jobs.models import ChangeNotice, DeviceResult, JobRun, SyslogCount
from jobs.monitoring.metrics import metrics_text
from jobs.reconcile import reconcile
from jobs.services.notices import Notice, notices_add
from netraven_site.stack.errors import StackError
from netraven_site.syslog.listener import Listener
from tests.factories import CredentialFactory, DeviceFactory, user_with
from tests.support.devices import device_spec, fleet_in_thread
from tests.support.inventory import add_credential, add_device
from tests.support.syslog import running_listener
from tests.support.threads import all_at_once
from tests.support.waiting import wait_for, wait_for_end

pytestmark = pytest.mark.django_db

VYOS = "<13>vyos1 commit: Successful change to active configuration by user {} on /dev/pts/0"


def told(device: Device, by: str = "", *, told_by: str = "syslog") -> ChangeNotice:
    notices_add(notices=[Notice(device_id=device.pk, changed_by=by, told_by=told_by)])
    return ChangeNotice.objects.get(device=device)


def seconds(notice: ChangeNotice) -> float:
    return (notice.due_at - notice.noticed_at).total_seconds()


# --- bursts -------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_what_is_told_in_a_burst_is_one_backup_and_none_waits_for_ever(
    configure: Callable[..., None],
) -> None:
    configure(change_quiet_seconds=10, change_wait_seconds=60)
    device = DeviceFactory.create()
    first = told(device, "alice")
    assert seconds(first) == pytest.approx(10, abs=1)
    ChangeNotice.objects.update(noticed_at=timezone.now() - timedelta(seconds=55))
    later = told(device, "bob")
    assert (later.pk, later.changed_by) == (first.pk, "bob")
    assert seconds(later) == pytest.approx(60, abs=1)  # not 65: the first message is not forgotten
    assert told(device).changed_by == "bob"


def test_what_is_due_becomes_one_run(configure: Callable[..., None]) -> None:
    configure(change_quiet_seconds=0)
    devices = DeviceFactory.create_batch(3)
    for device in devices[:2]:
        told(device, f"changer of {device.hostname}")
    ChangeNotice.objects.filter(device=devices[1]).update(
        due_at=timezone.now() + timedelta(hours=1)
    )
    run = request_changed()
    assert run is not None
    assert (run.trigger, run.job, run.total_count) == (Trigger.CHANGE, None, 1)
    result = run.results.get()
    assert (result.device, result.changed_by) == (devices[0], f"changer of {devices[0].hostname}")
    assert [notice.device for notice in ChangeNotice.objects.all()] == [devices[1]]
    assert request_changed() is None


def test_the_reconciler_answers_notices(
    configure: Callable[..., None], git_directory: Path
) -> None:
    configure(change_quiet_seconds=0)
    told(DeviceFactory.create())
    assert reconcile().changes_answered == 1


@pytest.mark.django_db(transaction=True)
def test_a_notice_is_answered_once_by_many(configure: Callable[..., None]) -> None:
    configure(change_quiet_seconds=0)
    for device in DeviceFactory.create_batch(5):
        told(device)
    runs = all_at_once(4, request_changed)
    assert sum(run.total_count for run in runs if run) == 5
    assert DeviceResult.objects.count() == 5


def test_inactive_and_deleted_devices_are_left_out() -> None:
    device = DeviceFactory.create(is_active=False)
    for pk in (device.pk, 999_999):
        added = notices_add(notices=[Notice(device_id=pk, changed_by="", told_by="x")])
        assert (added.devices, added.joined) == (0, 0)


def test_a_session_of_ours_does_not_ask_for_the_next_one() -> None:
    """Some devices tell of each command; an answer to our own would go on for ever."""
    device, credential = DeviceFactory.create(), CredentialFactory.create(username="netraven")
    CredentialUse.objects.create(
        device=device, credential=credential, last_success_at=timezone.now()
    )
    notices_add(notices=[Notice(device_id=device.pk, changed_by="netraven", told_by="syslog")])
    assert not ChangeNotice.objects.exists()
    assert told(device, "alice").changed_by == "alice"


def test_what_a_person_changed_counts_whoever_speaks_after_them() -> None:
    device, credential = DeviceFactory.create(), CredentialFactory.create(username="netraven")
    CredentialUse.objects.create(
        device=device, credential=credential, last_success_at=timezone.now()
    )
    users = ("alice", "", "netraven")
    notices_add(
        notices=[Notice(device_id=device.pk, changed_by=one, told_by="syslog") for one in users]
    )
    assert ChangeNotice.objects.get().changed_by == "alice"


def test_a_hostile_name_is_one_plain_line() -> None:
    notice = told(DeviceFactory.create(), "x\x00\x1b[31m\nAuthor: <root>" + "y" * 500)
    assert notice.changed_by == ("x[31mAuthor: <root>" + "y" * 500)[:100]


# --- the API ------------------------------------------------------------------------------------


def post(client: Client, **body: Any) -> Any:
    return client.post("/api/v1/triggers/", body, content_type="application/json")


@pytest.mark.usefixtures("web")
def test_another_system_tells_of_a_change(client: Client) -> None:
    device = DeviceFactory.create(hostname="edge1", ip_address="192.0.2.1")
    client.force_login(user_with("jobs.run_job"))
    answer = post(client, hostname="EDGE1", changed_by="ansible")
    assert answer.status_code == 202, answer.content
    assert answer.json()["hostname"] == "edge1"
    assert answer.json()["due_at"]
    assert post(client, ip_address="192.0.2.1").json()["device"] == device.pk
    assert ChangeNotice.objects.get().changed_by == "ansible"


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize(
    "body",
    [{}, {"hostname": "no"}, {"hostname": "a", "ip_address": "b"}, {"ip_address": "1.2.3.4"}],
)
def test_what_names_no_device_is_refused(client: Client, body: dict[str, str]) -> None:
    client.force_login(user_with("jobs.run_job"))
    assert post(client, **body).status_code == 400
    assert not ChangeNotice.objects.exists()


@pytest.mark.usefixtures("web")
def test_who_may_not_run_jobs_may_not_trigger(client: Client) -> None:
    device = DeviceFactory.create()
    assert post(client, hostname=device.hostname).status_code == 401
    client.force_login(user_with("jobs.view_job"))
    assert post(client, hostname=device.hostname).status_code == 403


# --- the listener -------------------------------------------------------------------------------


@pytest.mark.usefixtures("worker")
def test_a_change_that_a_device_tells_of_is_committed_in_the_name_of_its_user(
    configure: Callable[..., None], git_directory: Path
) -> None:
    configure(change_quiet_seconds=0)
    spec = device_spec("vyos", "vyos1", username="netops", password="Pw-1234567")
    with fleet_in_thread(spec) as fleet:
        add_device(spec, *fleet.address("vyos1"))
        add_credential(spec)
        with running_listener() as listener:
            listener.send(VYOS.format("alice"))
            wait_for(lambda: JobRun.objects.exists(), "a run is made")
            run = wait_for_end(JobRun.objects.get())
    assert run.status == RunStatus.COMPLETED_SUCCESS, run.results.get().error_message
    assert run.trigger == Trigger.CHANGE
    commit = next(git.Repo(str(git_directory)).iter_commits("main"))
    assert (commit.author.name, commit.author.email) == ("alice", "alice@vyos1")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("bind", "address", "device"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("::1", "::1", "::1"),
        ("::", "127.0.0.1", "127.0.0.1"),
    ],
)
def test_messages_come_by_datagram_and_by_stream(
    configure: Callable[..., None], bind: str, address: str, device: str
) -> None:
    configure(change_quiet_seconds=3600, change_wait_seconds=7200)
    DeviceFactory.create(hostname="vyos1", ip_address=device, platform="vyos")
    with running_listener(bind, address) as listener:
        listener.send(VYOS.format("datagram"))
        wait_for(lambda: changer() == "datagram", "the datagram was taken")
        with listener.stream() as stream:
            line = VYOS.format("line").encode()
            stream.sendall(b"<13>something else\n" + line[:20])
            stream.sendall(line[20:] + b"\n")
            wait_for(lambda: changer() == "line", "the line was taken")
            counted = VYOS.format("counted").encode()
            stream.sendall(b"%d %s" % (len(counted), counted))
            wait_for(lambda: changer() == "counted", "the message with its length was taken")

    outcomes = dict(SyslogCount.objects.values_list("outcome", "count"))
    assert {outcome: count for outcome, count in outcomes.items() if count} == {
        "received": 4,
        "unrelated": 1,
        "changes": 3,
        "debounced": 2,
    }
    assert {"dropped", "limited"} < set(outcomes)


@pytest.mark.django_db(transaction=True)
def test_counts_of_a_listener_outlive_it_and_a_database_that_is_away(
    configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netraven_site.syslog.listener._COUNT_SECONDS", 0.0)
    was_away = threading.Event()

    def away(*, counts: dict[str, int]) -> None:
        if counts.get("received"):
            was_away.set()
        raise DatabaseError

    for total in (2, 4):
        was_away.clear()
        with running_listener() as listener:
            with monkeypatch.context() as broken:
                broken.setattr("netraven_site.syslog.listener.syslog_counts_add", away)
                listener.send("something")
                assert was_away.wait(10)
            listener.send("something else")
            line = f'netraven_syslog_messages_total{{outcome="received"}} {total}.0'
            wait_for(partial(_is_shown, line), line)


def _is_shown(line: str) -> bool:
    return line in metrics_text().decode()


def changer() -> str:
    return ChangeNotice.objects.values_list("changed_by", flat=True).first() or ""


@pytest.mark.django_db(transaction=True)
def test_who_sends_rubbish_is_cut_off_and_others_are_heard(configure: Callable[..., None]) -> None:
    configure(change_quiet_seconds=3600, change_wait_seconds=7200)
    DeviceFactory.create(hostname="vyos1", ip_address="127.0.0.1", platform="vyos")
    with running_listener() as listener:
        for rubbish in (b"x" * 100_000, b"99999999 ", b"1x ", b"9" * 5000 + b" "):
            with listener.stream() as stream:
                assert is_cut_off(stream, rubbish)
        crowd = [listener.stream() for _ in range(20)]
        assert sum(is_cut_off(each, b"") for each in crowd[16:]) == 4
        for each in crowd:
            each.close()
        listener.send(VYOS.format("alice"))
        wait_for(lambda: changer() == "alice", "the device is heard")


def is_cut_off(stream: socket.socket, data: bytes) -> bool:
    """Whether the other end closes the connection."""
    try:
        stream.sendall(data)
        return stream.recv(1) == b""
    except ConnectionError:
        return True


@pytest.mark.django_db(transaction=True)
def test_two_listeners_on_one_port_are_refused() -> None:
    with running_listener() as listener, pytest.raises(CommandError, match="cannot be used"):
        call_command("syslog", "--bind", "127.0.0.1", "--port", str(listener.port))


@pytest.mark.django_db(transaction=True)
def test_a_listener_that_is_refused_gives_its_connection_back() -> None:
    in_use = connections_in_use()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        listener = Listener(settings.NETRAVEN, say=print)
        with pytest.raises(StackError, match="cannot be used"):
            asyncio.run(listener.run("127.0.0.1", other.getsockname()[1]))
    assert connections_in_use() == in_use


def connections_in_use() -> int:
    """Of the pool, by this process."""
    stats = cast("DatabaseWrapper", connections["default"]).pool.get_stats()
    return stats["pool_size"] - stats["pool_available"]


@pytest.mark.parametrize("port", ["0", "-1", "70000"])
def test_a_port_that_there_is_not_is_refused(port: str) -> None:
    with pytest.raises(CommandError, match="--port is 1 to 65535"):
        call_command("syslog", "--bind", "127.0.0.1", "--port", port)


def test_without_an_address_nobody_listens() -> None:
    with pytest.raises(CommandError, match="NETRAVEN_SYSLOG_BIND"):
        call_command("syslog")
