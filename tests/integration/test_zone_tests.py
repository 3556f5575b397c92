"""Connection tests of devices in a zone: a worker of the zone makes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from inventory.models import Device
from jobs import zone_tests
from jobs.queues import zone_queue
from jobs.zone_tests import connection_test_from_its_zone, connections_test_from_their_zones
from netraven_site.celery import app
from tests.factories import ZoneFactory, user_with
from tests.support.devices import device_spec, fleet_in_thread
from tests.support.inventory import add_credential, add_device
from tests.support.worker_in_process import worker_in_process

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("web")]

PASSWORD = "Zq9-CANARY-zone"


@pytest.fixture
def device() -> Iterator[Device]:
    """A device that answers, in a zone."""
    spec = device_spec("cisco_ios", "dmz1", password=PASSWORD)
    add_credential(spec)
    with fleet_in_thread(spec) as fleet:
        add_device(spec, *fleet.address("dmz1"), zone=ZoneFactory.create(name="dmz"))
        yield Device.objects.select_related("zone").get()


@pytest.fixture
def zone_worker(git_directory: object) -> Iterator[None]:
    with worker_in_process(zone_queue("dmz"), concurrency=2):
        yield


@pytest.mark.usefixtures("zone_worker")
def test_a_worker_of_the_zone_answers_step_by_step(device: Device) -> None:
    [test] = connections_test_from_their_zones(devices=[device])
    assert test.passed, test.error_message
    assert [step.outcome.value for step in test.steps][:4] == ["passed"] * 4


@pytest.mark.usefixtures("zone_worker")
def test_what_the_device_refuses_comes_back_without_the_password(
    device: Device, client: Client
) -> None:
    device.credential = add_credential(
        device_spec("cisco_ios", "wrong", password=f"{PASSWORD}-wrong"), name="wrong"
    )
    device.save()
    client.force_login(user_with("inventory.view_device", "jobs.run_job"))
    answer = client.post(f"/api/v1/devices/{device.pk}/test-connection/")
    assert answer.json()["error_category"] == "authentication"
    assert PASSWORD not in answer.content.decode()


@pytest.mark.usefixtures("zone_worker")
def test_nothing_of_it_is_left_in_the_broker(device: Device) -> None:
    assert connection_test_from_its_zone(device=device).passed
    redis: Any = app.backend.client  # type: ignore[attr-defined]  # not in the stubs
    assert not any(b"dmz1" in redis.get(key) for key in redis.keys("celery-task-meta-*"))


def test_a_zone_without_workers_is_named_with_what_to_do(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zone_tests, "LONGEST_SECONDS", 0.2)
    app.control.purge()
    test = connection_test_from_its_zone(device=device)
    app.control.purge()
    assert test.error_category == "worker_lost"
    assert "python manage.py worker --zone dmz" in str(test.error_message)


@pytest.mark.usefixtures("zone_worker")
def test_a_password_that_is_wrong_everywhere_is_sent_no_more_often_than_in_a_run() -> None:
    """As many devices are tested as would lock the account out several times over."""
    specs = [device_spec("cisco_ios", f"dmz{number}", password=PASSWORD) for number in range(8)]
    add_credential(device_spec("cisco_ios", "wrong", password=f"{PASSWORD}-wrong"), name="wrong")
    zone = ZoneFactory.create(name="dmz")
    with fleet_in_thread(*specs) as fleet:
        for spec in specs:
            add_device(spec, *fleet.address(spec.hostname), zone=zone)
        devices = list(Device.objects.select_related("zone").order_by("hostname"))
        tests = list(connections_test_from_their_zones(devices=devices))
        attempts = sum(fleet.log(spec.hostname)["login_attempts"] for spec in specs)
    assert attempts == 3
    categories = sorted(str(test.error_category) for test in tests)
    assert categories == ["authentication"] * 3 + ["credential_set_aside"] * 5
    message = next(t.error_message for t in tests if t.error_category == "credential_set_aside")
    assert message is not None
    assert "'wrong' was not tried" in message
    assert "3 devices in a row refused it" in message
