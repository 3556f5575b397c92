"""Suspect outputs on pages: looked at, accepted, dismissed; and dismissing by the other doors."""

from __future__ import annotations

import io
import json

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from backups.models import Archive, Snapshot, Suspect
from backups.services.store import RunLabel, backup_store
from backups.services.suspects import SuspectNotAccepted, suspect_accept, suspect_dismiss
from inventory.models import Device
from netraven_site.accounts.roles import Role
from tests.factories import DeviceFactory, UserFactory, backup_outcome, user_in
from tests.support.pages import limited_to
from tests.support.stored import store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web", "git_directory")]

HOSTILE = "<script>alert(1)</script>"
REASON = f"The end is missing; the last line was '{HOSTILE}'."
SECRET = "Zq9-CANARY-community"
RAW = f"hostname core1\nsnmp-server community {SECRET} RO\nbanner {HOSTILE}\n".encode()


def suspect_of(device: Device, raw: bytes = RAW) -> Suspect:
    outcome = backup_outcome(raw=raw, suspicions=(REASON,))
    backup_store(device=device, outcome=outcome, label=RunLabel(run_id=7, job_name="nightly"))
    return Suspect.objects.latest("id")


@pytest.fixture
def device() -> Device:
    return DeviceFactory.create(hostname="core1", tags=["berlin"])


@pytest.fixture
def operator(client: Client) -> User:
    user = user_in(Role.OPERATOR)
    client.force_login(user)
    return user


def shown(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, answer.content
    text = answer.content.decode()
    assert HOSTILE not in text and SECRET not in text
    return text


def post(client: Client, suspect: Suspect, deed: str) -> str:
    answer = client.post(f"/suspects/{suspect.pk}/{deed}/", follow=True)
    assert answer.status_code == 200
    suspect.refresh_from_db()
    return answer.content.decode()


@pytest.mark.usefixtures("operator")
def test_those_that_wait_are_listed(client: Client, device: Device) -> None:
    assert "No output waits for a decision" in shown(client, "/suspects/")
    suspect, other = suspect_of(device), suspect_of(DeviceFactory.create(hostname="edge1"))
    suspect_dismiss(suspect=other, dismissed_by="jane")
    page = client.get("/suspects/")
    assert [row.pk for row in page.context["suspects"]] == [suspect.pk]
    everything = client.get("/suspects/?state=&ordering=device")
    assert [row.pk for row in everything.context["suspects"]] == [suspect.pk, other.pk]
    assert "jane" in shown(client, "/suspects/?state=DISMISSED")
    assert "No output fits these filters" in shown(client, "/suspects/?hostname=nobody")
    assert client.get("/suspects/?state=x").context["suspects"] == []


@pytest.mark.usefixtures("operator")
def test_one_is_shown_with_what_is_trusted(client: Client, device: Device) -> None:
    first = suspect_of(device)
    assert "There is none yet." in shown(client, f"/suspects/{first.pk}/")
    store(device, "hostname core1\nntp server 192.0.2.1\n")
    suspect = suspect_of(device)
    with CaptureQueriesContext(connection) as queries:
        text = shown(client, f"/suspects/{suspect.pk}/")
    assert len(queries) <= 12
    assert '<td class="nr-t nr-old">ntp server 192.0.2.1</td>' in text
    assert "<code>hostname core1</code>" in text and "&lt;script&gt;" in text
    assert f"/suspects/{suspect.pk}/accept/" in text and f"/suspects/{suspect.pk}/dismiss/" in text
    Archive.objects.update(sealed=b"\x00" * 64)
    assert "The text cannot be shown" in shown(client, f"/suspects/{suspect.pk}/")


def test_accepting_stores_it(client: Client, operator: User, device: Device) -> None:
    suspect = suspect_of(device)
    assert "the output is accepted" in post(client, suspect, "accept")
    assert (suspect.state, suspect.accepted_by) == ("ACCEPTED", operator.username)
    assert Snapshot.objects.get(device=device).state == "COMMITTED"
    assert "does not wait for a decision any more" in post(client, suspect, "dismiss")
    text = shown(client, f"/suspects/{suspect.pk}/")
    assert "Stored as" in text and "Accept and store it" not in text


def test_dismissing_stores_nothing(client: Client, operator: User, device: Device) -> None:
    suspect = suspect_of(device)
    assert "the output is dismissed" in post(client, suspect, "dismiss")
    assert (suspect.state, suspect.dismissed_by) == ("DISMISSED", operator.username)
    assert suspect.decided_at is not None
    assert "does not wait for a decision any more: dismissed" in post(client, suspect, "accept")
    assert not Snapshot.objects.exists()


@pytest.mark.usefixtures("operator")
def test_what_a_mute_device_left_cannot_be_accepted(client: Client, device: Device) -> None:
    suspect = suspect_of(device, b"")
    assert "printed nothing" in post(client, suspect, "accept")
    assert "printed nothing" in shown(client, f"/suspects/{suspect.pk}/")


def test_rights_and_limits(client: Client, device: Device) -> None:
    suspect = suspect_of(device)
    foreign = suspect_of(DeviceFactory.create(hostname="paris1", tags=["paris"]))
    address = f"/suspects/{suspect.pk}/"
    client.force_login(UserFactory.create(is_staff=True))
    for path in ("/suspects/", address):
        assert client.get(path).status_code == 403
    client.force_login(user_in(Role.VIEWER))
    assert "/accept/" not in shown(client, address)
    operator = limited_to(user_in(Role.OPERATOR), "berlin")
    for deed in ("accept", "dismiss"):
        assert client.post(f"{address}{deed}/").status_code == 403
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(operator)
        assert strict.post(f"{address}{deed}/").status_code == 403
        limited = Client()
        limited.force_login(operator)
        assert limited.post(f"/suspects/{foreign.pk}/{deed}/").status_code == 404
        assert limited.get(f"{address}{deed}/").status_code == 405
    assert limited.get(f"/suspects/{foreign.pk}/").status_code == 404
    assert [one.pk for one in limited.get("/suspects/").context["suspects"]] == [suspect.pk]
    assert set(Suspect.objects.values_list("state", flat=True)) == {"OPEN"}


def test_the_other_doors_dismiss_as_well(client: Client, device: Device) -> None:
    suspect = suspect_of(device)
    client.force_login(user_in(Role.VIEWER))
    address = f"/api/v1/suspects/{suspect.pk}/dismiss/"
    assert client.post(address).status_code == 403
    client.force_login(user_in(Role.OPERATOR))
    answer = json.loads(client.post(address).content)
    assert answer["state"] == "DISMISSED" and answer["dismissed_by"]
    assert client.post(address).status_code == 409

    other = suspect_of(device)
    out = io.StringIO()
    call_command("suspects", "core1", "--dismiss", stdout=out)
    other.refresh_from_db()
    assert out.getvalue() == "core1: dismissed\n"
    assert other.dismissed_by.startswith("command line (")
    with pytest.raises(CommandError, match="need a HOST"):
        call_command("suspects", "--dismiss")

    third = suspect_of(device)
    client.force_login(UserFactory.create(is_superuser=True, is_staff=True))
    data = {"action": "dismiss", "_selected_action": [third.pk, other.pk]}
    said = client.post("/admin/backups/suspect/", data, follow=True).content.decode()
    assert "dismissed." in said and "does not wait for a decision any more" in said
    third.refresh_from_db()
    assert third.state == "DISMISSED"


def test_who_dismissed_is_always_known(device: Device) -> None:
    suspect = suspect_of(device)
    with pytest.raises(IntegrityError), transaction.atomic():
        Suspect.objects.update(state="DISMISSED")
    suspect_dismiss(suspect=suspect, dismissed_by="jane")
    with pytest.raises(SuspectNotAccepted):
        suspect_accept(suspect=suspect, accepted_by="joe")
