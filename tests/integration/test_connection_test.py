"""Connection tests: how far a session gets, step by step, with nothing stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from credentials.models import Credential
from credentials.services import credential_create, tags_ensure
from inventory.models import CredentialUse, Device, HostKeyMode, Zone
from jobs.models import ConnectionLog, DeviceResult, JobLog
from jobs.services.connection_test import ConnectionTest, connection_test
from netraven_site.demo.simulator import DeviceSpec
from tests.factories import user_with
from tests.support.devices import ThreadedFleet, device_spec, fleet_in_thread
from tests.support.inventory import TAG, add_credential, add_device

pytestmark = [
    # Each test of a device has a database connection of its own.
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("web"),
]

STEPS = ["connect", "negotiate", "login", "prompt", "enable"]


@contextmanager
def lab(*specs: DeviceSpec) -> Iterator[ThreadedFleet]:
    with fleet_in_thread(*specs) as fleet:
        for spec in specs:
            add_device(spec, *fleet.address(spec.hostname))
        yield fleet


def sw(hostname: str = "sw1", **fields: Any) -> DeviceSpec:
    return device_spec("cisco_ios", hostname, password="Pw-1234567", **fields)


def outcomes(test: ConnectionTest) -> dict[str, str]:
    assert [report.step.value for report in test.steps] == STEPS
    for report in test.steps:
        assert (report.seconds is not None) == (report.outcome in {"passed", "failed"})
    return {report.step.value: report.outcome.value for report in test.steps}


def test_a_session_that_gets_through_stores_nothing() -> None:
    spec = sw(enable_secret="En-1234567")
    login = add_credential(spec)
    with lab(spec) as fleet:
        device = Device.objects.get()
        test = connection_test(device=device)
        log = fleet.log("sw1")
    assert test.passed and test.credential == login.name
    assert outcomes(test) == dict.fromkeys(STEPS, "passed")
    assert sum(report.seconds or 0 for report in test.steps) < 25
    assert log["login_attempts"] == 1
    device.refresh_from_db()
    assert device.host_key == device.offered_host_key == ""
    for model in (CredentialUse, DeviceResult, ConnectionLog, JobLog):
        assert not model._default_manager.exists()


def test_a_refused_log_in_fails_at_its_step() -> None:
    credential_create(
        name="wrong", username="netops", password="Zq9-CANARY-no", tags=tags_ensure(names=[TAG])
    )
    with lab(sw()):
        test = connection_test(device=Device.objects.get())
    assert test.error_category == "authentication"
    assert "CANARY" not in (test.error_message or "")
    assert outcomes(test) == {
        "connect": "passed",
        "negotiate": "passed",
        "login": "failed",
        "prompt": "not_tried",
        "enable": "not_tried",
    }
    assert not CredentialUse.objects.exists()


def test_a_wrong_enable_secret_fails_at_its_step() -> None:
    spec = sw(enable_secret="En-1234567")
    credential_create(
        name="wrong",
        username=spec.username,
        password=spec.password,
        enable_secret="not-this-one",
        tags=tags_ensure(names=[TAG]),
    )
    with lab(spec):
        test = connection_test(device=Device.objects.get())
    assert test.error_category == "enable"
    assert list(outcomes(test).values()) == ["passed"] * 4 + ["failed"]


def test_a_host_key_that_is_not_known_fails_the_negotiation() -> None:
    spec = sw()
    add_credential(spec)
    zone = Zone.objects.create(name="strict", host_key_mode=HostKeyMode.STRICT)
    with lab(spec) as fleet:
        Device.objects.update(zone=zone)
        test = connection_test(device=Device.objects.get())
        assert fleet.log("sw1")["login_attempts"] == 0
    assert test.error_category == "host_key"
    assert list(outcomes(test).values()) == ["passed", "failed"] + ["not_tried"] * 3
    assert Device.objects.get().offered_host_key == ""


def test_a_device_that_is_not_there_fails_at_the_connection() -> None:
    spec = sw()
    add_credential(spec)
    with lab(spec):
        pass
    test = connection_test(device=Device.objects.get())
    assert test.error_category == "connection_refused"
    assert list(outcomes(test).values()) == ["failed"] + ["not_tried"] * 4


def test_without_a_credential_nothing_is_tried() -> None:
    with lab(sw()) as fleet:
        test = connection_test(device=Device.objects.get())
        assert fleet.log("sw1")["connections"] == 0
    assert (test.credential, test.steps, test.error_category) == (None, (), "no_credential")


# --- Command and API ----------------------------------------------------------------------------


def run(*arguments: str) -> tuple[int, str]:
    printed = StringIO()
    try:
        call_command("test_connection", *arguments, stdout=printed)
    except SystemExit as ended:
        return int(ended.code or 0), printed.getvalue()
    return 0, printed.getvalue()


def test_the_command_tests_a_selection_in_order() -> None:
    specs = [sw(f"sw{number}") for number in range(4)]
    add_credential(specs[0])
    with lab(*specs):
        code, printed = run("sw2", "--tag", TAG.upper())
        assert code == 0
        found = [line for line in printed.splitlines() if not line.startswith(" ")]
        assert found[0] == "sw2: passed, with credential 'lab-login'"
        assert [line[:3] for line in found] == ["sw2", "sw0", "sw1", "sw3"]
        assert "  connect    passed in 0." in printed
        Credential.objects.update(is_active=False)
        code, printed = run("sw0", "--json")
    answer = json.loads(printed)
    assert (code, answer["passed"], answer["error_category"]) == (1, False, "no_credential")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a device"),
        (["none"], "there is no device 'none'"),
        (["--tag", "none"], "no active device with the tag 'none'"),
    ],
)
def test_selections_that_are_none(arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run(*arguments)


def test_the_api_tests_a_device_for_who_may_run_jobs() -> None:
    spec = sw()
    add_credential(spec)
    with lab(spec):
        path = f"/api/v1/devices/{Device.objects.get().pk}/test-connection/"
        call = _as("inventory.view_device", "jobs.run_job")
        status, answer = call(path)
        assert status == 200
        assert answer["passed"] and answer["credential"] == "lab-login"
        assert [step["step"] for step in answer["steps"]] == STEPS
        assert spec.password not in json.dumps(answer)
        assert call("/api/v1/devices/999999/test-connection/")[0] == 404
        for permission in ("inventory.view_device", "jobs.run_job"):
            assert _as(permission)(path)[0] == 403
    assert Client().post(path).status_code == 401


def _as(*permissions: str) -> Callable[[str], tuple[int, Any]]:
    client = Client()
    client.force_login(user_with(*permissions))

    def call(path: str) -> tuple[int, Any]:
        answer = client.post(path, content_type="application/json")
        return answer.status_code, answer.json()

    return call
