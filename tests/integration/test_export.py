"""Exports: CSV that comes in again as it went out, JSON, and an inventory that Ansible reads."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from credentials.models import TagLimit
from credentials.services import tags_ensure
from inventory.exports import ExportFormat, devices_export
from inventory.imports import file_import
from inventory.models import Device
from netraven_site.accounts.roles import Role
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    JumpHostFactory,
    ZoneFactory,
    user_in,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

FORMULA = "=cmd|'/c calc'!A1"


def export(kind: str, *options: str) -> str:
    out = io.StringIO()
    call_command("export_devices", "--format", kind, *options, stdout=out)
    return out.getvalue()


def call(user: Any, query: str) -> Any:
    client = Client()
    client.force_login(user)
    return client.get(f"/api/v1/devices/export/{query}")


@pytest.fixture
def fleet() -> None:
    DeviceFactory.create(hostname="plain")
    DeviceFactory.create(
        hostname="=full",
        ip_address="2001:db8::1",
        port=2222,
        platform="juniper_junos",
        zone=ZoneFactory.create(name="dmz"),
        tags=["=sum", "Site A", "core"],
        credential=CredentialFactory.create(name="-login"),
        jump_host=JumpHostFactory.create(name="@jump"),
        description=f'{FORMULA}, "quoted"\nand \'more',
        is_active=False,
        legacy_algorithms=True,
        connect_timeout_seconds=1.5,
        deadline_seconds=300,
    )
    DeviceFactory.create(
        hostname="old", transport="telnet", platform="cisco_ios", description="'=1"
    )


def state() -> list[Any]:
    tags = {device.pk: {tag.name for tag in device.tags.all()} for device in Device.objects.all()}
    return [tags, list(Device.objects.order_by("pk").values())]


@pytest.mark.usefixtures("fleet")
def test_csv_comes_in_again_as_it_went_out() -> None:
    before = state()
    text = export("csv")
    result = file_import(text=text)
    assert (result.created, result.updated, result.unchanged) == (0, 0, 3)
    assert state() == before
    Device.objects.update(
        description="x", is_active=True, port=9, deadline_seconds=9, credential=None, zone=None
    )
    Device.tags.through.objects.all().delete()
    assert file_import(text=text).updated == 3
    for now, then in zip(state()[1], before[1], strict=True):
        assert {**now, "updated_at": None} == {**then, "updated_at": None}
    assert state()[0] == before[0]


@pytest.mark.usefixtures("fleet")
def test_no_cell_of_csv_is_a_formula() -> None:
    rows = list(csv.reader(io.StringIO(export("csv"), newline="")))
    cells = [cell for row in rows for cell in row]
    assert any(FORMULA in cell for cell in cells)
    assert not [cell for cell in cells if cell.startswith(tuple("=+-@\t\r"))]


@pytest.mark.usefixtures("fleet")
def test_json_has_every_device_with_what_is_said_about_it() -> None:
    devices = json.loads(export("json"))
    assert [device["hostname"] for device in devices] == ["=full", "old", "plain"]
    assert devices[0]["tags"] == ["=sum", "Site A", "core"]
    assert (devices[0]["zone"], devices[0]["credential"]) == ("dmz", "-login")
    assert json.loads(export("json", "--tag", "CORE")) == devices[:1]
    Device.objects.all().delete()
    assert json.loads(export("json")) == []


@pytest.mark.usefixtures("fleet")
def test_an_inventory_for_ansible() -> None:
    DeviceFactory.create(
        hostname="core1",
        ip_address="192.0.2.7",
        platform="cisco_xe",
        zone=ZoneFactory.create(name="paris-1"),
        tags=["Site A"],
    )
    data = yaml.safe_load(export("ansible"))["all"]
    assert set(data["hosts"]) == {"core1", "old", "plain"}, "active devices only"
    variables = data["hosts"]["core1"]
    assert variables.pop("netraven_id") == Device.objects.get(hostname="core1").pk
    assert variables == {
        "ansible_host": "192.0.2.7",
        "ansible_port": 22,
        "ansible_connection": "ansible.netcommon.network_cli",
        "ansible_network_os": "cisco.ios.ios",
        "netraven_platform": "cisco_xe",
    }
    assert "ansible_network_os" not in data["hosts"]["old"], "Telnet is not for network_cli"
    groups = {name: set(group["hosts"]) for name, group in data["children"].items()}
    assert groups == {
        "tag_Site_A": {"core1"},
        "platform_cisco_xe": {"core1"},
        "platform_cisco_ios": {"old", "plain"},
        "zone_paris_1": {"core1"},
    }


def test_nothing_in_an_inventory_is_a_template_or_a_pattern() -> None:
    name = "x{{lookup(1)}}[0:9]"
    DeviceFactory.create(hostname=name, description="{{ 7 * 7 }}", tags=["{% raw %}"])
    DeviceFactory.create(hostname="x{{lookup(1)}}(0:9)")
    text = export("ansible")
    assert "{{" not in text and "{%" not in text and "[" not in text
    assert len(yaml.safe_load(text)["all"]["hosts"]) == 2


@pytest.mark.usefixtures("fleet")
def test_no_secret_is_exported() -> None:
    CredentialFactory.create(name="c", password="Zq9-CANARY-export", enable_secret="Zq9-CANARY-2")
    for kind in ExportFormat:
        assert "CANARY" not in export(kind)


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("kind", "media_type"),
    [("csv", "text/csv"), ("json", "application/json"), ("ansible", "application/yaml")],
)
def test_the_api_gives_the_same_file(kind: str, media_type: str) -> None:
    viewer = user_in(Role.VIEWER)
    answer = call(viewer, f"?format={kind}")
    assert answer.headers["Content-Type"].startswith(media_type)
    assert "attachment" in answer.headers["Content-Disposition"]
    assert answer.getvalue().decode() == export(kind)
    assert call(viewer, "?format=xml").status_code == 400


@pytest.mark.usefixtures("fleet")
def test_the_filters_of_the_list_count() -> None:
    viewer = user_in(Role.VIEWER)
    for query in ("tags__name=core", "zone__name=dmz", "search==full", "is_active=false"):
        rows = json.loads(call(viewer, f"?format=json&{query}").getvalue())
        assert [row["hostname"] for row in rows] == ["=full"], query


@pytest.mark.usefixtures("fleet")
def test_a_limited_user_exports_their_devices_only() -> None:
    user = user_in(Role.VIEWER)
    TagLimit.objects.create(user=user).tags.set(tags_ensure(names=["core"]))
    for kind in ExportFormat:
        text = call(user, f"?format={kind}").getvalue().decode()
        assert "plain" not in text and "old" not in text
    assert "=full" in call(user, "").getvalue().decode()


def test_queries_do_not_grow_with_the_devices() -> None:
    counts = []
    for number in (3, 30):
        for n in range(number):
            DeviceFactory.create(hostname=f"d{number}-{n}", tags=["a", "b"])
        with CaptureQueriesContext(connection) as captured:
            list(devices_export(devices=Device.objects.all(), kind=ExportFormat.CSV))
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 3
