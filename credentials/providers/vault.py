"""Secrets from HashiCorp Vault, version 2 of its key/value engine; the one importer of hvac."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import hvac
import requests
from hvac import exceptions as answers

from credentials.providers.errors import SecretUnavailable
from credentials.providers.vault_reference import reference_problem

#: A token this close to its end is not used any more.
_TOKEN_MARGIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSettings:
    """Where Vault is and how NetRaven logs in to it: with a token, or with an AppRole."""

    address: str
    mount: str = "secret"
    namespace: str | None = None
    token: str | None = field(default=None, repr=False)
    role_id: str | None = field(default=None, repr=False)
    secret_id: str | None = field(default=None, repr=False)
    approle_mount: str = "approle"
    #: Certificates of authorities that are believed; None for those of the system.
    ca_file: str | None = None
    timeout_seconds: float = 10.0


class Vault:
    """Reads secrets of one Vault. Safe to use from many threads; holds its token in memory only."""

    def __init__(self, settings: VaultSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._token = settings.token
        self._token_until = float("inf")

    def read(self, reference: str, fields: tuple[str, ...]) -> dict[str, str]:
        """The texts under those keys of the secret at ``reference`` that it has.

        Raises SecretUnavailable.
        """
        if reference_problem(reference) is not None:
            raise SecretUnavailable(f"'{reference}' is no path of a secret in Vault")
        try:
            data = self._data(reference)
        except answers.InvalidPath:
            raise SecretUnavailable(
                f"Vault has no secret at '{reference}' in '{self._settings.mount}'"
            ) from None
        except answers.Forbidden:
            raise SecretUnavailable(
                f"Vault refuses NetRaven the secret at '{reference}'; look at its policy and token"
            ) from None
        except answers.VaultDown:
            raise SecretUnavailable("Vault is sealed or in maintenance; unseal it") from None
        except (answers.VaultError, KeyError, TypeError, AttributeError, ValueError):
            raise SecretUnavailable(
                f"Vault gave no usable answer for '{reference}'; look at its log"
            ) from None
        except requests.RequestException:
            raise SecretUnavailable(
                f"Vault does not answer at {self._settings.address}; look whether it runs, and at "
                "its certificate"
            ) from None
        return _texts(reference, data, fields)

    def _data(self, reference: str) -> dict[str, Any]:
        """What stands at ``reference``; a token that AppRole gave is renewed once if refused."""
        token = self._current_token()
        try:
            return self._read_with(token, reference)
        except answers.Forbidden:
            if self._settings.role_id is None:
                raise
        self._forget(token)
        return self._read_with(self._current_token(), reference)

    def _read_with(self, token: str, reference: str) -> dict[str, Any]:
        client = self._client()
        client.token = token
        answer = client.secrets.kv.v2.read_secret_version(
            path=reference, mount_point=self._settings.mount, raise_on_deleted_version=True
        )
        data: dict[str, Any] = answer["data"]["data"]
        return data

    def _current_token(self) -> str:
        with self._lock:
            if self._token is None or time.monotonic() > self._token_until:
                self._log_in()
            assert self._token is not None  # the log-in raises otherwise
            return self._token

    def _forget(self, token: str) -> None:
        with self._lock:
            if self._token == token:
                self._token = None

    def _log_in(self) -> None:
        settings = self._settings
        if settings.role_id is None:
            raise SecretUnavailable(
                "NetRaven has nothing to log in to Vault with; set vault_token, or vault_role_id "
                "and vault_secret_id"
            )
        begun = time.monotonic()
        try:
            answer = self._client().auth.approle.login(
                role_id=settings.role_id,
                secret_id=settings.secret_id,
                use_token=False,
                mount_point=settings.approle_mount,
            )
        except (answers.InvalidRequest, answers.Forbidden, answers.Unauthorized):
            raise SecretUnavailable(
                "Vault does not accept the AppRole of NetRaven; check vault_role_id and "
                "vault_secret_id"
            ) from None
        self._token = str(answer["auth"]["client_token"])
        seconds = float(answer["auth"]["lease_duration"]) or float("inf")
        self._token_until = begun + max(0.0, seconds - _TOKEN_MARGIN_SECONDS)

    def _client(self) -> Any:
        settings = self._settings
        # With a token of its own, or none: hvac would look for one in the home directory.
        client: Any = hvac.Client(
            url=settings.address,
            token="",
            namespace=settings.namespace,
            timeout=settings.timeout_seconds,
            verify=settings.ca_file or True,
            allow_redirects=False,
        )
        return client


def _texts(reference: str, data: dict[str, Any], fields: tuple[str, ...]) -> dict[str, str]:
    if not isinstance(data, dict):
        raise SecretUnavailable(f"the secret at '{reference}' in Vault is no set of keys")
    found = {name: data[name] for name in fields if data.get(name)}
    wrong = [name for name, value in found.items() if not isinstance(value, str)]
    if wrong:
        raise SecretUnavailable(f"'{wrong[0]}' of the secret at '{reference}' in Vault is no text")
    if not found:
        raise SecretUnavailable(
            f"the secret at '{reference}' in Vault has none of the keys {', '.join(fields)}"
        )
    return found
