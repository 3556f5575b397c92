"""Secrets at rest, and which credential opens which device."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pydantic import SecretStr

from credentials.cipher import generate_key
from credentials.models import Credential, Tag
from credentials.services import (
    SECRET_FIELDS,
    CredentialError,
    credential_create,
    credential_open,
    credential_set_secrets,
    installation_cipher,
    tags_ensure,
)
from inventory.models import CredentialUse, Device, Zone
from inventory.resolution import credential_candidates
from tests.factories import CredentialFactory, DeviceFactory

pytestmark = pytest.mark.django_db

SECRETS: dict[str, Any] = {
    "password": "Zq9-CANARY-password ü",
    "enable_secret": "Zq9-CANARY-enable",
    "ssh_key": "-----BEGIN PRIVATE KEY-----\nZq9-CANARY-key\n-----END PRIVATE KEY-----\n",
    "ssh_key_passphrase": "Zq9-CANARY-phrase",
}


def test_secrets_come_back_as_they_went_in() -> None:
    credential = credential_create(name="lab", username="netops", **SECRETS)
    opened = credential_open(credential=Credential.objects.get(pk=credential.pk))
    assert opened.name == "lab" and opened.username == "netops"
    for field, value in SECRETS.items():
        assert getattr(opened, field) == value
    assert set(opened.secrets()) == set(SECRETS.values())


def test_the_database_holds_no_secret() -> None:
    credential_create(name="lab", username="netops", **SECRETS)
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(c)::text FROM credentials_credential c")
        [(row,)] = cursor.fetchall()
    for secret in SECRETS.values():
        assert secret not in row
        assert secret.encode().hex() not in row


def test_nothing_shows_a_secret() -> None:
    credential = credential_create(name="lab", username="netops", **SECRETS)
    shown = f"{credential!r} {credential} {credential_open(credential=credential)!r}"
    assert "CANARY" not in shown


@pytest.mark.parametrize("field", SECRET_FIELDS)
def test_a_value_that_was_moved_cannot_be_opened(field: str) -> None:
    credential = credential_create(name="lab", username="netops", **SECRETS)
    other = credential_create(name="other", username="netops", **SECRETS)
    column = SECRET_FIELDS[field]
    stolen = getattr(other, column)
    Credential.objects.filter(pk=credential.pk).update(**{column: stolen})
    with pytest.raises(CredentialError, match="damaged or was moved") as caught:
        credential_open(credential=Credential.objects.get(pk=credential.pk))
    assert "'lab'" in str(caught.value) and "CANARY" not in str(caught.value)


def test_a_value_of_another_column_cannot_be_opened() -> None:
    credential = credential_create(name="lab", username="netops", **SECRETS)
    Credential.objects.update(sealed_enable_secret=credential.sealed_password)
    with pytest.raises(CredentialError, match="damaged or was moved"):
        credential_open(credential=Credential.objects.get())


def test_a_missing_key_is_named(configure: Callable[..., None]) -> None:
    credential = credential_create(name="lab", username="netops", **SECRETS)
    installation_cipher.cache_clear()
    configure(encryption_keys=SecretStr(generate_key("other")))
    try:
        with pytest.raises(CredentialError, match="'test' is not configured") as caught:
            credential_open(credential=credential)
    finally:
        installation_cipher.cache_clear()
    assert "'lab'" in str(caught.value)
    assert "NETRAVEN_ENCRYPTION_KEYS" in str(caught.value)


def test_secrets_are_kept_replaced_and_removed() -> None:
    credential = credential_create(name="lab", username="netops", **SECRETS)
    credential_set_secrets(credential=credential, password="new", enable_secret=None, ssh_key="")
    credential.save()
    opened = credential_open(credential=Credential.objects.get())
    assert opened.password == "new"
    assert opened.enable_secret == SECRETS["enable_secret"]
    assert opened.ssh_key is None


@pytest.mark.parametrize(
    "secrets",
    [
        {},
        {"password": ""},
        {"enable_secret": "only"},
        {"password": "two\nlines"},
        {"password": "nul\x00"},
        {"password": "p", "enable_secret": "cr\r"},
        {"password": "x" * 70_000},
    ],
)
def test_secrets_that_no_device_could_be_sent(secrets: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        credential_create(name="lab", username="netops", **secrets)
    assert not any(value in str(caught.value) for value in secrets.values() if value)
    assert Credential.objects.count() == 0


def test_tags_are_made_once_whatever_their_case() -> None:
    first = tags_ensure(names=["Core", " core ", "", "CORE", "Straße", "İx", "ΑΣ"])
    assert [tag.name for tag in first] == ["Core", "Straße", "İx", "ΑΣ"]
    assert tags_ensure(names=["core", "straße", "İx", "ΑΣ"]) == first
    assert Tag.objects.count() == 4


def names(device_id: int) -> list[str]:
    found = credential_candidates(device_ids=[device_id])[device_id]
    return [candidate.credential.name for candidate in found]


def test_candidates_go_by_device_then_priority_then_name() -> None:
    own = CredentialFactory.create(name="own", priority=1000)
    CredentialFactory.create(name="b", tags=["core"], priority=10)
    CredentialFactory.create(name="a", tags=["core", "site"], priority=10)
    CredentialFactory.create(name="first", tags=["site"], priority=1)
    CredentialFactory.create(name="elsewhere", tags=["other"], priority=1)
    CredentialFactory.create(name="untagged")
    device = DeviceFactory.create(tags=["core", "site"], credential=own)
    assert names(device.pk) == ["own", "first", "a", "b"]
    found = credential_candidates(device_ids=[device.pk])[device.pk]
    assert [(candidate.rule, candidate.tags) for candidate in found] == [
        ("device", ()),
        ("tag", ("site",)),
        ("tag", ("core", "site")),
        ("tag", ("core",)),
    ]


def test_the_default_of_the_zone_comes_last() -> None:
    spare = CredentialFactory.create(name="spare", priority=1)
    zone = Zone.objects.create(name="north", default_credential=spare)
    CredentialFactory.create(name="tagged", tags=["core"], priority=1000)
    device = DeviceFactory.create(tags=["core"], zone=zone)
    elsewhere = DeviceFactory.create(tags=["core"])
    assert names(device.pk) == ["tagged", "spare"]
    last = credential_candidates(device_ids=[device.pk])[device.pk][-1]
    assert (last.rule, last.tags, last.zone) == ("zone", (), "north")
    assert names(elsewhere.pk) == ["tagged"]
    # One that fits by two rules stands where the first of them puts it.
    spare.tags.set(tags_ensure(names=["core"]))
    assert names(device.pk) == ["spare", "tagged"]
    Credential.objects.filter(pk=spare.pk).update(is_active=False)
    assert names(device.pk) == ["tagged"]


def remember(device: Device, name: str, *, success: int | None, failure: int | None = None) -> None:
    """So many minutes ago the device took the credential, and refused it."""
    now = timezone.now()
    CredentialUse.objects.create(
        device=device,
        credential=Credential.objects.get(name=name),
        last_success_at=None if success is None else now - timedelta(minutes=success),
        last_failure_at=None if failure is None else now - timedelta(minutes=failure),
    )


def old_credentials() -> None:
    """Nobody has changed a credential since the sessions that ``remember`` tells of."""
    Credential.objects.update(updated_at=timezone.now() - timedelta(days=1))


def test_what_last_worked_on_the_device_is_tried_first() -> None:
    for priority, name in enumerate(["a", "b", "c", "d"], start=1):
        CredentialFactory.create(name=name, tags=["core"], priority=priority)
    device = DeviceFactory.create(tags=["core"])
    other = DeviceFactory.create(tags=["core"])
    remember(device, "b", success=30)
    remember(device, "c", success=20)
    remember(device, "d", success=10, failure=5)
    assert names(device.pk) == ["c", "a", "b", "d"]
    found = credential_candidates(device_ids=[device.pk])[device.pk]
    assert [one.is_remembered for one in found] == [True, False, False, False]
    assert names(other.pk) == ["a", "b", "c", "d"]


def test_an_own_credential_goes_before_what_worked_until_the_device_refuses_it() -> None:
    own = CredentialFactory.create(name="own")
    CredentialFactory.create(name="first", tags=["core"], priority=1)
    CredentialFactory.create(name="worked", tags=["core"], priority=2)
    device = DeviceFactory.create(tags=["core"], credential=own)
    old_credentials()
    remember(device, "worked", success=30)
    assert names(device.pk) == ["own", "worked", "first"]
    remember(device, "own", success=40, failure=20)
    assert names(device.pk) == ["worked", "own", "first"]
    own.save()  # as one does who sets another password
    assert names(device.pk) == ["own", "worked", "first"]


def test_inactive_credentials_fit_nothing() -> None:
    own = CredentialFactory.create(name="own", tags=["core"])
    CredentialFactory.create(name="tagged", tags=["core"])
    device = DeviceFactory.create(tags=["core"], credential=own)
    Credential.objects.filter(name="own").update(is_active=False)
    assert names(device.pk) == ["tagged"]
    Credential.objects.update(is_active=False)
    assert names(device.pk) == []


def test_candidates_cost_five_queries_for_any_number() -> None:
    for number in range(20):
        CredentialFactory.create(tags=[f"t{number}"])
    ids = [DeviceFactory.create(tags=[f"t{number}"]).pk for number in range(20)]
    with CaptureQueriesContext(connection) as captured:
        found = credential_candidates(device_ids=ids)
    assert len(captured) == 5
    assert [len(candidates) for candidates in found.values()] == [1] * 20
    assert credential_candidates(device_ids=[]) == {}
