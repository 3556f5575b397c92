"""Reports about secrets: shared ones, those of a device, old ones; told by tokens."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backups.models import CurrentText, SecretUse, Snapshot
from backups.selectors.device_filter import DeviceFilter
from backups.selectors.secrets import (
    SHOWN_DEVICES,
    device_secret_uses,
    placed_secrets,
    secret_uses,
    shared_secret_rows,
    shared_secrets,
    stale_secret_uses,
)
from backups.services.store import RunLabel, backup_store
from inventory.models import Device
from tests.factories import DeviceFactory, UserFactory, backup_outcome, user_with

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("git_directory")]

A, B, C = ("aaaaaaaa", "bbbbbbbb", "cccccccc")
NOW = timezone.now()


def device_with(hostname: str, *lines: str, days: int = 0, **fields: Any) -> Device:
    """A device with a configuration of ``lines``, whose secrets are as old as ``days``."""
    device = DeviceFactory.create(hostname=hostname, **fields)
    text = "".join(f"{line}\n" for line in lines)
    label = RunLabel(run_id=1, job_name="nightly")
    backup_store(device=device, outcome=backup_outcome(text), label=label)
    then = NOW - timedelta(days=days, hours=1)
    SecretUse.objects.filter(device=device).update(first_seen_at=then, changed_at=then)
    return device


def community(token: str) -> str:
    return f"snmp-server community <redacted:{token}> RO"


def key(token: str) -> str:
    return f"radius-server key <redacted:{token}>"


@pytest.fixture
def fleet() -> None:
    device_with("core1", community(A), key(B), key("constant"), days=400, tags=["core"])
    device_with("core2", community(A), key(C), key("constant"), days=100, tags=["core"])
    device_with("edge1", key(A), key(B), days=1, platform="arista_eos")
    device_with("old", community(A), key(C), days=900, is_active=False)


def shared(device_filter: DeviceFilter | None = None, **options: Any) -> dict[str, int]:
    """Number of devices by token, in the order of the report."""
    wanted = device_filter or DeviceFilter()
    rows = shared_secrets(device_filter=wanted, **options)
    return {
        row.token: row.device_count
        for row in shared_secret_rows(rows=rows, device_filter=wanted, scope=options.get("scope"))
    }


# --- Shared -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fleet")
def test_shared_secrets_come_with_devices_and_places() -> None:
    first, second = shared_secret_rows(rows=shared_secrets())
    assert (first.token, first.device_count, first.use_count) == (A, 3, 3)
    assert [device.hostname for device in first.devices] == ["core1", "core2", "edge1"]
    assert first.places == (
        "snmp-server community <redacted> RO",
        "radius-server key <redacted>",
    )
    assert (NOW - first.oldest_change_at).days == 400
    assert (NOW - first.newest_change_at).days == 1
    assert (second.token, second.device_count) == (B, 2)


@pytest.mark.usefixtures("fleet")
def test_only_the_devices_that_are_asked_for_count() -> None:
    assert shared() == {A: 3, B: 2}
    assert shared(min_devices=1) == {A: 3, B: 2, C: 1}
    assert shared(min_devices=3) == {A: 3}
    assert shared(DeviceFilter(tags=("CORE",))) == {A: 2}
    assert shared(DeviceFilter(platform="arista_eos"), min_devices=1) == {A: 1, B: 1}
    assert shared(scope=Device.objects.filter(hostname__in=["core1", "edge1", "old"])) == {
        A: 2,
        B: 2,
    }


def test_a_device_with_a_secret_twice_shares_it_with_nobody() -> None:
    device_with("sw1", community(A), key(A))
    assert shared() == {}
    ((use, _),) = [placed_secrets(uses=secret_uses(token=A))]
    assert use.shared_with == 0


def test_of_many_devices_the_first_are_named_in_few_queries() -> None:
    for number in range(SHOWN_DEVICES + 3):
        device_with(f"sw{number:02}", community(A), key(B), f"neighbor 10.0.0.{number} {key(A)}")
    with CaptureQueriesContext(connection) as queries:
        rows = shared_secret_rows(rows=shared_secrets())
    assert len(queries) == 3
    assert [len(row.devices) for row in rows] == [SHOWN_DEVICES] * 2
    assert [device.hostname for device in rows[0].devices][:2] == ["sw00", "sw01"]
    assert rows[0].places[0] == "snmp-server community <redacted> RO"
    assert len(rows[0].places) == 3
    assert (rows[0].device_count, rows[0].use_count) == (13, 26)


# --- Of a device, and old ones ------------------------------------------------------------------


@pytest.mark.usefixtures("fleet")
def test_the_secrets_of_a_device_stand_in_the_order_of_its_lines() -> None:
    with CaptureQueriesContext(connection) as queries:
        rows = placed_secrets(uses=device_secret_uses(device=Device.objects.get(hostname="core1")))
    assert len(queries) == 3  # the device, its places, the counts
    assert [(row.line_number, row.token, row.shared_with, row.age_days) for row in rows] == [
        (1, A, 2, 400),
        (2, B, 1, 400),
        (3, "", 0, 400),
    ]
    assert {row.hostname for row in rows} == {"core1"}
    inactive = placed_secrets(uses=device_secret_uses(device=Device.objects.get(hostname="old")))
    assert [row.shared_with for row in inactive] == [3, 1]


@pytest.mark.usefixtures("fleet")
def test_old_secrets_come_oldest_first() -> None:
    def stale(days: int, **options: Any) -> list[tuple[str, str]]:
        uses = stale_secret_uses(older_than=timedelta(days=days), **options)
        return [(row.hostname, row.token) for row in placed_secrets(uses=uses)]

    assert stale(90) == [("core1", A), ("core1", B), ("core2", A), ("core2", C)]
    assert stale(101) == [("core1", A), ("core1", B)]
    assert stale(0, device_filter=DeviceFilter(platform="arista_eos")) == [
        ("edge1", A),
        ("edge1", B),
    ]
    assert stale(500) == []


@pytest.mark.usefixtures("web")
def test_the_admin_escapes_what_a_device_printed(client: Client) -> None:
    device_with("sw1", f"<script>alert(1)</script> {key(A)}")
    client.force_login(UserFactory.create(is_superuser=True, is_staff=True))
    listed = client.get(f"/admin/backups/secretuse/?q={A}").content.decode()
    shown = client.get(f"/admin/backups/secretuse/{SecretUse.objects.get().pk}/change/")
    for content in (listed, shown.content.decode()):
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in content
        assert "<script>alert" not in content


# --- API ----------------------------------------------------------------------------------------


@pytest.fixture
def ask(client: Client, web: None) -> Callable[..., Any]:
    """The answer of the API to somebody who may see where secrets stand."""
    client.force_login(user_with("backups.view_secretuse"))

    def get(path: str, expected: int = 200) -> Any:
        answer = client.get(f"/api/v1/{path}")
        assert answer.status_code == expected, answer.content
        return answer.json()

    return get


@pytest.mark.usefixtures("fleet")
def test_the_api_lists_shared_secrets(ask: Callable[..., Any]) -> None:
    answer = ask("secrets/?size=1")
    assert (answer["count"], answer["pages"]) == (2, 2)
    (row,) = answer["results"]
    assert (row["token"], row["device_count"], row["use_count"]) == (A, 3, 3)
    core1 = Device.objects.get(hostname="core1")
    assert row["devices"][0] == {"device": core1.pk, "hostname": "core1"}
    assert datetime.fromisoformat(row["oldest_change_at"]) < datetime.now(UTC)
    assert ask("secrets/?tag=core&min_devices=1")["count"] == 3
    assert ask("secrets/?platform=arista_eos")["count"] == 0
    assert "min_devices" in ask("secrets/?min_devices=x", 400)["error"]["fields"]


@pytest.mark.usefixtures("fleet")
def test_the_api_says_where_a_secret_stands(ask: Callable[..., Any]) -> None:
    answer = ask(f"secrets/{A}/")
    assert [(row["hostname"], row["line_number"]) for row in answer["results"]] == [
        ("core1", 1),
        ("core2", 1),
        ("edge1", 1),
    ]
    assert answer["results"][0] | {"device": 0, "first_seen_at": "", "changed_at": ""} == {
        "device": 0,
        "hostname": "core1",
        "place": "snmp-server community <redacted> RO",
        "line_number": 1,
        "token": A,
        "shared_with": 2,
        "first_seen_at": "",
        "changed_at": "",
        "age_days": 400,
    }
    assert ask(f"secrets/{A}/?tag=core&size=1")["count"] == 2
    assert ask("secrets/00000000/")["results"] == []
    assert ask("secrets/nothex00/", 404)["error"]["code"] == "not_found"


@pytest.mark.usefixtures("fleet")
def test_the_api_lists_the_secrets_of_a_device_and_old_ones(ask: Callable[..., Any]) -> None:
    core1 = Device.objects.get(hostname="core1")
    answer = ask(f"devices/{core1.pk}/secrets/")
    assert [row["token"] for row in answer["results"]] == [A, B, ""]
    assert ask("devices/999999/secrets/", 404)["error"]["code"] == "not_found"
    old = ask("secrets/stale/?older_than_days=200")
    assert [(row["hostname"], row["token"]) for row in old["results"]] == [
        ("core1", A),
        ("core1", B),
    ]
    assert ask("secrets/stale/")["count"] == 4
    assert "older_than_days" in ask("secrets/stale/?older_than_days=-1", 400)["error"]["fields"]


@pytest.mark.parametrize(
    "path", ["secrets/", f"secrets/{A}/", "secrets/stale/", "devices/{id}/secrets/"]
)
def test_the_reports_need_their_permission(client: Client, web: None, path: str) -> None:
    address = "/api/v1/" + path.replace("{id}", str(device_with("sw1", key(A)).pk))
    assert client.get(address).status_code == 401
    client.force_login(UserFactory.create())
    assert client.get(address).status_code == 403
    client.force_login(user_with("backups.view_snapshot", "inventory.view_device"))
    assert client.get(address).status_code == 403


# --- Command ------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("secrets", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.usefixtures("fleet")
def test_the_command_prints_reports() -> None:
    dates = [f"{NOW - timedelta(days=days, hours=1):%Y-%m-%d}" for days in (400, 1)]
    assert run("shared", "--min-devices", "3") == (
        f"{A}  3 devices, last changed {dates[0]} to {dates[1]}: core1, core2, edge1\n"
        "          snmp-server community <redacted> RO\n"
        "          radius-server key <redacted>\n"
    )
    assert run("shared", "--tag", "core").count("devices") == 1
    assert run("device", "CORE2") == (
        f"     1  {A}    100 days, also on 2 other devices: snmp-server community <redacted> RO\n"
        f"     2  {C}    100 days: radius-server key <redacted>\n"
        "     3  constant    100 days: radius-server key <redacted>\n"
    )
    assert run("stale", "--older-than", "200d", "--platform", "cisco_ios") == (
        f"core1:1  {A}    400 days, also on 2 other devices: snmp-server community <redacted> RO\n"
        f"core1:2  {B}    400 days, also on 1 other device: radius-server key <redacted>\n"
    )


@pytest.mark.usefixtures("fleet")
def test_the_command_prints_json() -> None:
    (row,) = json.loads(run("shared", "--tag", "core", "--json"))["secrets"]
    assert (row["token"], row["device_count"]) == (A, 2)
    assert [device["hostname"] for device in row["devices"]] == ["core1", "core2"]
    answer = json.loads(run("device", "core1", "--json"))
    assert answer["hostname"] == "core1"
    assert [row["token"] for row in answer["secrets"]] == [A, B, ""]
    assert datetime.fromisoformat(answer["secrets"][0]["changed_at"]) < NOW
    old = json.loads(run("stale", "--json"))["secrets"]
    assert [(row["hostname"], row["age_days"]) for row in old][::2] == [
        ("core1", 400),
        ("core2", 100),
    ]


@pytest.mark.usefixtures("fleet")
def test_the_command_brings_reports_up_to_date() -> None:
    assert run("index") == "revisions indexed: 0\n"
    CurrentText.objects.all().delete()
    Snapshot.objects.update(is_projected=False)
    assert run("index") == "revisions indexed: 8\n"  # of each device its text and its revision
    SecretUse.objects.all().delete()
    assert run("index", "core1") == "revisions indexed: 1\n"
    assert SecretUse.objects.values_list("device__hostname").distinct().count() == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["device", "none"], "there is no device 'none'"),
        (["index", "none"], "there is no device 'none'"),
        (["stale", "--older-than", "soon"], "give a number of days, for example 90d"),
        (["stale", "--older-than", "9999999"], "give a number of days"),
        (["shared", "--min-devices", "x"], "--min-devices"),
        ([], "action"),
    ],
)
def test_the_command_refuses(arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_the_command_says_what_cannot_be_read() -> None:
    device = device_with("sw1", key(A))
    Snapshot.objects.filter(device=device).update(
        state="COMMITTED", commit="0" * 40, blob="0" * 40, pending_text=""
    )
    with pytest.raises(CommandError, match="sw1: "):
        run("index", "sw1")
