"""Notifications: who is told of what, once, and with no secret in it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import io
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backups.models import GitRemote, RemoteState
from backups.services.key_rotation import keys_in_use, keys_rotate
from backups.services.store import RunLabel
from credentials.models import Tag, TagLimit
from inventory.models import Device
from jobs.choices import EventKind, MessageState, ResultStatus, RunStatus, Severity
from jobs.models import (
    DeviceResult,
    Job,
    JobRun,
    NotificationAttempt,
    NotificationEvent,
    NotificationMessage,
    NotificationRule,
    NotificationTarget,
    ReconcilerTick,
    Tick,
)
from jobs.notifications import apprise_channel, checked_names, delivery, http_call
from jobs.notifications.channel import Outcome
from jobs.notifications.collect import notifications_collect
from jobs.notifications.content import message_content
from jobs.notifications.delivery import message_replay, messages_deliver, targets_due
from jobs.notifications.retention import notifications_prune
from jobs.notifications.targets import target_save
from jobs.policy.notifications import MAX_ATTEMPTS
from jobs.reconcile import reconcile
from netraven_site.accounts.roles import Role
from tests.factories import (
    DeviceFactory,
    DeviceResultFactory,
    JobFactory,
    JobRunFactory,
    user_in,
)
from tests.support.receiver import Receiver, receiver
from tests.support.stored import store
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web", "git_directory")]

TOKEN = "Zq9CANARYtoken"
SECRET = "whsec_" + base64.b64encode(b"Zq9-CANARY-signing-secret").decode()


@pytest.fixture
def hook(configure: Callable[..., None]) -> Iterator[Receiver]:
    configure(notification_networks=[ip_network("127.0.0.0/8")])
    with receiver() as kept:
        yield kept


def webhook(url: str = "https://192.0.2.9/hook", name: str = "hook") -> NotificationTarget:
    target = NotificationTarget(name=name, kind="webhook")
    return target_save(target=target, url=f"{url}/{TOKEN}", signing_secret=SECRET)


def rule(*kinds: EventKind, target: NotificationTarget, **fields: Any) -> NotificationRule:
    tags = fields.pop("tags", ())
    made = NotificationRule.objects.create(
        name=fields.pop("name", "on call"), events=list(kinds or EventKind), **fields
    )
    made.targets.set([target])
    made.tags.set(tags)
    return made


def ended(job: Job | None, **results: tuple[ResultStatus, str]) -> JobRun:
    """An ended run with a device of each name, its status and error category."""
    run = JobRunFactory.create(job=job, job_name=job.name if job else "configuration changes")
    for hostname, (status, category) in results.items():
        device = Device.objects.filter(hostname=hostname).first()
        DeviceResultFactory.create(
            run=run,
            device=device or DeviceFactory.create(hostname=hostname, tags=[hostname]),
            status=status.value,
            error_category=category,
            error_message="it did not answer" if category else "",
            finished_at=timezone.now(),
        )
    good = sum(status == ResultStatus.SUCCEEDED for status, _ in results.values())
    outcome = RunStatus.COMPLETED_PARTIAL_FAILURE if good else RunStatus.COMPLETED_FAILURE
    if good == len(results):
        outcome = RunStatus.COMPLETED_SUCCESS
    JobRun.objects.filter(pk=run.pk).update(
        status=outcome, finished_at=Now(), succeeded_count=good, total_count=len(results)
    )
    run.refresh_from_db()
    return run


OK = (ResultStatus.SUCCEEDED, "")
DOWN = (ResultStatus.FAILED, "connection_timeout")
HOST_KEY = (ResultStatus.FAILED, "host_key")
CUT_OFF = (ResultStatus.SUSPECT, "incomplete_output")


def told() -> list[tuple[str, str, bool]]:
    rows = NotificationEvent.objects.order_by("pk").values_list("subject", "kind", "is_change")
    return list(rows)


def texts() -> list[str]:
    return [message_content(message=one).text for one in NotificationMessage.objects.order_by("pk")]


# --- What is told -------------------------------------------------------------------------------


def test_a_run_is_told_in_one_message_and_once() -> None:
    rule(target=webhook())
    run = ended(JobFactory.create(name="nightly"), core=OK, edge=DOWN, lost=HOST_KEY, cut=CUT_OFF)
    assert notifications_collect() == 1
    assert notifications_collect() == 0
    message = NotificationMessage.objects.get()
    assert (message.key, message.run_id) == (f"run:{run.pk}", run.pk)
    assert message.subject.startswith(f"[NetRaven] nightly #{run.pk}: run failed in part, ")
    [text] = texts()
    for part in (
        f"Job nightly, run {run.pk}: COMPLETED_PARTIAL_FAILURE, 1 of 4 devices backed up",
        "Failing (1)\n  edge: connection_timeout: it did not answer",
        "Another host key (1)\n  lost: host_key",
        "Suspect outputs (1)\n  cut:",
    ):
        assert part in text
    assert "core" not in text


def test_a_failure_is_told_when_it_begins_and_when_it_ends() -> None:
    rule(target=webhook())
    job = JobFactory.create(name="nightly")
    for status in (OK, DOWN, DOWN, HOST_KEY, OK, OK):
        ended(job, core=OK, edge=status)
        notifications_collect()
    assert told() == [
        ("nightly", EventKind.RUN_PARTIAL, True),
        ("edge", EventKind.DEVICE_FAILING, True),
        ("edge", EventKind.HOST_KEY_CHANGED, True),
        ("nightly", EventKind.RUN_RECOVERED, True),
        ("edge", EventKind.DEVICE_RECOVERED, True),
    ]
    assert NotificationMessage.objects.count() == 3


def test_a_rule_may_ask_for_every_failure() -> None:
    rule(EventKind.DEVICE_FAILING, target=webhook(), repeat_failures=True, is_digest=False)
    job = JobFactory.create()
    ended(job, core=OK, edge=DOWN, access=DOWN)
    ended(job, core=OK, edge=DOWN)
    assert notifications_collect() == 3
    assert texts()[2].endswith("it did not answer (as before)")


def test_skipped_and_cancelled_devices_leave_it_as_it_was() -> None:
    rule(target=webhook())
    job = JobFactory.create()
    ended(job, core=OK, edge=DOWN)
    ended(job, core=OK, edge=(ResultStatus.SKIPPED, "circuit_open"))
    ended(job, core=OK, edge=DOWN)
    notifications_collect()
    assert [row[0] for row in told()].count("edge") == 1


def test_tags_and_severity_decide_who_is_told() -> None:
    target = webhook()
    ended(JobFactory.create(), core=OK, edge=DOWN, lost=HOST_KEY)
    edge = Tag.objects.get(name="edge")
    rule(target=target, tags=[edge], name="edge team", is_digest=False)
    rule(target=target, minimum_severity=Severity.CRITICAL, name="night", is_digest=False)
    notifications_collect()
    rows = NotificationMessage.objects.order_by("rule__name").values_list("rule__name", "subject")
    assert [(name, subject.partition(": ")[2]) for name, subject in rows] == [
        ("edge team", "edge: failing"),
        ("night", "lost: with another host key"),
    ]


def test_a_change_brings_its_redacted_diff_once_for_equal_changes(client: Client) -> None:
    target = webhook()
    rule(EventKind.CONFIG_CHANGED, target=target)
    job = JobFactory.create()
    devices = [DeviceFactory.create(hostname=name) for name in ("sw1", "sw2", "new")]
    for device in devices[:2]:
        store(device, "hostname x\nend\n")
    run = ended(job, sw1=OK, sw2=OK, new=OK)
    label = RunLabel(run_id=run.pk, job_name=run.job_name)
    text = "hostname x\nsnmp-server community <redacted:1f0c9a77> RO\nend\n"
    for device in devices:
        snapshot = store(device, text, label=label)
        DeviceResult.objects.filter(run=run, device=device).update(
            snapshot=snapshot, config_changed=True
        )
    notifications_collect()
    content = message_content(message=NotificationMessage.objects.get())
    # A first revision changes nothing.
    assert "Configuration changed (2)\n  sw1: +1 -0 lines\n  sw2: +1 -0 lines" in content.text
    assert content.diff.count("+snmp-server community <redacted:1f0c9a77> RO") == 1
    assert content.diff.startswith("# the same on 2 devices: sw1, sw2\n")
    assert content.payload["diff"] == content.diff


def test_what_a_device_says_cannot_forge_a_line() -> None:
    rule(EventKind.DEVICE_FAILING, target=webhook())
    run = ended(JobFactory.create(), core=OK, edge=DOWN)
    DeviceResult.objects.filter(run=run, hostname="edge").update(
        error_message="no\r\nRecovered (1)\n  edge\x1b[2J: all well"
    )
    notifications_collect()
    assert "edge: connection_timeout: no  Recovered (1)   edge [2J: all well" in texts()[0]


def test_overdue_devices_are_told_once_until_they_are_backed_up_again() -> None:
    rule(EventKind.FRESHNESS_MISSED, target=webhook())
    device = DeviceFactory.create(hostname="old")
    DeviceFactory.create(hostname="young")
    Device.objects.filter(pk=device.pk).update(created_at=timezone.now() - timedelta(days=3))
    assert notifications_collect() == 1
    ReconcilerTick.objects.filter(pk=Tick.FIND_OVERDUE).update(last_at=Now() - timedelta(hours=1))
    assert notifications_collect() == 0
    assert "Backup overdue (1)\n  old: never backed up; the objective is 24 h" in texts()[0]


def test_a_git_remote_is_told_of_when_it_fails_again_and_again_and_when_it_is_well() -> None:
    rule(target=webhook())
    remote = GitRemote.objects.create(name="mirror", url="https://git.example.org/x.git")
    states = [
        (RemoteState.FAILED, 1),
        (RemoteState.FAILED, 3),
        (RemoteState.FAILED, 9),
        (RemoteState.OK, 0),
        (RemoteState.OK, 0),
    ]
    for state, failures in states:
        GitRemote.objects.filter(pk=remote.pk).update(state=state, failures=failures, error="no")
        notifications_collect()
    assert told() == [
        ("mirror", EventKind.PUSH_FAILING, True),
        ("mirror", EventKind.PUSH_RECOVERED, True),
    ]


def test_what_dies_in_the_middle_loses_and_doubles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rule(target=webhook())
    ended(JobFactory.create(), core=OK, edge=DOWN)
    with monkeypatch.context() as dying:
        dying.setattr(NotificationMessage.objects, "bulk_create", _die)
        with pytest.raises(MemoryError):
            notifications_collect()
    assert not NotificationEvent.objects.exists()
    assert notifications_collect() == 1
    # Whoever finds the same events again tells nothing.
    JobRun.objects.update(notified_at=None)
    assert notifications_collect() == 0


def _die(*_: object, **__: object) -> None:
    raise MemoryError


def test_what_happened_without_a_rule_is_never_told() -> None:
    ended(JobFactory.create(), edge=DOWN)
    assert notifications_collect() == 0
    rule(target=webhook())
    assert notifications_collect() == 0


def test_the_queries_do_not_grow_with_the_devices_of_a_run() -> None:
    rule(target=webhook())
    notifications_collect()

    def queries(count: int) -> int:
        ended(JobFactory.create(), **{f"r{count}d{number}": DOWN for number in range(count)})
        with CaptureQueriesContext(connection) as captured:
            notifications_collect()
        return len(captured)

    assert queries(2) == queries(12)


# --- Quiet hours --------------------------------------------------------------------------------


def test_messages_wait_for_the_end_of_the_quiet_hours_unless_they_are_critical() -> None:
    now = timezone.now()
    day, next_day = (f"{now + timedelta(days=days):%a}".lower() for days in (0, 1))
    quiet = f"{day},{next_day} 00:00-24:00"
    rule(EventKind.DEVICE_FAILING, target=webhook(), quiet_hours=quiet)
    rule(EventKind.HOST_KEY_CHANGED, target=webhook(name="b"), quiet_hours=quiet, name="b")
    rule(
        EventKind.HOST_KEY_CHANGED,
        target=webhook(name="c"),
        quiet_hours=quiet,
        critical_breaks_quiet=False,
        name="c",
    )
    ended(JobFactory.create(), edge=DOWN, lost=HOST_KEY)
    notifications_collect()
    due = dict(NotificationMessage.objects.values_list("target__name", "due_at"))
    assert due["hook"] > now + timedelta(hours=23) and due["hook"] == due["c"]
    assert due["b"] <= timezone.now()
    assert targets_due() == [NotificationTarget.objects.get(name="b").pk]


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"quiet_hours": "at night"}, "quiet_hours"),
        ({"quiet_hours": "daily 00:00-24:00"}, "quiet_hours"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
    ],
)
def test_quiet_hours_that_mean_nothing_are_refused(fields: dict[str, str], at_fault: str) -> None:
    with pytest.raises(ValidationError) as error:
        NotificationRule(name="x", events=["suspect"], **fields).full_clean()
    assert list(error.value.message_dict) == [at_fault]


# --- Delivery -----------------------------------------------------------------------------------


def waiting_message(url: str) -> NotificationTarget:
    """A target with a message about a run that failed."""
    target = webhook(url)
    rule(target=target)
    ended(JobFactory.create(name="nightly"), core=OK, edge=DOWN)
    notifications_collect()
    return target


def verified(headers: dict[str, str], body: bytes) -> Any:
    """The body as a receiver reads it that follows https://www.standardwebhooks.com."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    age = timezone.now().timestamp() - int(headers["webhook-timestamp"])
    assert abs(age) < 60
    return json.loads(body)


def test_a_webhook_gets_signed_json(hook: Receiver) -> None:
    target = waiting_message(hook.url)
    assert messages_deliver(target_id=target.pk) == 1
    [(headers, body)] = hook.requests
    payload = verified(headers, body)
    assert hook.paths == [f"/{TOKEN}"]
    message = NotificationMessage.objects.get()
    assert payload["id"] == headers["webhook-id"] == str(message.delivery_id)
    assert payload["run"]["status"] == "COMPLETED_PARTIAL_FAILURE"
    kinds = {(one["subject"], one["kind"]) for one in payload["events"]}
    assert kinds == {("nightly", "run_partial"), ("edge", "device_failing")}
    assert (message.state, message.attempts) == (MessageState.SENT, 1)
    assert NotificationAttempt.objects.get().status_code == 204
    assert messages_deliver(target_id=target.pk) == 0


def test_a_target_that_fails_is_left_alone_for_a_while_and_then_tried_again(
    hook: Receiver,
) -> None:
    hook.status = 503
    target = waiting_message(hook.url)
    assert messages_deliver(target_id=target.pk) == 0
    target.refresh_from_db()
    assert (target.failures, target.error) == (1, "127.0.0.1 answered with 503")
    assert target.retry_at is not None and target.retry_at > timezone.now()
    assert targets_due() == []
    hook.status = 200
    NotificationTarget.objects.update(retry_at=Now() - timedelta(seconds=1))
    assert targets_due() == [target.pk]
    assert messages_deliver(target_id=target.pk) == 1
    target.refresh_from_db()
    assert (target.failures, target.error, target.retry_at) == (0, "", None)
    assert [one.is_delivered for one in NotificationAttempt.objects.all()] == [False, True]


def test_a_message_is_given_up_after_its_last_attempt_and_can_be_sent_again(
    hook: Receiver,
) -> None:
    hook.status = 500
    target = waiting_message(hook.url)
    for _ in range(MAX_ATTEMPTS + 2):
        NotificationTarget.objects.update(retry_at=None)
        messages_deliver(target_id=target.pk)
    message = NotificationMessage.objects.get()
    assert (message.state, len(hook.requests)) == (MessageState.FAILED, MAX_ATTEMPTS)
    hook.status = 200
    assert message_replay(message=message)
    assert not message_replay(message=message)
    assert messages_deliver(target_id=target.pk) == 1
    ids = {headers["webhook-id"] for headers, _ in hook.requests}
    assert len(ids) == 1


def test_only_one_worker_is_at_a_target(hook: Receiver) -> None:
    target = waiting_message(hook.url)
    NotificationTarget.objects.update(busy_until=Now() + timedelta(seconds=60))
    assert messages_deliver(target_id=target.pk) == 0 and not hook.requests
    NotificationTarget.objects.update(busy_until=Now() - timedelta(seconds=1))
    assert messages_deliver(target_id=target.pk) == 1


def test_who_took_too_long_lets_go_of_nothing_that_is_held_by_another(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = waiting_message(hook.url)
    other = timezone.now() + timedelta(seconds=60)

    def slow(*_: object) -> Outcome:
        NotificationTarget.objects.update(busy_until=other)
        return Outcome()

    monkeypatch.setattr(delivery, "_send", slow)
    assert messages_deliver(target_id=target.pk) == 1
    target.refresh_from_db()
    assert target.busy_until == other


def test_a_receiver_that_never_ends_its_answer_is_cut_off(
    configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(notification_networks=[ip_network("127.0.0.0/8")])
    monkeypatch.setattr(http_call, "SEND_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = waiting_message(f"http://127.0.0.1:{server.getsockname()[1]}")
        talker = threading.Thread(target=_continue_for_ever, args=(server,))
        talker.start()
        messages_deliver(target_id=target.pk)
        talker.join(timeout=30)
    target.refresh_from_db()
    assert target.error == "127.0.0.1 did not answer in time"


def _continue_for_ever(server: socket.socket) -> None:
    """Answer the first request with one interim response after the other, until it is gone."""
    connection, _ = server.accept()
    with connection, contextlib.suppress(OSError):
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def test_one_message_that_is_refused_does_not_hold_up_the_others(hook: Receiver) -> None:
    hook.status = 500
    target = waiting_message(hook.url)
    messages_deliver(target_id=target.pk)
    ended(JobFactory.create(name="hourly"), other=DOWN)
    notifications_collect()
    hook.status = 200
    NotificationTarget.objects.update(retry_at=None)
    assert messages_deliver(target_id=target.pk) == 2
    told = [json.loads(body)["run"]["job"] for _, body in hook.requests]
    assert told == ["nightly", "hourly", "nightly"]


def test_what_a_target_has_not_taken_for_a_week_is_given_up() -> None:
    waiting_message("https://192.0.2.9")
    notifications_prune()
    assert NotificationMessage.objects.get().state == MessageState.PENDING
    NotificationMessage.objects.update(due_at=Now() - timedelta(days=8))
    notifications_prune(dry_run=True)
    assert NotificationMessage.objects.get().state == MessageState.PENDING
    notifications_prune()
    message = NotificationMessage.objects.get()
    assert message.state == MessageState.FAILED and "replay" in message.error


def test_a_message_without_its_rule_is_no_test(hook: Receiver) -> None:
    target = waiting_message(hook.url)
    NotificationRule.objects.all().delete()
    messages_deliver(target_id=target.pk)
    [(_, body)] = hook.requests
    assert (json.loads(body)["is_test"], json.loads(body)["rule"]) == (False, None)
    delivery.send_test_message(target=target)
    assert json.loads(hook.requests[1][1])["is_test"] is True


def test_a_run_without_a_job_is_told_by_its_devices() -> None:
    rule(target=webhook())
    for _ in range(2):
        ended(None, edge=DOWN)
        notifications_collect()
    assert told() == [("edge", "device_failing", True)]
    JobRunFactory.create(
        job=None, job_name="changes", status=RunStatus.FAILED_UNEXPECTED, finished_at=Now()
    )
    notifications_collect()
    assert [kind for _, kind, _ in told()][1:] == ["run_failed"]


def test_a_redirection_is_not_followed(hook: Receiver) -> None:
    hook.status, hook.headers = 307, {"Location": f"{hook.url}/elsewhere"}
    target = waiting_message(hook.url)
    assert messages_deliver(target_id=target.pk) == 0
    assert hook.paths == [f"/{TOKEN}"]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "169.254.169.254", "localhost", "127.1"])
def test_loopback_and_metadata_services_get_nothing(
    hook: Receiver, configure: Any, host: str
) -> None:
    configure(notification_networks=[])
    target = webhook(f"http://{host}:{hook.port}")
    error = delivery.send_test_message(target=target).error
    assert "NETRAVEN_NOTIFICATION_NETWORKS" in error and not hook.requests
    ntfy = NotificationTarget(name="ntfy", kind="apprise")
    target_save(target=ntfy, url=f"ntfys://{host.replace('127.1', '127.0.0.2')}/{TOKEN}")
    error = delivery.send_test_message(target=ntfy).error
    assert "NETRAVEN_NOTIFICATION_NETWORKS" in error and not hook.requests


@pytest.mark.parametrize(
    "url",
    [
        "ntfy://{host}/{token}",
        "mailto://noc:{token}@{host}:2525?to=noc@example.org&from=a@example.org",
        "rsyslog://{host}",
    ],
)
def test_apprise_connects_to_no_loopback_in_any_way(configure: Any, url: str) -> None:
    configure(notification_networks=[])
    target = NotificationTarget(name="x", kind="apprise")
    target_save(target=target, url=url.format(host="localhost", token=TOKEN))
    error = delivery.send_test_message(target=target).error
    assert error.startswith("localhost is an address that no message is sent to"), error


def test_apprise_connects_to_the_very_address_that_was_checked(
    hook: Receiver, configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name server is put in place: it has one good answer, then one that is none."""
    answers, look_up = iter(["127.0.0.1", "127.0.0.2"]), checked_names._getaddrinfo

    def changing(host: Any, *rest: Any) -> Any:
        return look_up(next(answers) if host == "ntfy.example" else host, *rest)

    monkeypatch.setattr(checked_names, "_getaddrinfo", changing)
    configure(notification_networks=[ip_network("127.0.0.1/32")])
    hook.status = 200
    target = NotificationTarget(name="ntfy", kind="apprise")
    target_save(target=target, url=f"ntfy://ntfy.example:{hook.port}/{TOKEN}")
    assert not delivery.send_test_message(target=target).error
    assert len(hook.requests) == 1
    error = delivery.send_test_message(target=target).error
    assert error.startswith("ntfy.example is an address that no message is sent to"), error
    assert len(hook.requests) == 1 and next(answers, None) is None
    assert socket.getaddrinfo("127.0.0.2", 80)  # nobody else is kept from anything


def test_apprise_follows_no_redirection_to_what_is_refused(hook: Receiver, configure: Any) -> None:
    configure(notification_networks=[ip_network("127.0.0.1/32")])
    hook.status, hook.headers = 307, {"Location": f"http://127.0.0.2:{hook.port}/metadata"}
    target = NotificationTarget(name="ntfy", kind="apprise")
    target_save(target=target, url=f"ntfy://127.0.0.1:{hook.port}/{TOKEN}")
    error = delivery.send_test_message(target=target).error
    assert error.startswith("127.0.0.2 is an address that no message is sent to"), error
    assert len(hook.requests) == 1


@pytest.mark.parametrize(("query", "mode"), [("", "split"), ("?overflow=truncate", "truncate")])
def test_apprise_splits_what_is_too_long_for_the_service(
    query: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[str] = []

    def noted(plugin: Any, *_: object) -> Outcome:
        modes.append(plugin.overflow_mode.value)
        return Outcome()

    monkeypatch.setattr(apprise_channel, "_notify", noted)
    target = NotificationTarget(name="chat", kind="apprise")
    target_save(target=target, url=f"discord://123456789012345678/{'t' * 60}{query}")
    delivery.send_test_message(target=target)
    assert modes == [mode]


def test_apprise_is_not_waited_for_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = threading.Event()
    monkeypatch.setattr(apprise_channel, "SEND_SECONDS", 0.1)
    monkeypatch.setattr(apprise_channel, "_notify", lambda *_: ends.wait(60) and Outcome())
    target = NotificationTarget(name="ntfy", kind="apprise")
    target_save(target=target, url=f"ntfy://192.0.2.9/{TOKEN}")
    for _ in range(2):
        error = delivery.send_test_message(target=target).error
        assert error == "the service did not take the message in time"
    ends.set()
    wait_for(lambda: not delivery.send_test_message(target=target).error, "the thread to end")


def test_apprise_sends_to_the_services_that_it_knows(hook: Receiver) -> None:
    hook.status = 200
    target = NotificationTarget(name="ntfy", kind="apprise")
    target_save(target=target, url=f"ntfy://127.0.0.1:{hook.port}/{TOKEN}")
    rule(EventKind.DEVICE_FAILING, target=target)
    ended(JobFactory.create(), core=OK, edge=DOWN)
    notifications_collect()
    assert messages_deliver(target_id=target.pk) == 1
    assert b"edge: connection_timeout" in hook.requests[0][1]


@pytest.fixture
def root_log() -> Iterator[io.StringIO]:
    """All that the root logger gets, at the level DEBUG."""
    text, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)


def test_no_secret_of_a_target_is_seen_anywhere(
    hook: Receiver, client: Client, root_log: io.StringIO
) -> None:
    hook.status = 500
    ntfy = NotificationTarget(name="ntfy", kind="apprise")
    target_save(target=ntfy, url=f"ntfy://user:{TOKEN}@127.0.0.1:{hook.port}/{TOKEN}")
    targets = [webhook(hook.url), ntfy]
    client.force_login(user_in(Role.ADMIN))
    seen = []
    for target in targets:
        assert delivery.send_test_message(target=target).error
        target.refresh_from_db()
        seen += [target.error, repr(vars(target)), target.address]
        seen.append(client.get(f"/api/v1/notification-targets/{target.pk}/").content.decode())
        page = f"/admin/jobs/notificationtarget/{target.pk}/change/"
        seen.append(client.get(page).content.decode())
    seen.append(client.get("/api/v1/notifications/").content.decode())
    seen.append(client.get("/api/v1/audit/").content.decode())
    seen.append(root_log.getvalue())
    for text in seen:
        assert TOKEN not in text and SECRET not in text
    assert len(hook.requests) == 2


@pytest.mark.django_db(transaction=True)
def test_a_worker_delivers(hook: Receiver, worker: None) -> None:
    waiting_message(hook.url)
    reconcile()
    wait_for(lambda: len(hook.requests) == 1, "the message arrives")
    wait_for(lambda: NotificationMessage.objects.get().state == MessageState.SENT, "it is noted")


# --- Targets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("webhook", "ftp://example.org/x"),
        ("webhook", "https://user:pw@example.org/x"),
        ("webhook", "https://[::1/x"),
        ("webhook", "https://example.org/x\r\nHost: other"),
        ("webhook", "slack://a/b/c"),
        ("apprise", "https://example.org/x"),
        ("apprise", "json://example.org/x"),
        ("apprise", "windows://"),
        ("apprise", "nonsense://x"),
        ("apprise", ""),
        ("apprise", "mailto://u:p@example.org/" + "x" * 3000),
    ],
)
def test_an_address_that_is_no_use_is_refused_without_being_quoted(kind: str, url: str) -> None:
    with pytest.raises(ValidationError) as error:
        target_save(target=NotificationTarget(name="x", kind=kind), url=url, signing_secret=SECRET)
    assert not url or url not in str(error.value)


def test_a_webhook_needs_a_long_secret() -> None:
    for secret in (None, "short"):
        with pytest.raises(ValidationError, match="secret"):
            target_save(
                target=NotificationTarget(name="x", kind="webhook"),
                url="https://example.org/x",
                signing_secret=secret,
            )


def test_rotating_the_keys_seals_the_targets_anew(configure: Callable[..., None]) -> None:
    webhook()
    [(_, counts)] = keys_in_use().items()
    assert counts["notification secret"] == 2
    assert not keys_rotate(batch=10, progress=lambda noun, count: None).unreadable


def test_the_api_makes_targets_and_rules_and_sends_a_test(hook: Receiver, client: Client) -> None:
    client.force_login(user_in(Role.ADMIN))
    body = {"name": "hook", "kind": "webhook", "url": hook.url, "signing_secret": SECRET}
    answer = client.post("/api/v1/notification-targets/", body, content_type="application/json")
    assert answer.status_code == 201
    made = answer.json()
    assert made["address"] == "http://127.0.0.1" and "url" not in made
    answer = client.patch(
        f"/api/v1/notification-targets/{made['id']}/",
        {"url": "slack://a"},
        content_type="application/json",
    )
    assert answer.status_code == 400
    answer = client.post(f"/api/v1/notification-targets/{made['id']}/test/")
    assert answer.json() == {"is_delivered": True, "status_code": 204, "error": ""}
    assert verified(*hook.requests[0])["is_test"] is True
    wanted: dict[str, Any] = {
        "name": "r",
        "events": ["suspect"],
        "targets": ["hook"],
        "tags": ["core"],
    }
    answer = client.post("/api/v1/notification-rules/", wanted, content_type="application/json")
    assert answer.status_code == 201 and answer.json()["tags"] == ["core"]
    wanted |= {"name": "s", "quiet_hours": "now and then"}
    answer = client.post("/api/v1/notification-rules/", wanted, content_type="application/json")
    assert answer.status_code == 400
    message = client.get("/api/v1/notifications/").json()["results"][0]
    assert (message["state"], len(message["deliveries"])) == ("SENT", 1)
    answer = client.post(f"/api/v1/notifications/{message['id']}/replay/")
    assert answer.status_code == 202
    assert client.post(f"/api/v1/notifications/{message['id']}/replay/").status_code == 409


def test_users_who_are_limited_to_tags_see_nothing_of_it(client: Client) -> None:
    user = user_in(Role.ADMIN)
    TagLimit.objects.create(user=user)
    client.force_login(user)
    target = webhook()
    for path in ("notification-targets/", "notification-rules/", "notifications/"):
        assert client.get(f"/api/v1/{path}").status_code == 403
    for path in (f"notification-targets/{target.pk}/test/", "notifications/1/replay/"):
        assert client.post(f"/api/v1/{path}").status_code == 403


def test_the_admin_sends_a_test_and_sends_again(hook: Receiver, client: Client) -> None:
    client.force_login(user_in(Role.ADMIN))
    form = {"name": "hook", "kind": "webhook", "url": hook.url, "signing_secret": "short"}
    page = client.post("/admin/jobs/notificationtarget/add/", form)
    assert b"at least 24 characters" in page.content
    form |= {"signing_secret": SECRET, "is_enabled": "on"}
    assert client.post("/admin/jobs/notificationtarget/add/", form).status_code == 302
    target = NotificationTarget.objects.get()
    action = {"action": "send_test", "_selected_action": [target.pk]}
    page = client.post("/admin/jobs/notificationtarget/", action, follow=True)
    assert b"the message was taken" in page.content and len(hook.requests) == 1
    message = NotificationMessage.objects.get()
    action = {"action": "replay", "_selected_action": [message.pk]}
    client.post("/admin/jobs/notificationmessage/", action)
    assert NotificationMessage.objects.get().state == MessageState.PENDING
    rule_form: dict[str, Any] = {
        "name": "r",
        "events": ["suspect", "run_failed"],
        "targets": [target.pk],
        "minimum_severity": "info",
        "time_zone": "UTC",
    }
    assert client.post("/admin/jobs/notificationrule/add/", rule_form).status_code == 302
    assert NotificationRule.objects.get().events == ["suspect", "run_failed"]


def test_the_command_sends_a_test(hook: Receiver) -> None:
    webhook(hook.url)
    out = io.StringIO()
    call_command("test_notification", "hook", stdout=out)
    assert "the message was taken" in out.getvalue()
    hook.status = 404
    with pytest.raises(CommandError, match="answered with 404"):
        call_command("test_notification", "hook")
    with pytest.raises(CommandError, match="there are: hook"):
        call_command("test_notification", "hok")


def test_old_messages_and_events_are_deleted() -> None:
    waiting = waiting_message("https://192.0.2.9")
    NotificationMessage.objects.update(state=MessageState.FAILED)
    old = datetime(2020, 1, 1, tzinfo=timezone.get_current_timezone())
    NotificationMessage.objects.update(created_at=old)
    NotificationEvent.objects.update(happened_at=old)
    assert notifications_prune(dry_run=True) == 1 and NotificationMessage.objects.exists()
    assert notifications_prune() == 1
    assert not NotificationMessage.objects.exists() and not NotificationEvent.objects.exists()
    assert waiting.pk
