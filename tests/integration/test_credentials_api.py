"""Credentials and zones over the API: everything can be done, and no secret comes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from credentials.models import Credential, Tag
from credentials.services import credential_open
from inventory.models import Zone
from tests.factories import CredentialFactory, DeviceFactory, TagFactory, UserFactory, user_with

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

KEY = "-----BEGIN PRIVATE KEY-----\nZq9-CANARY-key\n-----END PRIVATE KEY-----\n"
SECRETS = {
    "password": " Zq9-CANARY-password ",
    "enable_secret": "Zq9-CANARY-enable",
    "ssh_key": KEY,
    "ssh_key_passphrase": "Zq9-CANARY-phrase",
}
LAB = {"name": "lab", "username": "netops", **SECRETS}

Call = Callable[..., tuple[int, Any]]


def caller(client: Client) -> Call:
    def call(method: str, path: str, body: object = None) -> tuple[int, Any]:
        content = "" if body is None else json.dumps(body)
        answer = client.generic(method, f"/api/v1/{path}", content, content_type="application/json")
        assert "CANARY" not in answer.content.decode()
        return answer.status_code, json.loads(answer.content) if answer.content else None

    return call


@pytest.fixture
def call(client: Client) -> Call:
    client.force_login(UserFactory.create(is_superuser=True))
    return caller(client)


def stored(pk: int) -> dict[str, str | None]:
    opened = credential_open(credential=Credential.objects.get(pk=pk))
    return {field: getattr(opened, field) for field in SECRETS}


# --- Credentials --------------------------------------------------------------------------------


def test_a_credential_is_made_read_changed_and_deleted(call: Call) -> None:
    core = TagFactory.create(name="core")
    status, made = call("POST", "credentials/", LAB | {"tags": [core.pk, "site-b"], "priority": 5})
    assert status == 201
    assert made["tags"] == ["core", "site-b"]
    assert [made[f"has_{what}"] for what in ("password", "enable_secret", "ssh_key")] == [True] * 3
    assert set(SECRETS).isdisjoint(made)
    assert stored(made["id"]) == SECRETS
    path = f"credentials/{made['id']}/"
    assert call("GET", path) == (200, made)
    status, changed = call("PATCH", path, {"priority": 7, "tags": []})
    assert (status, changed["priority"], changed["tags"]) == (200, 7, [])
    assert stored(made["id"]) == SECRETS
    assert call("DELETE", path)[0] == 204
    assert call("GET", path)[0] == 404


def test_secrets_are_kept_replaced_and_removed(call: Call) -> None:
    pk = call("POST", "credentials/", LAB)[1]["id"]
    change = {"password": "new", "enable_secret": "", "ssh_key": None}
    status, changed = call("PATCH", f"credentials/{pk}/", change)
    assert status == 200 and not changed["has_enable_secret"]
    assert stored(pk) == SECRETS | {"password": "new", "enable_secret": None}
    status, answer = call("PATCH", f"credentials/{pk}/", {"password": "", "ssh_key": ""})
    assert status == 400
    message = "A credential needs a password or an SSH key."
    assert answer["error"]["fields"] == {"password": [message]}
    assert stored(pk)["password"] == "new"


def test_a_provider_goes_by_reference_and_takes_no_secret(call: Call) -> None:
    vault = {"name": "lab", "username": "netops", "provider": "vault", "reference": "network/lab"}
    status, answer = call("POST", "credentials/", vault | {"password": "Zq9-CANARY"})
    assert status == 400 and list(answer["error"]["fields"]) == ["provider"]
    status, answer = call("POST", "credentials/", vault | {"reference": "a/../b"})
    assert status == 400 and "'a/../b' is no reference" in answer["error"]["message"]
    status, made = call("POST", "credentials/", vault)
    assert status == 201
    assert (made["provider"], made["reference"], made["has_password"]) == (
        "vault",
        "network/lab",
        False,
    )
    assert call("GET", "credentials/?provider=vault")[1]["count"] == 1
    assert call("GET", "credentials/?provider=stored")[1]["count"] == 0


def test_lists_are_filtered_searched_and_hold_no_secret(call: Call) -> None:
    for name, tag in [("a", "core"), ("b", "core"), ("c", "edge")]:
        CredentialFactory.create(name=name, tags=[tag], username=f"user-{name}")

    def names(query: str) -> list[str]:
        return [one["name"] for one in call("GET", f"credentials/?{query}")[1]["results"]]

    assert names("tags__name=core&ordering=-name") == ["b", "a"]
    assert names("search=user-c") == ["c"]
    assert names("username=user-a") == ["a"]


def test_the_list_asks_the_same_few_queries(call: Call) -> None:
    for number in range(20):
        CredentialFactory.create(tags=["core", f"t{number}"])
    call("GET", "credentials/")
    with CaptureQueriesContext(connection) as captured:
        assert len(call("GET", "credentials/")[1]["results"]) == 20
    assert len(captured) <= 5


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"name": "a;b"}, "name", "'a;b': A name has no semicolon"),
        ({"name": "x" * 101}, "name", "no more than 100 characters"),
        ({"username": ""}, "username", "blank"),
        ({"username": "a\nb"}, "username", "no line break"),
        ({"priority": 0}, "priority", "0 is not between 1 and 1000"),
        ({"priority": 10**30}, "priority", "is not between 1 and 1000"),
        ({"priority": "first"}, "priority", "valid integer"),
        ({"max_sessions": 0}, "max_sessions", "0 is not between 1 and"),
        ({"tags": ["a;b"]}, "tags", "no semicolon"),
        ({"tags": [987654]}, "tags", "no tag with the id 987654"),
        ({"tags": [10**30]}, "tags", "no tag with the id 1000"),
        ({"tags": [True]}, "tags", "valid string"),
        ({"tags": "core"}, "tags", "list"),
        ({"password": "Zq9-CANARY\n2"}, "password", "no line break"),
        ({"ssh_key": "Zq9-CANARY no key"}, "ssh_key", "no private key"),
        ({"password": ["Zq9-CANARY"]}, "password", "valid string"),
        ({"ssh_key": None}, "ssh_key_passphrase", "no SSH key that it could open"),
    ],
)
def test_what_is_wrong_is_named(
    call: Call, change: dict[str, object], field: str, words: str
) -> None:
    status, answer = call("POST", "credentials/", LAB | change)
    assert status == 400
    assert list(answer["error"]["fields"]) == [field]
    assert words in answer["error"]["fields"][field][0]
    assert not Credential.objects.exists() and not Tag.objects.exists()


def test_a_name_that_is_taken_is_a_conflict(call: Call) -> None:
    pk = CredentialFactory.create(name="lab").pk
    status, answer = call("POST", "credentials/", LAB | {"name": "LAB"})
    assert status == 409
    assert answer["error"]["message"] == (
        "name: 'LAB': There is already a credential with this name."
    )
    assert call("PATCH", f"credentials/{pk}/", {"name": "Lab"})[0] == 200


def test_a_credential_in_use_is_not_deleted(call: Call) -> None:
    login = CredentialFactory.create()
    DeviceFactory.create(credential=login)
    assert call("DELETE", f"credentials/{login.pk}/")[0] == 409


def test_credentials_need_their_own_rights() -> None:
    login = CredentialFactory.create()
    client = Client()
    client.force_login(user_with("inventory.view_device", "inventory.view_zone"))
    call = caller(client)
    for method, path in [("GET", ""), ("GET", f"{login.pk}/"), ("PATCH", f"{login.pk}/")]:
        assert call(method, f"credentials/{path}", {} if method == "PATCH" else None)[0] == 403
    client.force_login(user_with("credentials.view_credential"))
    assert call("GET", f"credentials/{login.pk}/")[0] == 200
    assert call("POST", "credentials/", LAB)[0] == 403
    assert Client().get("/api/v1/credentials/").status_code == 401


# --- Zones --------------------------------------------------------------------------------------


def test_a_zone_is_made_read_changed_and_deleted(call: Call) -> None:
    CredentialFactory.create(name="spare")
    body = {"name": "north", "max_sessions": 20, "default_credential": "spare"}
    status, made = call("POST", "zones/", body)
    assert status == 201
    assert made.pop("etag")
    assert made == {
        "id": made["id"],
        "name": "north",
        "description": "",
        "host_key_mode": "tofu",
        "max_sessions": 20,
        "default_credential": "spare",
    }
    path = f"zones/{made['id']}/"
    status, changed = call("PATCH", path, {"max_sessions": None, "default_credential": None})
    assert (status, changed["max_sessions"], changed["default_credential"]) == (200, None, None)
    assert call("GET", "zones/?name=north")[1]["count"] == 1
    DeviceFactory.create(zone=Zone.objects.get())
    assert call("DELETE", path)[0] == 409
    Zone.objects.get().devices.all().delete()
    assert call("DELETE", path)[0] == 204


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"name": "North Pole"}, "name", "'North Pole': A zone name has 1 to 32"),
        ({"name": "n" * 33}, "name", "32"),
        ({"max_sessions": -1}, "max_sessions", "-1 is not between 1 and"),
        ({"host_key_mode": "never"}, "host_key_mode", '"never" is not a valid choice'),
        ({"default_credential": "none"}, "default_credential", "name=none"),
    ],
)
def test_what_is_wrong_with_a_zone_is_named(
    call: Call, change: dict[str, object], field: str, words: str
) -> None:
    status, answer = call("POST", "zones/", {"name": "north"} | change)
    assert status == 400
    assert list(answer["error"]["fields"]) == [field]
    assert words in answer["error"]["fields"][field][0]


def test_a_zone_that_is_there_is_a_conflict(call: Call) -> None:
    Zone.objects.create(name="north")
    status, answer = call("POST", "zones/", {"name": "north"})
    assert status == 409 and "already a zone" in answer["error"]["message"]


def test_devices_take_tags_by_id_too(call: Call) -> None:
    core = TagFactory.create(name="core")
    device = DeviceFactory.create()
    status, answer = call("PATCH", f"devices/{device.pk}/", {"tags": [core.pk, "edge"]})
    assert (status, answer["tags"]) == (200, ["core", "edge"])
