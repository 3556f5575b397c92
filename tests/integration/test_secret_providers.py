"""Secrets from the environment, from files and from Vault: fetched, kept nowhere, never replaced.

Vault itself cannot be had here; ``tests.support.vault`` says what stands in for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection
from pydantic import SecretStr

from backups.engine.errors import DeviceError, ErrorCategory
from backups.targets import opened_credential
from credentials import providers
from credentials.models import Credential
from credentials.providers import cache as cache_module
from credentials.providers.cache import SecretCache
from credentials.providers.errors import SecretUnavailable
from credentials.services import (
    ProviderError,
    credential_create,
    credential_open,
    credential_save,
    tags_ensure,
)
from jobs.choices import Trigger
from jobs.launch import request_run
from netraven_site.config import Config, ConfigurationError
from tests.support.devices import device_spec, fleet_in_thread
from tests.support.inventory import TAG, add_credential, add_device, add_job
from tests.support.threads import all_at_once
from tests.support.vault import FakeVault, running_vault
from tests.support.waiting import wait_for_end

pytestmark = pytest.mark.django_db

CANARY = "Zq9-CANARY"
SECRETS = {"password": f"{CANARY}-password", "enable_secret": f"{CANARY}-enable"}
TOKEN = f"hvs.{CANARY}-root"


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is remembered of other tests, nor of this one."""
    monkeypatch.setattr(providers, "_cache", SecretCache())
    providers._the_vault.cache_clear()
    yield
    providers._the_vault.cache_clear()


@pytest.fixture
def vault(fresh: None, configure: Callable[..., None]) -> Iterator[FakeVault]:
    """A Vault with one secret, which NetRaven reads with a token."""
    with running_vault() as running:
        running.tokens.add(TOKEN)
        running.secrets["secret/network/lab"] = dict(SECRETS)
        configure(vault_address=running.address, vault_token=SecretStr(TOKEN))
        yield running


def with_provider(provider: str, reference: str, **fields: Any) -> Credential:
    return credential_create(
        name="lab", username="netops", provider=provider, reference=reference, **fields
    )


def failure(credential: Credential) -> str:
    """Why the secrets are not to be had; the same comes out as an error of the session."""
    with pytest.raises(ProviderError) as caught:
        credential_open(credential=credential)
    assert caught.value.__cause__ is None
    with pytest.raises(DeviceError) as shown:
        opened_credential(credential)
    assert shown.value.category is ErrorCategory.SECRET_UNAVAILABLE
    message = str(caught.value)
    assert message == shown.value.message and message.startswith("credential 'lab': ")
    assert CANARY not in message and "\n" not in message
    return message


# --- In the database ----------------------------------------------------------------------------


def test_the_database_holds_the_reference_only(vault: FakeVault) -> None:
    credential = with_provider("vault", "network/lab")
    assert credential_open(credential=credential).password == SECRETS["password"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(c)::text FROM credentials_credential c")
        [(row,)] = cursor.fetchall()
    assert "network/lab" in row
    for secret in (*SECRETS.values(), TOKEN):
        assert secret not in row and secret.encode().hex() not in row


def test_a_change_to_a_provider_deletes_what_was_stored() -> None:
    credential = credential_create(name="lab", username="netops", password="stored")
    credential.provider, credential.reference = "vault", "network/lab"
    credential_save(credential=credential, secrets={})
    credential.refresh_from_db()
    assert not credential.has_password
    credential.provider, credential.reference = "stored", ""
    with pytest.raises(ValidationError, match="needs a password"):
        credential_save(credential=credential, secrets={})


def test_secrets_in_two_places_are_refused_by_the_database_as_well() -> None:
    with pytest.raises(ValidationError, match="either stored or come from a provider"):
        with_provider("vault", "network/lab", password="stored")
    credential_create(name="lab", username="netops", password="stored")
    with pytest.raises(IntegrityError, match="credential_secrets_in_one_place"):
        Credential.objects.update(provider="vault", reference="network/lab")


@pytest.mark.parametrize(
    ("provider", "reference"),
    [
        ("vault", ""),
        ("vault", "/network/lab"),
        ("vault", "network/../other"),
        ("vault", "network//lab"),
        ("vault", "lab?version=1"),
        ("file", "../keys"),
        ("file", ".."),
        ("file", "/etc"),
        ("environment", "lab"),
        ("environment", "LAB_"),
        ("stored", "network/lab"),
    ],
)
def test_references_that_are_none(provider: str, reference: str) -> None:
    with pytest.raises(ValidationError, match="reference"):
        with_provider(provider, reference, password="x" if provider == "stored" else None)


# --- The environment and files ------------------------------------------------------------------


def test_secrets_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE_SECRET_SITE_B_PASSWORD", SECRETS["password"])
    monkeypatch.setenv("DEVICE_SECRET_SITE_B_ENABLE_SECRET", SECRETS["enable_secret"])
    credential = with_provider("environment", "SITE_B")
    opened = credential_open(credential=credential)
    assert (opened.password, opened.enable_secret, opened.ssh_key) == (*SECRETS.values(), None)
    monkeypatch.delenv("DEVICE_SECRET_SITE_B_PASSWORD")
    assert "neither a password nor an ssh_key" in failure(credential)
    monkeypatch.delenv("DEVICE_SECRET_SITE_B_ENABLE_SECRET")
    assert "has no variable DEVICE_SECRET_SITE_B_…" in failure(credential)


def test_secrets_from_files(configure: Callable[..., None], tmp_path: Path) -> None:
    home = tmp_path / "secrets"
    (home / "lab").mkdir(parents=True)
    credential = with_provider("file", "lab")
    assert "set secret_directory" in failure(credential)
    configure(secret_directory=home)
    assert "there is no secret in 'lab'" in failure(credential)
    (home / "lab" / "password").write_text(SECRETS["password"] + "\n")
    assert credential_open(credential=credential).password == SECRETS["password"]
    (home / "lab" / "password").write_text("two\nlines\n")
    assert "no line break" in failure(credential)
    (home / "lab" / "password").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in failure(credential)
    (home / "lab" / "password").write_text("x" * 70_000)
    assert "too large" in failure(credential)


def test_links_stay_inside_the_directory_of_secrets(
    configure: Callable[..., None], tmp_path: Path
) -> None:
    home = tmp_path / "secrets"
    (home / "..data").mkdir(parents=True)
    (home / "..data" / "password").write_text(SECRETS["password"])
    (home / "lab").mkdir()
    (home / "lab" / "password").symlink_to(home / "..data" / "password")
    configure(secret_directory=home)
    credential = with_provider("file", "lab")
    assert credential_open(credential=credential).password == SECRETS["password"]
    (tmp_path / "elsewhere").write_text(f"{CANARY}-other")
    (home / "lab" / "password").unlink()
    (home / "lab" / "password").symlink_to(tmp_path / "elsewhere")
    assert "leads out of the secret_directory" in failure(credential)


# --- Vault --------------------------------------------------------------------------------------


def test_secrets_from_vault_with_a_token(vault: FakeVault) -> None:
    opened = credential_open(credential=with_provider("vault", "network/lab"))
    assert opened.password == SECRETS["password"]
    assert opened.enable_secret == SECRETS["enable_secret"]
    assert vault.requests == ["GET /v1/secret/data/network/lab"]


def test_secrets_from_vault_with_an_approle(
    vault: FakeVault, configure: Callable[..., None]
) -> None:
    vault.roles["netraven"] = "sid"
    configure(
        vault_token=None,
        vault_role_id="netraven",
        vault_secret_id=SecretStr("sid"),
        vault_cache_seconds=0,
    )
    credential = with_provider("vault", "network/lab")
    for _ in range(3):
        assert credential_open(credential=credential).password == SECRETS["password"]
    assert vault.log_ins == 1
    vault.tokens.clear()  # revoked
    assert credential_open(credential=credential).password == SECRETS["password"]
    assert vault.log_ins == 2


def test_a_token_that_ends_is_not_used_any_more(
    vault: FakeVault, configure: Callable[..., None]
) -> None:
    vault.roles["netraven"], vault.lease_seconds = "sid", 1
    configure(
        vault_token=None,
        vault_role_id="netraven",
        vault_secret_id=SecretStr("sid"),
        vault_cache_seconds=0,
    )
    credential = with_provider("vault", "network/lab")
    for _ in range(2):
        credential_open(credential=credential)
    assert vault.log_ins == 2


def test_what_vault_gave_is_kept_for_a_moment(
    vault: FakeVault, configure: Callable[..., None]
) -> None:
    credential = with_provider("vault", "network/lab")
    all_at_once(4, lambda: credential_open(credential=credential))
    assert vault.reads() == 1
    configure(vault_cache_seconds=0)
    vault.secrets["secret/network/other"] = {"password": "x"}
    credential.reference = "network/other"
    for _ in range(2):
        credential_open(credential=credential)
    assert vault.reads() == 3


def test_who_keeps_nothing_asks_for_each_session_at_the_same_time() -> None:
    cache, meeting = SecretCache(), threading.Barrier(4, timeout=5)

    def ask() -> dict[str, str]:
        meeting.wait()
        return dict(SECRETS)

    for _ in range(2):
        all_at_once(4, lambda: cache.get("network/lab", 0, ask))


@pytest.mark.parametrize("seconds", [0, 30])
def test_a_vault_that_fails_is_left_alone_for_a_moment(seconds: float) -> None:
    cache, asked = SecretCache(), list[float]()

    def ask() -> dict[str, str]:
        asked.append(seconds)
        raise SecretUnavailable("Vault does not answer")

    for _ in range(3):
        with pytest.raises(SecretUnavailable, match="does not answer"):
            cache.get("network/lab", seconds, ask)
    assert len(asked) == 1


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch, configure: Callable[..., None]) -> None:
    """Neither what Vault gave nor a failure is kept."""
    configure(vault_cache_seconds=0)
    monkeypatch.setattr(cache_module, "_FAILURE_SECONDS", 0)


@pytest.mark.usefixtures("forgetful")
def test_what_fails_at_vault_is_said(vault: FakeVault, configure: Callable[..., None]) -> None:
    credential = with_provider("vault", "network/lab")
    vault.is_sealed = True
    assert "Vault is sealed" in failure(credential)
    vault.is_sealed = False
    for answer in [(200, b"[]"), (200, b"{}"), (200, b"no json"), (500, b"{}"), (302, b"")]:
        vault.nonsense = answer
        assert "Vault gave no usable answer for 'network/lab'" in failure(credential)
    vault.nonsense = None
    for content, words in [
        ({}, "has none of the keys password"),
        ({"password": 7}, "'password' of the secret at 'network/lab' in Vault is no text"),
        ({"enable_secret": f"{CANARY}-1"}, "neither a password nor an ssh_key"),
        ({"password": f"{CANARY}\n1"}, "no line break"),
        (None, "Vault has no secret at 'network/lab' in 'secret'"),
    ]:
        vault.secrets["secret/network/lab"] = content
        assert words in failure(credential)
    vault.secrets.clear()
    assert "Vault has no secret at 'network/lab' in 'secret'" in failure(credential)
    vault.tokens.clear()
    assert "Vault refuses NetRaven the secret" in failure(credential)


@pytest.mark.usefixtures("forgetful")
def test_a_vault_that_is_not_there_is_said(fresh: None, configure: Callable[..., None]) -> None:
    credential = with_provider("vault", "network/lab")
    assert "set vault_address" in failure(credential)
    with running_vault() as gone:
        address = gone.address
    configure(vault_address=address, vault_timeout_seconds=1)
    assert "nothing to log in to Vault with" in failure(credential)
    providers._the_vault.cache_clear()
    configure(vault_token=SecretStr(TOKEN))
    assert f"Vault does not answer at {address}" in failure(credential)


def test_a_wrong_approle_is_said(vault: FakeVault, configure: Callable[..., None]) -> None:
    configure(vault_token=None, vault_role_id="x", vault_secret_id=SecretStr(f"{CANARY}-sid"))
    assert "does not accept the AppRole" in failure(with_provider("vault", "network/lab"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"vault_address": "http://vault.example.com:8200"}, "https://"),
        ({"vault_address": "https://user:pw@vault"}, "address such as"),
        ({"vault_address": "vault"}, "https://"),
        ({"vault_role_id": "r"}, "VAULT_SECRET_ID"),
        ({"vault_role_id": "r", "vault_secret_id": "s", "vault_token": "t"}, "VAULT_TOKEN"),
        ({"vault_mount": "../sys"}, "pattern"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, ConfigurationError), match=words):
        Config(**settings)


# --- In a run -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("worker")
def test_a_run_fetches_its_secrets_and_never_takes_another(
    vault: FakeVault, configure: Callable[..., None]
) -> None:
    configure(retry_attempts=1, vault_cache_seconds=0)
    spec = device_spec("cisco_ios", "sw1", password=SECRETS["password"])
    vault.secrets["secret/network/lab"] = {
        "password": spec.password,
        "enable_secret": spec.enable_secret or "",
    }
    with_provider("vault", "network/lab", tags=tags_ensure(names=[TAG]), priority=1)
    add_credential(spec, "spare", priority=2)
    with fleet_in_thread(spec) as fleet:
        add_device(spec, *fleet.address("sw1"))
        job = add_job()
        run = wait_for_end(request_run(job=job, trigger=Trigger.MANUAL))
        assert run.results.get().status == "SUCCEEDED"
        vault.is_sealed = True
        run = wait_for_end(request_run(job=job, trigger=Trigger.MANUAL))
        log_ins = fleet.log("sw1")["login_attempts"]
    result = run.results.get()
    assert (result.status, result.error_category) == ("ERRORED", "secret_unavailable")
    assert result.error_message == "credential 'lab': Vault is sealed or in maintenance; unseal it"
    assert log_ins == 1
