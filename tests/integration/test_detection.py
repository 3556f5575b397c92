"""Finding out what a device runs: over real SSH, by a real worker, from commands, API and admin."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from backups.engine.netmiko_collector.detection import detect
from credentials.models import Credential
from credentials.services import credential_create, tags_ensure
from inventory.models import Device
from jobs.launch import request_detection
from jobs.models import PlatformDetection
from jobs.reconcile import reconcile
from jobs.services import detection as service
from jobs.services.detection import (
    DetectionNotAccepted,
    detection_accept,
    detection_create,
    detection_run,
)
from tests.factories import (
    DeviceFactory,
    PlatformDetectionFactory,
    UserFactory,
    ZoneFactory,
    user_with,
)
from tests.support.devices import device_spec
from tests.support.inventory import TAG, add_device
from tests.support.scripted_device import (
    ENABLE_SECRET,
    PASSWORD,
    USERNAME,
    ScriptedDevice,
    ScriptedPlayer,
)
from tests.support.scripted_device_script import SUFFIX, Recording, Script, load_script
from tests.support.waiting import wait_for

FOLDER = Path(__file__).parents[1] / "platforms"
CANARY = "Zq9-CANARY"


def claims_to_be(sign: str) -> Recording:
    """A device that prints Netmiko's sign of a platform and nothing that this platform prints."""
    return Recording(
        script=Script(
            prompt="box>",
            unknown="% Unknown command\n",
            commands={"show version": f"A box of somebody else, tested against {sign} gear\n"},
        )
    )


#: In the middle of what a device says, so that a terminal would obey it.
ESCAPE = "\x1b]0;owned\x07"


@pytest.fixture(scope="module")
def player() -> Iterator[ScriptedPlayer]:
    with ScriptedPlayer() as playing:
        yield playing


def recording(case: str) -> Recording:
    return load_script(FOLDER / f"{case}{SUFFIX}")


def add_login(
    password: str = PASSWORD, name: str = "lab-login", enable_secret: str | None = ENABLE_SECRET
) -> Credential:
    return credential_create(
        name=name,
        username=USERNAME,
        password=password,
        enable_secret=enable_secret,
        tags=tags_ensure(names=[TAG]),
    )


def add_scripted(box: ScriptedDevice, **fields: object) -> Device:
    return add_device(device_spec("cisco_ios", "box"), box.host, box.port, **fields)


def detected(device: Device) -> PlatformDetection:
    """The detection of ``device`` once it was run in this process."""
    detection = detection_create(device=device)
    detection_run(detection_id=detection.pk)
    detection.refresh_from_db()
    return detection


def platform_of(device: Device) -> str:
    return Device.objects.values_list("platform", flat=True).get(pk=device.pk)


# --- By a worker --------------------------------------------------------------------------------


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("case", "platform"), [("arista_eos/leaf", "arista_eos"), ("cisco_nxos/leaf", "cisco_nxos")]
)
def test_a_worker_finds_out_the_platform(player: ScriptedPlayer, case: str, platform: str) -> None:
    told = recording(case)
    device = add_scripted(player.play(told))
    add_login()
    detection = request_detection(device=device)

    def ended() -> bool:
        detection.refresh_from_db()
        return detection.finished_at is not None

    wait_for(ended, "the end of the detection")
    assert (detection.state, detection.certainty) == ("DONE", "confirmed"), detection.error_message
    assert (detection.platform, detection.platform_before) == (platform, "cisco_ios")
    assert detection.facts["os_version"] == told.script.expect.os_version
    assert len(detection.evidence) == 2 and detection.facts["os_version"] in detection.evidence[1]
    assert detection.started_at is not None
    assert platform_of(device) == "cisco_ios"


@pytest.mark.django_db(transaction=True)
def test_the_worker_of_the_zone_is_asked() -> None:
    from netraven_site.celery import app

    queue = "zone.detect"
    device = DeviceFactory.create(zone=ZoneFactory.create(name="detect"))
    with app.connection_for_read() as broker:
        redis: Any = broker.default_channel
        redis.client.delete(queue)
        with transaction.atomic():
            detection = request_detection(device=device)
            assert redis.client.llen(queue) == 0
        message = json.loads(redis.client.lpop(queue))
        assert redis.client.llen(queue) == 0
    assert message["headers"]["task"] == "jobs.detect_platform"
    assert json.loads(base64.b64decode(message["body"]))[0] == [detection.pk]


# --- The outcomes -------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_unknown_device_stays_unknown(player: ScriptedPlayer) -> None:
    device = add_scripted(player.play(recording("generic/box")))
    add_login()
    detection = detected(device)
    assert (detection.state, detection.certainty, detection.platform) == ("DONE", "unknown", "")
    assert "no known sign" in detection.evidence[0]
    with pytest.raises(DetectionNotAccepted, match="was not found out; enter it by hand"):
        detection_accept(detection=detection, accepted_by="jane")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("sign", "platform", "reason"),
    [
        ("NX-OS", "cisco_nxos", "its answers are not those of 'cisco_nxos'"),
        ("Arista", "arista_eos", "a session as 'arista_eos' failed"),  # for lack of 'enable'
    ],
)
def test_a_sign_that_the_platform_does_not_confirm_is_no_answer(
    player: ScriptedPlayer, sign: str, platform: str, reason: str
) -> None:
    device = add_scripted(player.play(claims_to_be(sign)))
    add_login(enable_secret=None)
    detection = detected(device)
    assert (detection.state, detection.certainty, detection.platform) == ("DONE", "unknown", "")
    assert f"signs of '{platform}' were found" in detection.evidence[0]
    assert reason in detection.evidence[1]


@pytest.mark.django_db(transaction=True)
def test_a_refused_log_in_is_a_failure_and_tells_no_password(player: ScriptedPlayer) -> None:
    box = player.play(recording("arista_eos/leaf"))
    device = add_scripted(box)
    add_login(password=CANARY)
    detection = detected(device)
    assert (detection.state, detection.error_category) == ("FAILED", "authentication")
    assert detection.error_message and CANARY not in detection.error_message
    assert (detection.certainty, detection.evidence, box.sessions) == ("", [], [])


@pytest.mark.django_db(transaction=True)
def test_a_device_without_a_credential_is_not_connected_to() -> None:
    detection = detected(DeviceFactory.create())
    assert (detection.state, detection.error_category) == ("FAILED", "no_credential")


@pytest.mark.django_db(transaction=True)
def test_another_host_key_waits_for_a_decision(player: ScriptedPlayer) -> None:
    box = player.play(recording("arista_eos/leaf"))
    device = add_scripted(box)
    add_login()
    Device.objects.update(host_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAA")
    detection = detected(device)
    assert (detection.state, detection.error_category) == ("FAILED", "host_key")
    device.refresh_from_db()
    assert device.offered_host_key.startswith("ssh-ed25519 ")
    assert box.sessions == []


@pytest.mark.django_db(transaction=True)
def test_no_connection_is_held_while_the_device_talks(
    player: ScriptedPlayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = add_scripted(player.play(recording("cisco_nxos/leaf")))
    add_login()
    held: list[object] = []

    def watched(*arguments: Any) -> Any:
        held.append(connection.connection)
        return detect(*arguments)

    monkeypatch.setattr(service, "detect", watched)
    assert detected(device).state == "DONE"
    assert held == [None]


# Put in place of the session: no device can cause an error that nobody foresaw.
@pytest.mark.django_db(transaction=True)
def test_an_unexpected_error_is_recorded_without_its_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*arguments: object) -> None:
        raise LookupError(CANARY)

    device = add_device(device_spec("cisco_ios", "box"), "127.0.0.1", 1)
    add_login()
    monkeypatch.setattr(service, "detect", broken)
    detection = detected(device)
    assert (detection.state, detection.error_category) == ("FAILED", "unexpected")
    assert "in broken" in caplog.text and "LookupError" in detection.error_message
    assert CANARY not in caplog.text + detection.error_message


@pytest.mark.django_db(transaction=True)
def test_what_is_stored_holds_nothing_that_a_terminal_obeys() -> None:
    line = service._line(f"it says: model {ESCAPE}X\x00\n second", ("X",))
    assert line.isprintable()
    assert "owned" in line and "X" not in line


@pytest.mark.django_db(transaction=True)
def test_only_a_waiting_detection_is_run() -> None:
    done = PlatformDetectionFactory.create()
    detection_run(detection_id=done.pk)
    detection_run(detection_id=done.pk + 1)
    before = PlatformDetection.objects.values().get()
    assert (before["state"], before["platform"]) == ("DONE", "arista_eos")


# --- Rows ---------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields",
    [
        {"state": "ASLEEP"},
        {"finished_at": None},
        {"state": "RUNNING", "certainty": "", "platform": ""},
        {"platform": ""},
        {"certainty": ""},
        {"certainty": "unknown"},
        {"state": "FAILED"},
        {"accepted_by": "jane"},
        {"accepted_at": timezone.now()},
    ],
)
def test_rows_that_contradict_themselves_are_refused(fields: dict[str, object]) -> None:
    detection = PlatformDetectionFactory.create()
    with pytest.raises(IntegrityError), transaction.atomic():
        PlatformDetection.objects.filter(pk=detection.pk).update(**fields)


@pytest.mark.django_db
def test_what_waits_too_long_is_ended_by_the_reconciler() -> None:
    now, long_ago = timezone.now(), timezone.now() - timedelta(minutes=11)
    still = {"certainty": "", "platform": "", "finished_at": None}
    waiting = {"state": "PENDING", "started_at": None, **still}
    running = {"state": "RUNNING", **still}
    lost, stuck, fresh, late_start = (
        PlatformDetectionFactory.create(**fields)
        for fields in (waiting, running | {"started_at": long_ago}, waiting, running)
    )
    PlatformDetection.objects.filter(pk__in=[lost.pk, late_start.pk]).update(requested_at=long_ago)
    done = PlatformDetectionFactory.create(finished_at=now)
    PlatformDetection.objects.filter(pk=done.pk).update(requested_at=long_ago)

    assert reconcile().detections_ended == 2
    states = dict(PlatformDetection.objects.values_list("pk", "state"))
    assert states == {
        lost.pk: "FAILED",
        stuck.pk: "FAILED",
        fresh.pk: "PENDING",
        late_start.pk: "RUNNING",
        done.pk: "DONE",
    }
    lost.refresh_from_db()
    assert "no worker took it" in lost.error_message and lost.finished_at is not None


@pytest.mark.django_db(transaction=True)
def test_an_answer_after_the_end_is_not_recorded(
    player: ScriptedPlayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = add_scripted(player.play(recording("cisco_nxos/leaf")))
    add_login()

    def slow(*arguments: Any) -> Any:
        found = detect(*arguments)
        PlatformDetection.objects.update(started_at=timezone.now() - timedelta(minutes=11))
        reconcile()
        return found

    monkeypatch.setattr(service, "detect", slow)
    assert detected(device).state == "FAILED"


# --- Accepting ----------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("certainty", ["confirmed", "likely"])
def test_accepting_changes_the_platform_once(certainty: str) -> None:
    device = DeviceFactory.create(platform="cisco_ios", host_key="ssh-ed25519 AAAA")
    detection = PlatformDetectionFactory.create(device=device, certainty=certainty)
    assert platform_of(device) == "cisco_ios"
    accepted = detection_accept(detection=detection, accepted_by="jane")
    assert (accepted.accepted_by, accepted.device.platform) == ("jane", "arista_eos")
    device.refresh_from_db()
    assert (device.platform, device.host_key) == ("arista_eos", "ssh-ed25519 AAAA")
    Device.objects.update(platform="cisco_ios")
    with pytest.raises(DetectionNotAccepted, match="jane has accepted this detection already"):
        detection_accept(detection=detection, accepted_by="joe")
    assert platform_of(device) == "cisco_ios"


@pytest.mark.django_db
def test_a_platform_that_was_changed_meanwhile_stays() -> None:
    device = DeviceFactory.create(platform="cisco_ios")
    detection = PlatformDetectionFactory.create(device=device)
    Device.objects.update(platform="vyos")
    with pytest.raises(DetectionNotAccepted, match="changed to 'vyos' since"):
        detection_accept(detection=detection, accepted_by="jane")
    assert platform_of(device) == "vyos"
    assert PlatformDetection.objects.get().accepted_by == ""


@pytest.mark.django_db
def test_a_detection_that_goes_on_is_not_accepted() -> None:
    detection = detection_create(device=DeviceFactory.create())
    with pytest.raises(DetectionNotAccepted, match="not ended yet"):
        detection_accept(detection=detection, accepted_by="jane")


# --- manage.py detect_platform ------------------------------------------------------------------


def command(*arguments: str) -> tuple[int, str]:
    """Exit code and what was printed; an error is CommandError."""
    out = io.StringIO()
    try:
        call_command("detect_platform", *arguments, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_the_command_prints_the_evidence_and_stores_when_asked(player: ScriptedPlayer) -> None:
    device = add_scripted(player.play(recording("arista_eos/leaf")))
    add_login()
    code, printed = command("BOX")
    lines = printed.splitlines()
    assert code == 0
    assert "this process connects to" in lines[0] and "not a worker" in lines[0]
    assert lines[1] == "  Netmiko's signs of 'arista_eos' were found"
    assert "os_version 4.31.1F" in lines[2]
    assert lines[3] == "box: arista_eos confirmed"
    assert platform_of(device) == "cisco_ios"

    code, printed = command("box", "--accept", "--json")
    answer = json.loads(printed)
    assert code == 0
    assert (answer["host"], answer["platform"], answer["accepted"]) == ("box", "arista_eos", True)
    assert answer["facts"]["os_version"] == "4.31.1F"
    assert platform_of(device) == "arista_eos"
    assert PlatformDetection.objects.all()[0].accepted_by.startswith("command line (")


@pytest.mark.django_db(transaction=True)
def test_the_command_fails_for_an_unknown_device(player: ScriptedPlayer) -> None:
    device = add_scripted(player.play(claims_to_be("NX-OS")))
    add_login(enable_secret=None)
    code, printed = command("box")
    assert code == 1 and "box: platform unknown" in printed
    with pytest.raises(CommandError, match=r"nothing was stored: .* was not found out"):
        command("box", "--accept")
    assert platform_of(device) == "cisco_ios"


@pytest.mark.django_db(transaction=True)
def test_the_command_takes_the_named_credential(player: ScriptedPlayer) -> None:
    add_scripted(player.play(recording("cisco_nxos/leaf")))
    add_login(password="wrong")
    add_login(name="other")
    out = io.StringIO()
    with pytest.raises(CommandError, match="box: authentication: "):
        call_command("detect_platform", "box", "--json", stdout=out)
    assert json.loads(out.getvalue())["error_category"] == "authentication"
    assert command("box", "--credential", "OTHER")[0] == 0


@pytest.mark.django_db(transaction=True)
def test_the_command_asks_an_address_outside_the_inventory(player: ScriptedPlayer) -> None:
    box = player.play(recording("cisco_nxos/leaf"))
    add_login()
    here = (box.host, "--credential", "lab-login", "--port", str(box.port))
    code, printed = command(*here, "--json")
    answer = json.loads(printed)
    assert (code, answer["platform"], answer["certainty"]) == (0, "cisco_nxos", "confirmed")
    assert (answer["address"], answer["port"], answer["accepted"]) == (box.host, box.port, False)
    assert PlatformDetection.objects.count() == 0
    with pytest.raises(CommandError, match="not in the inventory, so --accept"):
        command(*here, "--accept")
    add_scripted(box)
    with pytest.raises(CommandError, match="is the device 'box'; give its hostname"):
        command(*here)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["192.0.2.9"], "with --credential it may be an address"),
        (["192.0.2.9", "--credential", "none"], "there is no credential 'none'; the credentials"),
        (["192.0.2.9", "--credential", "off"], "is inactive"),
        (["a b", "--credential", "lab-login"], "neither an IP address nor a DNS name"),
        (["192.0.2.9", "--credential", "lab-login", "--port", "0"], "0 is no port"),
        (["box", "--port", "22"], "leave --port out"),
        (["127.0.0.1", "--credential", "lab-login", "--port", "1"], "connection_refused"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], message: str) -> None:
    DeviceFactory.create(hostname="box")
    add_login()
    Credential.objects.filter(pk=add_login(name="off").pk).update(is_active=False)
    with pytest.raises(CommandError, match=message) as raised:
        command(*arguments)
    assert "\n" not in str(raised.value)


# --- API ----------------------------------------------------------------------------------------

API = "/api/v1/platform-detections/"


def post(client: Client, path: str, body: object = None) -> tuple[int, Any]:
    answer = client.post(path, json.dumps(body), content_type="application/json")
    return answer.status_code, answer.json()


def logged_in(*permissions: str) -> Client:
    client = Client()
    client.force_login(user_with(*permissions))
    return client


@pytest.mark.django_db
@pytest.mark.usefixtures("web")
@pytest.mark.parametrize("named_by", ["hostname", "pk"])
def test_the_api_asks_for_a_detection(named_by: str) -> None:
    device = DeviceFactory.create(hostname="Box")
    DeviceFactory.create()
    client = logged_in("inventory.change_device", "jobs.view_platformdetection")
    wanted = "bOX" if named_by == "hostname" else device.pk
    status, made = post(client, API, {"device": wanted})
    assert status == 202, made
    assert (made["device"], made["hostname"], made["state"]) == (device.pk, "Box", "PENDING")
    assert made["requested_by"].startswith("user")
    PlatformDetectionFactory.create()
    for query in (f"device={device.pk}", "device__hostname=Box", "state=PENDING"):
        found = client.get(f"{API}?{query}").json()
        assert [row["id"] for row in found["results"]] == [made["id"]], query
    assert client.get(f"{API}{made['id']}/").json() == made


@pytest.mark.django_db
@pytest.mark.usefixtures("web")
@pytest.mark.parametrize(
    "body", [{}, {"device": "none"}, {"device": 10**30}, {"device": None}, {"device": "\x00"}]
)
def test_the_api_names_the_field_at_fault(body: object) -> None:
    status, answer = post(logged_in("inventory.change_device"), API, body)
    assert status == 400 and "device" in answer["error"]["fields"]


@pytest.mark.django_db
@pytest.mark.usefixtures("web")
def test_the_api_accepts_once() -> None:
    detection = PlatformDetectionFactory.create()
    client = logged_in("inventory.change_device")
    status, accepted = post(client, f"{API}{detection.pk}/accept/")
    assert status == 200, accepted
    assert accepted["accepted_by"].startswith("user") and accepted["accepted_at"]
    assert platform_of(detection.device) == "arista_eos"
    status, answer = post(client, f"{API}{detection.pk}/accept/")
    assert (status, answer["error"]["code"]) == (409, "conflict")


@pytest.mark.django_db
@pytest.mark.usefixtures("web")
def test_looking_is_no_right_to_ask_or_accept() -> None:
    detection = PlatformDetectionFactory.create()
    client = logged_in("jobs.view_platformdetection", "inventory.view_device")
    assert client.get(API).status_code == 200
    assert post(client, API, {"device": detection.device.pk})[0] == 403
    assert post(client, f"{API}{detection.pk}/accept/")[0] == 403
    assert post(Client(), API, {"device": detection.device.pk})[0] == 401
    assert PlatformDetection.objects.get().accepted_by == ""


# --- Admin --------------------------------------------------------------------------------------


def staff(*permissions: str) -> Client:
    user = user_with(*permissions)
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    return client


def act(client: Client, page: str, action: str, *ids: int) -> str:
    body = {"action": action, "_selected_action": list(ids)}
    return client.post(reverse(f"admin:{page}_changelist"), body, follow=True).content.decode()


@pytest.mark.django_db
@pytest.mark.usefixtures("web")
def test_the_admin_asks_and_takes_over() -> None:
    client = Client()
    client.force_login(UserFactory.create(is_superuser=True, is_staff=True))
    device = DeviceFactory.create(zone=ZoneFactory.create())
    shown = act(client, "inventory_device", "detect_platform", device.pk)
    assert "Workers ask 1 devices" in shown
    assert reverse("admin:jobs_platformdetection_changelist") in shown
    [asked] = PlatformDetection.objects.all()
    assert (asked.device, asked.state) == (device, "PENDING")
    done = PlatformDetectionFactory.create(device=device)
    shown = act(client, "jobs_platformdetection", "use_platform", asked.pk, done.pk)
    assert "not ended yet" in shown and platform_of(device) == "arista_eos"


@pytest.mark.django_db
@pytest.mark.usefixtures("web")
def test_the_admin_asks_for_the_right() -> None:
    detection = PlatformDetectionFactory.create()
    client = staff("inventory.view_device", "jobs.view_platformdetection")
    act(client, "inventory_device", "detect_platform", detection.device.pk)
    act(client, "jobs_platformdetection", "use_platform", detection.pk)
    assert PlatformDetection.objects.get().accepted_by == ""
    assert platform_of(detection.device) != "arista_eos"
