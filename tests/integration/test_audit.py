"""The audit log: every deed once, with who and from where, and never a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client

from backups.models import Archive
from backups.services.store import RunLabel, backup_store
from credentials.models import Credential
from inventory.models import Device
from netraven_site.accounts.roles import Role
from tests.factories import DeviceFactory, TagFactory, backup_outcome, user_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

API = "/api/v1/"
PASSWORD = "Correct-horse-battery-1"
CANARY = "Zq9-CANARY-audit-1"


@pytest.fixture
def admin() -> User:
    user = user_in(Role.ADMIN, Role.RAW_READER)
    user.set_password(PASSWORD)
    user.save()
    LogEntry.objects.all().delete()
    return user


@pytest.fixture
def bearer(admin: User) -> dict[str, str]:
    pair = Client().post(
        f"{API}token/",
        {"username": admin.username, "password": PASSWORD},
        content_type="application/json",
    )
    return {"Authorization": f"Bearer {pair.json()['access']}"}


def entries(headers: dict[str, str], **query: Any) -> list[Any]:
    answer = Client().get(f"{API}audit/", query, headers=headers)
    assert answer.status_code == 200, answer.content
    return list(answer.json()["results"])


def test_a_change_over_the_api_says_who_and_from_where(admin: User, bearer: dict[str, str]) -> None:
    device = DeviceFactory.create(tags=["core"])
    answer = Client().patch(
        f"{API}devices/{device.pk}/",
        {"port": 2222, "tags": ["edge"]},
        content_type="application/json",
        headers=bearer,
        REMOTE_ADDR="192.0.2.77",
    )
    assert answer.status_code == 200
    made = entries(bearer, kind="device", object_id=device.pk, by=admin.username)
    assert {(row["by"], row["address"], row["event"]) for row in made} == {
        (admin.username, "192.0.2.77", "update")
    }
    assert [row["changes"]["port"] for row in made if "port" in row["changes"]] == [["22", "2222"]]
    tags = str([row["changes"]["tags"] for row in made if "tags" in row["changes"]])
    assert "edge" in tags and "core" in tags


def test_what_the_command_line_does_is_recorded_too(bearer: dict[str, str]) -> None:
    device = DeviceFactory.create()
    assert [row["by"][:12] for row in entries(bearer, kind="device")] == ["command line"]
    device.delete()
    assert [row["event"] for row in entries(bearer, kind="device")] == ["delete", "create"]


def test_what_workers_find_out_is_no_deed(bearer: dict[str, str]) -> None:
    device = DeviceFactory.create()
    LogEntry.objects.all().delete()
    device.os_version = "17.9"
    device.save(update_fields=["os_version"])
    assert entries(bearer, kind="device") == []


def test_log_ins_right_and_wrong_are_recorded_at_every_door(
    admin: User, bearer: dict[str, str]
) -> None:
    page = Client(REMOTE_ADDR="192.0.2.8")
    page.post("/admin/login/", {"username": admin.username, "password": PASSWORD})
    page.post("/admin/logout/")
    page.post("/admin/login/", {"username": admin.username, "password": CANARY})
    page.post("/admin/login/", {"username": CANARY, "password": CANARY})
    Client().post(
        f"{API}token/",
        {"username": admin.username, "password": CANARY},
        content_type="application/json",
    )
    rows = entries(bearer, kind="user")
    found = [(row["event"], row["object"], row["by"]) for row in reversed(rows)]
    name = admin.username
    assert found == [
        ("login", name, name),
        ("login", name, name),
        ("logout", name, name),
        ("login failed", name, ""),
        ("login failed", "unknown user", ""),
        ("login failed", name, ""),
    ]
    assert rows[1]["address"] == "192.0.2.8"
    assert CANARY not in json.dumps(rows)


def test_raw_readings_and_host_keys_are_recorded(
    admin: User, bearer: dict[str, str], git_directory: Any
) -> None:
    device = DeviceFactory.create()
    label = RunLabel(run_id=1, job_name="nightly")
    backup_store(device=device, outcome=backup_outcome(), label=label)
    archive = Archive.objects.get()
    Device.objects.filter(pk=device.pk).update(offered_host_key="ssh-ed25519 AAAA")
    device.refresh_from_db()
    for path, body in (
        (f"archives/{archive.pk}/raw/", {"reason": "rebuild"}),
        (f"devices/{device.pk}/accept-host-key/", {"fingerprint": device.offered_fingerprint}),
    ):
        answer = Client().post(API + path, body, content_type="application/json", headers=bearer)
        assert answer.status_code == 200, answer.content
    (reading,) = entries(bearer, kind="archivereading")
    assert (reading["by"], reading["changes"]["reason"][1]) == (admin.username, "rebuild")
    (decision,) = entries(bearer, kind="hostkeychange")
    assert decision["by"] == admin.username


def test_no_secret_is_in_it(admin: User, bearer: dict[str, str]) -> None:
    TagFactory.create(name="core")
    page = Client()
    page.force_login(admin)
    form = {"name": "c", "username": "backup", "priority": "1", "provider": "stored"}
    path = "/admin/credentials/credential/add/"
    secrets = {"password": CANARY, "enable_secret": CANARY}
    assert page.post(path, form | secrets).status_code == 302
    credential = Credential.objects.get()
    path = f"/admin/credentials/credential/{credential.pk}/change/"
    assert page.post(path, form | {"password": f"{CANARY}-2"}).status_code == 302
    page.post(f"{API}tokens/", {"name": "t"}, content_type="application/json")
    page.post(
        f"{API}users/", {"username": "u", "password": CANARY}, content_type="application/json"
    )
    events = [row["event"] for row in entries(bearer, kind="credential")]
    assert events == ["update", "create"]
    (change,) = entries(bearer, kind="credential", object_id=credential.pk)[:1]
    assert change["changes"] == {"sealed_password": ["***", "***"]}
    assert len(entries(bearer, kind="apitoken")) == 1
    everything = str(list(LogEntry.objects.values()))
    assert CANARY not in everything
    assert bytes(Credential.objects.get().sealed_password or b"").hex() not in everything
    assert User.objects.get(username="u").password not in everything
    assert "digest" not in everything


def test_nobody_changes_it(admin: User, bearer: dict[str, str]) -> None:
    (entry,) = LogEntry.objects.all()
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        path = f"{API}audit/" if method == "POST" else f"{API}audit/{entry.pk}/"
        answer = Client().generic(method, path, "{}", "application/json", headers=bearer)
        assert answer.status_code in {403, 405}
    page = Client()
    page.force_login(User.objects.create_superuser("root"))
    for deed in ("change", "delete"):
        assert page.post(f"/admin/auditlog/logentry/{entry.pk}/{deed}/").status_code == 403
    assert page.get("/admin/auditlog/logentry/").status_code == 200
    assert page.get(f"/admin/auditlog/logentry/{entry.pk}/change/").status_code == 200
    viewer = Client()
    viewer.force_login(user_in(Role.OPERATOR))
    assert viewer.get(f"{API}audit/").status_code == 403


def test_an_account_without_a_name_is_no_reason_to_record_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    # An account without a name is to be had by root only.
    monkeypatch.setattr("getpass.getuser", nameless)
    TagFactory.create(name="edge")
    entry = LogEntry.objects.latest("id")
    assert str((entry.additional_data or {}).get("by")).startswith("command line (user id ")
