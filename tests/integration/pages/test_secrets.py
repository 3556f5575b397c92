"""Reports about secrets, and lines that change by themselves."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from inventory.models import Device
from netraven_site.accounts.roles import Role
from tests.factories import DeviceFactory, UserFactory, user_in
from tests.support.history import store_texts
from tests.support.pages import limited_to
from tests.support.stored import store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web", "git_directory")]

HOSTILE = "<script>alert(1)</script>"
TURNED = "\u202e"
SHARED, OWN = "aaaaaaaa", "bbbbbbbb"


@pytest.fixture
def viewer(client: Client) -> User:
    user = user_in(Role.VIEWER)
    client.force_login(user)
    return user


@pytest.fixture
def devices() -> list[Device]:
    found = []
    for name, tag in (("core1", "berlin"), ("core2", "paris")):
        device = DeviceFactory.create(hostname=name, tags=[tag])
        store(
            device,
            f"hostname {name}\nsnmp-server community <redacted:{SHARED}> RO {HOSTILE}{TURNED}\n",
        )
        found.append(device)
    store(found[0], f"snmp-server community <redacted:{SHARED}> RO\nx <redacted:{OWN}>\n")
    return found


def shown(client: Client, address: str) -> str:
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    assert len(queries) <= 12, [query["sql"][:100] for query in queries]
    text = answer.content.decode()
    assert HOSTILE not in text and TURNED not in text
    return text


@pytest.mark.usefixtures("viewer")
def test_shared_secrets(client: Client, devices: list[Device]) -> None:
    text = shown(client, "/secrets/")
    assert f"/secrets/{SHARED}/" in text and OWN not in text
    assert "core1" in text and "core2" in text and "&lt;script&gt;" in text
    assert 'title="U+202E"' in text
    assert OWN in shown(client, "/secrets/?min_devices=1")
    assert "No secret fits these filters" in shown(client, "/secrets/?hostname=core1")
    assert "Mend the filters" in shown(client, "/secrets/?min_devices=x&tag=none")


@pytest.mark.usefixtures("viewer")
def test_where_one_secret_stands(client: Client, devices: list[Device]) -> None:
    text = shown(client, f"/secrets/{SHARED}/")
    assert f"/devices/{devices[1].pk}/config/?line=2#L2" in text
    assert "core1" not in shown(client, f"/secrets/{SHARED}/?hostname=core2")
    assert "stands in no newest configuration" in shown(client, "/secrets/cccccccc/")
    for wrong in ("zzzzzzzz", "aaaaaaa", "aaaaaaaaa", "%3Cscript%3E"):
        assert client.get(f"/secrets/{wrong}/").status_code == 404


@pytest.mark.usefixtures("viewer")
def test_old_secrets(client: Client, devices: list[Device]) -> None:
    assert "No secret is that old" in shown(client, "/secrets/old/")
    assert OWN in shown(client, "/secrets/old/?older_than_days=0")
    assert "Mend the filters" in shown(client, "/secrets/old/?older_than_days=-1")


@pytest.mark.usefixtures("viewer")
def test_the_secrets_of_a_device(client: Client, devices: list[Device]) -> None:
    text = shown(client, f"/devices/{devices[0].pk}/secrets/")
    assert OWN in text and SHARED in text
    bare = DeviceFactory.create()
    assert "No secret stands" in shown(client, f"/devices/{bare.pk}/secrets/")


@pytest.mark.usefixtures("viewer")
def test_without_secrets_it_says_so(client: Client) -> None:
    assert "No two devices share a secret" in shown(client, "/secrets/")


def test_rights_and_limits(client: Client, devices: list[Device]) -> None:
    pages = [
        "/secrets/",
        f"/secrets/{SHARED}/",
        "/secrets/old/",
        f"/devices/{devices[0].pk}/secrets/",
        f"/devices/{devices[0].pk}/noise/",
    ]
    client.force_login(UserFactory.create(is_staff=True))
    for page in pages:
        assert client.get(page).status_code == 403, page
    client.force_login(limited_to(user_in(Role.VIEWER), "berlin"))
    for page in pages:
        for query in ("", "?min_devices=1&older_than_days=0"):
            text = shown(client, f"{page}{query}")
            assert "core2" not in text and "paris" not in text
    for page in ("secrets", "noise"):
        assert client.get(f"/devices/{devices[1].pk}/{page}/").status_code == 404
    assert "No two devices share" in shown(client, "/secrets/")


# --- Volatile lines -----------------------------------------------------------------------------


@pytest.mark.usefixtures("viewer")
def test_volatile_lines_get_a_rule(client: Client) -> None:
    device = DeviceFactory.create(hostname="core1")
    address = f"/devices/{device.pk}/noise/"
    store_texts(device, [f"hostname core1\nuptime {n} {HOSTILE}\n" for n in range(8)])
    text = shown(client, address)
    assert "Look for volatile lines" in text and "were looked at" not in text
    text = shown(client, f"{address}?revisions=30")
    assert "8 revisions from 8 reads" in text and "volatile = [" in text
    assert "changed 7 times" in text and "A rule would have saved 7 revisions" in text
    for wrong in ("x", "1", "101"):
        assert 'class="nr-error"' in shown(client, f"{address}?revisions={wrong}")
    bare = DeviceFactory.create()
    assert "No line changes by itself" in shown(client, f"/devices/{bare.pk}/noise/?revisions=2")
