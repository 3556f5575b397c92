"""Rows that people and programs edit: messages, duplicates, lost updates, many at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.db.models import ProtectedError
from django.test import Client

from backups.models import RetentionPolicy
from backups.services.store import RunLabel, backup_store
from credentials.models import Credential, Tag, TagLimit
from credentials.services import tags_ensure
from inventory.models import Device, JumpHost, Zone
from jobs.models import Job, NotificationRule
from netraven_site.accounts.roles import Role
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    JobFactory,
    JumpHostFactory,
    TagFactory,
    UserFactory,
    ZoneFactory,
    backup_outcome,
    user_in,
    user_with,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

Call = Callable[..., tuple[int, Any]]
DEVICE = {"hostname": "sw1", "ip_address": "192.0.2.1", "platform": "cisco_ios"}
#: For each kind of row: how to make one, what makes another one, and a change.
KINDS: dict[str, tuple[Callable[[], Any], dict[str, Any], dict[str, Any]]] = {
    "devices": (DeviceFactory.create, DEVICE, {"description": "x"}),
    "tags": (TagFactory.create, {"name": "core"}, {"description": "x"}),
    "zones": (ZoneFactory.create, {"name": "north"}, {"description": "x"}),
    "credentials": (
        CredentialFactory.create,
        {"name": "own", "username": "netops", "password": "Zq9-CANARY"},
        {"priority": 7},
    ),
    "jobs": (JobFactory.create, {"name": "nightly"}, {"description": "x"}),
    "jump-hosts": (
        JumpHostFactory.create,
        {"name": "bastion", "ip_address": "192.0.2.9", "credential": "login"},
        {"description": "x"},
    ),
    "retention-policies": (
        lambda: RetentionPolicy.objects.create(name="made"),
        {"name": "core", "tags": ["core"], "log_days": 90},
        {"archive_days": 730},
    ),
}
MODELS = {
    "devices": Device,
    "tags": Tag,
    "zones": Zone,
    "credentials": Credential,
    "jobs": Job,
    "jump-hosts": JumpHost,
    "retention-policies": RetentionPolicy,
}


def caller(user: User) -> Call:
    client = Client()
    client.force_login(user)

    def ask(method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        answer = client.generic(
            method,
            f"/api/v1/{path}",
            json.dumps(body),
            content_type="application/json",
            headers=headers,
        )
        content = json.loads(answer.content) if answer.content else {}
        if "ETag" in answer.headers:
            content["ETag"] = answer["ETag"]
        return answer.status_code, content

    return ask


@pytest.fixture
def call() -> Call:
    CredentialFactory.create(name="login")
    return caller(UserFactory.create(is_superuser=True))


def fields_of(answer: Any) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = answer["error"]["fields"]
    return fields


# --- Messages and duplicates --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "field", "value", "rule"),
    [
        ("devices", DEVICE | {"hostname": "a b"}, "hostname", "a b", "no blanks"),
        ("devices", DEVICE | {"ip_address": "1.2.3.999"}, "ip_address", "1.2.3.999", "DNS name"),
        ("devices", DEVICE | {"ip_address": "fe80::1::2"}, "ip_address", "fe80::1::2", "IP addr"),
        ("devices", DEVICE | {"port": 70000}, "port", "70000", "65535"),
        ("devices", DEVICE | {"port": "ssh"}, "port", "ssh", "integer"),
        ("devices", DEVICE | {"platform": "cisco_oss"}, "platform", "cisco_oss", "cisco_ios"),
        ("devices", DEVICE | {"transport": "rsh"}, "transport", "rsh", "not a valid choice"),
        ("devices", DEVICE | {"zone": "moon"}, "zone", "moon", "no zone"),
        ("zones", {"name": "North Pole"}, "name", "North Pole", "lower-case"),
        ("tags", {"name": "a;b"}, "name", "a;b", "no semicolon"),
        ("tags", {"name": "a", "max_sessions": 0}, "max_sessions", "0", "between 1"),
        ("jobs", {"name": "n", "schedule_type": "cron", "cron": "61 * * * *"}, "cron", "61", "59"),
        (
            "jobs",
            {"name": "n", "schedule_type": "interval", "interval_seconds": 5},
            "interval_seconds",
            "5",
            "60",
        ),
        (
            "credentials",
            {"name": "c", "username": "u", "password": "p", "priority": 1001},
            "priority",
            "1001",
            "between 1 and 1000",
        ),
        ("users", {"username": "a b"}, "username", "a b", "valid username"),
        (
            "retention-policies",
            {"name": "p", "tags": ["core"], "archive_days": 0},
            "archive_days",
            "0",
            "between 1",
        ),
    ],
)
def test_a_message_names_field_value_and_rule(
    call: Call, path: str, body: dict[str, Any], field: str, value: str, rule: str
) -> None:
    status, answer = call("POST", f"{path}/", body)
    assert status == 400, answer
    [message] = fields_of(answer)[field]
    assert value in message and rule in message
    assert answer["error"]["message"].startswith(f"{field}: ")


def test_a_weak_password_is_named_by_its_field_and_not_shown(call: Call) -> None:
    status, answer = call("POST", "users/", {"username": "x", "password": "Hunter2"})
    assert status == 400 and "Hunter2" not in json.dumps(answer)
    assert "at least 12 characters" in fields_of(answer)["password"][0]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("credentials", {"name": "c", "username": "u", "password": "Zq9-CANARY\x00"}),
        ("credentials", {"name": "c", "username": "u", "password": ["Zq9-CANARY"]}),
        ("git-remotes", {"name": "r", "url": "ftp://u:Zq9-CANARY@h/x"}),
    ],
)
def test_no_message_shows_what_may_be_a_secret(call: Call, path: str, body: dict[str, Any]) -> None:
    status, answer = call("POST", f"{path}/", body)
    assert status == 400 and "CANARY" not in json.dumps(answer), answer


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("devices", DEVICE | {"hostname": "\ud800"}),
        ("tags", {"name": "core", "\udfff": 1}),
        ("devices/import", {"content": "hostname,ip_address,platform\n\ud800,192.0.2.1,ios\n"}),
    ],
)
def test_half_a_surrogate_pair_is_refused(call: Call, path: str, body: dict[str, Any]) -> None:
    status, answer = call("POST", f"{path}/", body)
    assert status == 400 and "surrogate" in answer["error"]["message"], answer


def test_a_long_value_is_cut(call: Call) -> None:
    _, answer = call("POST", "devices/", DEVICE | {"hostname": "h" * 100_000})
    assert len(answer["error"]["message"]) < 300


@pytest.mark.parametrize("kind", [*KINDS, "users", "git-remotes"])
def test_a_name_that_is_taken_answers_409(call: Call, kind: str) -> None:
    body = {
        "users": {"username": "anna"},
        "git-remotes": {"name": "r", "url": "https://git.example.net/r.git"},
    }.get(kind) or KINDS[kind][1]
    assert call("POST", f"{kind}/", body)[0] == 201
    key = "hostname" if kind == "devices" else "username" if kind == "users" else "name"
    for name in (body[key], body[key].upper()):
        if kind == "zones" and name != body[key]:
            continue  # no zone has capital letters
        status, answer = call("POST", f"{kind}/", body | {key: name})
        assert (status, answer["error"]["code"]) == (409, "conflict"), answer
        assert list(fields_of(answer)) == [key]
        assert name in fields_of(answer)[key][0]


def test_a_name_with_nul_names_no_target(call: Call) -> None:
    body = {"name": "r", "events": ["run_failed"], "targets": ["a\x00b"]}
    status, answer = call("POST", "notification-rules/", body)
    assert status == 400 and "targets" in fields_of(answer)


def test_what_is_wrong_goes_before_what_is_taken(call: Call) -> None:
    ZoneFactory.create(name="north")
    status, answer = call("POST", "zones/", {"name": "north", "host_key_mode": "never"})
    assert status == 400 and "host_key_mode" in fields_of(answer)


def test_a_row_may_keep_its_name_and_change_its_case(call: Call) -> None:
    device = DeviceFactory.create(hostname="sw1")
    assert call("PATCH", f"devices/{device.pk}/", {"hostname": "sw1"})[0] == 200
    assert call("PATCH", f"devices/{device.pk}/", {"hostname": "SW1"})[1]["hostname"] == "SW1"
    DeviceFactory.create(hostname="sw2")
    assert call("PATCH", f"devices/{device.pk}/", {"hostname": "Sw2"})[0] == 409


# --- Lost updates -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_done_to_a_row_that_has_moved_on(call: Call, kind: str) -> None:
    make, _, change = KINDS[kind]
    path = f"{kind}/{make().pk}/"
    status, seen = call("GET", path)
    assert status == 200 and seen["ETag"] == f'"{seen["etag"]}"'
    assert call("GET", f"{kind}/?size=500")[1]["results"][-1]["etag"]
    status, moved = call("PATCH", path, change, **{"If-Match": seen["ETag"]})
    assert status == 200 and moved["etag"] != seen["etag"]
    for method in ("PATCH", "PUT", "DELETE"):
        status, answer = call(method, path, change, **{"If-Match": seen["ETag"]})
        assert (status, answer["error"]["code"]) == (412, "precondition_failed")
    assert call("GET", path)[1]["etag"] == moved["etag"]
    weak = f'"other", W/{moved["ETag"]}'
    assert call("PATCH", path, change, **{"If-Match": weak})[0] == 200
    assert call("PATCH", path, change, **{"If-Match": "*"})[0] == 200
    assert call("PATCH", path, change)[0] == 200
    assert call("DELETE", path, **{"If-Match": call("GET", path)[1]["ETag"]})[0] == 204


def test_an_etag_without_its_quotes_counts(call: Call) -> None:
    tag = Tag.objects.create(name="core")
    path = f"tags/{tag.pk}/"
    seen = call("GET", path)[1]["etag"]
    assert call("PATCH", path, {"description": "a"}, **{"If-Match": f"other, {seen}"})[0] == 200
    for stale in (seen, f"{seen}, other", "", ","):
        assert call("PATCH", path, {"description": "b"}, **{"If-Match": stale})[0] == 412, stale
    tag.refresh_from_db()
    assert tag.description == "a"


def test_a_replaced_secret_moves_a_credential_on(call: Call) -> None:
    path = f"credentials/{CredentialFactory.create().pk}/"
    before = call("GET", path)[1]["etag"]
    assert call("PATCH", path, {"password": "Zq9-CANARY-2"})[1]["etag"] != before


def test_what_a_worker_finds_out_leaves_the_etag_as_it_is(call: Call) -> None:
    device = DeviceFactory.create()
    before = call("GET", f"devices/{device.pk}/")[1]["etag"]
    Device.objects.filter(pk=device.pk).update(os_version="17.9", connection_failures=2)
    assert call("GET", f"devices/{device.pk}/")[1]["etag"] == before
    device.tags.set(tags_ensure(names=["core"]))
    assert call("GET", f"devices/{device.pk}/")[1]["etag"] != before


# --- Many at once -------------------------------------------------------------------------------


def _others(kind: str, count: int) -> list[dict[str, Any]]:
    body = KINDS[kind][1]
    key = "hostname" if kind == "devices" else "name"
    return [body | {key: f"{body[key]}-{number}"} for number in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_many_are_made_changed_and_deleted(call: Call, kind: str) -> None:
    model, change = MODELS[kind], KINDS[kind][2]
    before = model._default_manager.count()
    status, made = call("POST", f"{kind}/bulk/", _others(kind, 3))
    assert status == 201, made
    ids = [row["id"] for row in made]
    assert model._default_manager.count() == before + 3
    entries = [{"id": row["id"], "etag": row["etag"]} | change for row in made]
    status, changed = call("PATCH", f"{kind}/bulk/", entries)
    assert status == 200, changed
    assert [row["id"] for row in changed] == ids
    [(field, value)] = change.items()
    assert {row[field] for row in changed} == {value}
    status, answer = call("PATCH", f"{kind}/bulk/", entries)
    assert (status, answer["error"]["code"]) == (412, "precondition_failed")
    assert call("POST", f"{kind}/bulk-delete/", {"ids": ids}) == (200, {"deleted": 3})
    assert model._default_manager.count() == before


def test_all_errors_are_told_and_nothing_is_changed(call: Call) -> None:
    DeviceFactory.create(hostname="sw9")
    entries = [
        DEVICE | {"tags": ["stray"]},
        DEVICE | {"hostname": "sw2", "port": 0},
        DEVICE | {"hostname": "sw9"},
        DEVICE,
        "sw3",
    ]
    status, answer = call("POST", "devices/bulk/", entries)
    assert (status, answer["error"]["code"]) == (400, "invalid")
    assert set(fields_of(answer)) == {"1.port", "2.hostname", "3.hostname", "4"}
    assert answer["error"]["message"].startswith("4 entries are wrong, so nothing was changed. ")
    assert Device.objects.count() == 1 and not Tag.objects.filter(name="stray").exists()


def test_many_duplicates_answer_409(call: Call) -> None:
    call("POST", "devices/bulk/", _others("devices", 2))
    status, answer = call("POST", "devices/bulk/", _others("devices", 3))
    assert (status, answer["error"]["code"]) == (409, "conflict")
    assert set(fields_of(answer)) == {"0.hostname", "1.hostname"}
    assert Device.objects.count() == 2


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "bulk", {}),
        ("POST", "bulk", []),
        ("POST", "bulk", [{}] * 501),
        ("PATCH", "bulk", [{"description": "x"}]),
        ("PATCH", "bulk", [{"id": "x"}]),
        ("PATCH", "bulk", [{"id": 2**64}]),
        ("PATCH", "bulk", [{"id": True}]),
        ("PATCH", "bulk", [7]),
        ("POST", "bulk-delete", {}),
        ("POST", "bulk-delete", {"ids": []}),
        ("POST", "bulk-delete", {"ids": list(range(1, 502))}),
        ("POST", "bulk-delete", [1]),
    ],
)
def test_what_is_no_such_list_is_refused(call: Call, method: str, path: str, body: object) -> None:
    DeviceFactory.create()
    status, answer = call(method, f"devices/{path}/", body)
    assert (status, answer["error"]["code"]) == (400, "invalid"), answer
    assert Device.objects.count() == 1


def test_ids_that_are_not_there_or_stand_twice_are_told(call: Call) -> None:
    device = DeviceFactory.create(description="old")
    entries = [{"id": device.pk, "description": "x"}, {"id": device.pk, "description": "y"}]
    status, answer = call("PATCH", "devices/bulk/", entries)
    assert status == 404 and set(fields_of(answer)) == {"1"}
    status, answer = call("POST", "devices/bulk-delete/", {"ids": [device.pk, 987654321]})
    assert status == 404 and "987654321" in fields_of(answer)["1"][0]
    device.refresh_from_db()
    assert device.description == "old"


def test_deleting_what_is_in_use_deletes_nothing(call: Call) -> None:
    free, kept = DeviceFactory.create(), DeviceFactory.create()
    backup_store(device=kept, outcome=backup_outcome(), label=RunLabel(run_id=1, job_name="j"))
    status, answer = call("POST", "devices/bulk-delete/", {"ids": [free.pk, kept.pk]})
    assert status == 409 and "stored configurations" in fields_of(answer)["1"][0]
    assert Device.objects.count() == 2


@pytest.mark.parametrize("kind", KINDS)
def test_making_again_with_upsert_changes_and_makes_no_second(call: Call, kind: str) -> None:
    model, (_, body, change) = MODELS[kind], KINDS[kind]
    status, made = call("POST", f"{kind}/?upsert=true", body)
    assert status == 201, made
    status, again = call("POST", f"{kind}/?upsert=true", body | change)
    assert (status, again["id"]) == (200, made["id"])
    [(field, value)] = change.items()
    assert again[field] == value
    entries = [*_others(kind, 1), body]
    count = model._default_manager.count()
    status, rows = call("POST", f"{kind}/bulk/?upsert=true", entries)
    assert (status, rows[1]["id"], rows[1][field]) == (201, made["id"], value)
    assert call("POST", f"{kind}/bulk/?upsert=true", entries)[0] == 200
    assert model._default_manager.count() == count + 1


@pytest.mark.parametrize("namer", [NotificationRule, RetentionPolicy])
def test_no_door_deletes_a_tag_without_which_a_rule_or_policy_means_something_else(
    call: Call, namer: type[NotificationRule | RetentionPolicy]
) -> None:
    fields = {"events": ["run_failed"]} if namer is NotificationRule else {}
    row = namer._default_manager.create(name="core only", **fields)
    kept, free = Tag.objects.create(name="core"), Tag.objects.create(name="free")
    row.tags.add(kept)
    for method, path, body in [
        ("DELETE", f"tags/{kept.pk}/", None),
        ("POST", "tags/bulk-delete/", {"ids": [free.pk, kept.pk]}),
    ]:
        status, answer = call(method, path, body)
        assert status == 409 and "names this tag" in answer["error"]["message"], answer
    page = Client()
    page.force_login(UserFactory.create(is_superuser=True, is_staff=True))
    ticked = {"action": "delete_selected", "_selected_action": [free.pk, kept.pk], "post": "yes"}
    for path, form in [(f"{kept.pk}/delete/", {"post": "yes"}), ("", ticked)]:
        shown = page.post(f"/admin/credentials/tag/{path}", form)
        assert "names this tag" in shown.content.decode(), path
    with pytest.raises(ProtectedError):
        Tag.objects.all().delete()
    assert [tag.name for tag in row.tags.all()] == ["core"]
    assert call("DELETE", f"tags/{free.pk}/")[0] == 204
    row.delete()
    assert call("DELETE", f"tags/{kept.pk}/")[0] == 204


def test_an_upsert_names_a_row_in_any_case(call: Call) -> None:
    device = DeviceFactory.create(hostname="SW1", description="kept")
    status, row = call("POST", "devices/?upsert=true", DEVICE)
    assert (status, row["id"], row["description"]) == (200, device.pk, "kept")


def test_each_right_is_asked_for() -> None:
    device = DeviceFactory.create(hostname="sw1")
    may_add = caller(user_with("inventory.add_device", "inventory.view_device"))
    may_change = caller(user_with("inventory.change_device", "inventory.view_device"))
    assert may_add("POST", "devices/bulk/", _others("devices", 1))[0] == 201
    for path in ("devices/", "devices/bulk/"):
        body: Any = DEVICE if path == "devices/" else [DEVICE]
        assert may_add("POST", f"{path}?upsert=true", body)[0] == 403
        assert may_change("POST", f"{path}?upsert=true", body)[0] == 403
    entries = [{"id": device.pk, "description": "x"}]
    assert may_add("PATCH", "devices/bulk/", entries)[0] == 403
    assert may_change("PATCH", "devices/bulk/", entries)[0] == 200
    for ask in (may_add, may_change):
        assert ask("POST", "devices/bulk-delete/", {"ids": [device.pk]})[0] == 403


def test_a_limited_user_reaches_no_device_of_others() -> None:
    mine = DeviceFactory.create(hostname="mine", tags=["berlin"])
    other = DeviceFactory.create(hostname="other", tags=["paris"])
    operator = user_in(Role.OPERATOR)
    TagLimit.objects.create(user=operator).tags.set(tags_ensure(names=["berlin"]))
    ask = caller(operator)
    entries = [{"id": mine.pk, "description": "x"}, {"id": other.pk, "description": "x"}]
    status, answer = ask("PATCH", "devices/bulk/", entries)
    assert status == 404 and set(fields_of(answer)) == {"1"}
    assert ask("POST", "devices/bulk-delete/", {"ids": [other.pk]})[0] == 404
    body = DEVICE | {"hostname": "other", "tags": ["berlin"]}
    assert ask("POST", "devices/bulk/?upsert=true", [body])[0] == 409
    assert ask("POST", "devices/bulk/", [DEVICE | {"tags": ["paris"]}])[0] == 400
    assert ask("POST", "tags/bulk/", [{"name": "x"}])[0] == 403
    other.refresh_from_db()
    assert other.description == ""


def test_many_leave_the_traces_that_single_ones_leave(call: Call) -> None:
    body = DEVICE | {"tags": ["core"]}
    call("POST", "devices/", body)
    single = list(
        LogEntry.objects.filter(content_type__model="device").values_list("action", "changes")
    )
    call("POST", "devices/bulk/", [body | {"hostname": "sw2"}])
    both = LogEntry.objects.filter(content_type__model="device")
    many = list(both.exclude(object_repr="sw1").values_list("action", "changes"))
    assert len(single) == len(many) == 2
    assert [sorted(changes) for _, changes in single] == [sorted(changes) for _, changes in many]
    assert all(entry.additional_data["by"].startswith("user") for entry in both)


def test_many_devices_take_few_queries_each(call: Call, django_assert_max_num_queries: Any) -> None:
    ZoneFactory.create(name="north")
    more = {"tags": ["core", "site"], "zone": "north"}
    entries = [entry | more for entry in _others("devices", 20)]
    call("POST", "devices/bulk/", entries[:1])
    # The last ones are the seals of the audit log, some for each batch of entries.
    with django_assert_max_num_queries(19 * 22 + 30):
        assert call("POST", "devices/bulk/", entries[1:])[0] == 201
