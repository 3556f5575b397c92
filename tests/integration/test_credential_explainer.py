"""Why a device is logged in to with which credential: command, API and page say the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from credentials.models import Credential
from inventory.models import CredentialUse, Device, Zone
from tests.factories import CredentialFactory, DeviceFactory, user_with

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

CANARY = "Zq9-CANARY-password"
SEEN = ["inventory.view_device", "credentials.view_credential"]


@pytest.fixture
def device() -> Device:
    """It refused the first of its credentials and took the second; a third is its zone's."""
    zone = Zone.objects.create(
        name="north", default_credential=CredentialFactory.create(name="spare")
    )
    CredentialFactory.create(name="core", tags=["core"], priority=10)
    CredentialFactory.create(name="site", tags=["core", "site-b"], priority=20)
    device = DeviceFactory.create(hostname="sw1", tags=["core", "site-b"], zone=zone)
    for name, field, day in [("core", "last_failure_at", 12), ("site", "last_success_at", 29)]:
        at = datetime(2036, 11, day, 2, tzinfo=UTC)
        login = Credential.objects.get(name=name)
        CredentialUse.objects.create(device=device, credential=login, **{field: at})
    return device


def command(*arguments: str) -> str:
    printed = StringIO()
    call_command("resolve_credentials", *arguments, stdout=printed)
    return printed.getvalue()


@pytest.fixture
def login() -> Callable[..., Client]:
    def make(*permissions: str, is_staff: bool = False) -> Client:
        user = user_with(*permissions)
        user.is_staff = is_staff
        user.save()
        client = Client()
        client.force_login(user)
        return client

    return make


def test_the_command_names_rule_tag_place_and_times(device: Device) -> None:
    assert command("SW1").splitlines() == [
        "1. site (user netops, priority 20): shares the tag core, site-b; last worked on this "
        "device; last success 2036-11-29 02:00 UTC  <- used",
        "2. core (user netops, priority 10): shares the tag core; last failure 2036-11-12 02:00 "
        "UTC",
        "3. spare (user netops, priority 100): the default of zone north",
    ]
    Device.objects.update(credential=Credential.objects.get(name="core"))
    assert "2. core (user netops, priority 10): the device's own credential" in command("sw1")


def test_api_and_command_say_the_same(device: Device, login: Callable[..., Client]) -> None:
    answer = login(*SEEN).get(f"/api/v1/devices/{device.pk}/credentials/")
    assert answer.status_code == 200
    found = answer.json()
    assert found == json.loads(command("sw1", "--json"))
    assert found["used"] == "site"
    assert found["candidates"][0] == {
        "place": 1,
        "name": "site",
        "username": "netops",
        "priority": 20,
        "rule": "tag",
        "tags": ["core", "site-b"],
        "zone": "",
        "reason": "shares the tag core, site-b",
        "remembered": True,
        "last_success_at": "2036-11-29T02:00:00Z",
        "last_failure_at": None,
        "used": True,
    }
    assert CANARY not in answer.content.decode()


def test_a_device_without_any_has_no_choice(login: Callable[..., Client]) -> None:
    bare = DeviceFactory.create(hostname="bare")
    answer = login(*SEEN).get(f"/api/v1/devices/{bare.pk}/credentials/")
    assert answer.json() == {"hostname": "bare", "used": None, "candidates": []}


def test_who_sees_devices_does_not_see_their_credentials(
    device: Device, login: Callable[..., Client]
) -> None:
    path = f"/api/v1/devices/{device.pk}/credentials/"
    for permission in SEEN:
        answer = login(permission).get(path)
        assert answer.status_code == 403 and "netops" not in answer.content.decode()
    assert login(*SEEN).get("/api/v1/devices/999999/credentials/").status_code == 404
    assert login(*SEEN).post(path).status_code in {403, 405}


def test_the_page_of_the_device_shows_it(device: Device, login: Callable[..., Client]) -> None:
    path = reverse("admin:inventory_device_change", args=[device.pk])
    shown = login(*SEEN, is_staff=True).get(path).content.decode()
    places = [shown.index(words) for words in ("tag core, site-b", "2036-11-12", "zone north")]
    assert places == sorted(places)
    assert CANARY not in shown
    hidden = login(SEEN[0], is_staff=True).get(path)
    assert hidden.status_code == 200 and "zone north" not in hidden.content.decode()


def test_explaining_asks_the_same_few_queries(device: Device, login: Callable[..., Client]) -> None:
    for number in range(20):
        CredentialFactory.create(name=f"more{number}", tags=["core"])
    client = login(*SEEN)
    path = f"/api/v1/devices/{device.pk}/credentials/"
    client.get(path)
    with CaptureQueriesContext(connection) as captured:
        assert len(client.get(path).json()["candidates"]) == 23
    # Session, user and permissions, the device with its tags, and the resolver's five.
    assert len(captured) <= 12
