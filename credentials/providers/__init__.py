"""Where the secrets of credentials come from.

The database holds a reference only. A value is fetched by the worker for one session; what Vault
gave stays in the memory of the process for a moment. A provider that fails raises
SecretUnavailable: there is no fallback to another secret.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from django.conf import settings
from pydantic import SecretStr

from credentials.providers.cache import SecretCache
from credentials.providers.errors import SecretUnavailable
from credentials.providers.local import (
    environment_problem,
    file_problem,
    from_environment,
    from_files,
)
from credentials.providers.vault_reference import reference_problem

if TYPE_CHECKING:
    from credentials.providers.vault import Vault

__all__ = ["SecretUnavailable", "provider_read", "wrong_reference"]

_Read = Callable[[str, tuple[str, ...]], dict[str, str]]
_cache = SecretCache()


def _environment(reference: str, fields: tuple[str, ...]) -> dict[str, str]:
    return from_environment(reference, fields, os.environ)


def _files(reference: str, fields: tuple[str, ...]) -> dict[str, str]:
    return from_files(reference, fields, settings.NETRAVEN.secret_directory)


def _vault(reference: str, fields: tuple[str, ...]) -> dict[str, str]:
    seconds = settings.NETRAVEN.vault_cache_seconds
    return _cache.get(reference, seconds, lambda: _the_vault().read(reference, fields))


@functools.cache
def _the_vault() -> Vault:
    # Loads hvac and requests, which a site without Vault never needs.
    from credentials.providers.vault import Vault, VaultSettings

    config = settings.NETRAVEN
    if config.vault_address is None:
        raise SecretUnavailable("no Vault is configured; set vault_address")

    def clear(value: SecretStr | None) -> str | None:
        return None if value is None else value.get_secret_value()

    return Vault(
        VaultSettings(
            address=config.vault_address,
            mount=config.vault_mount,
            namespace=config.vault_namespace,
            token=clear(config.vault_token),
            role_id=config.vault_role_id,
            secret_id=clear(config.vault_secret_id),
            approle_mount=config.vault_approle_mount,
            ca_file=str(config.vault_ca_file) if config.vault_ca_file else None,
            timeout_seconds=config.vault_timeout_seconds,
        )
    )


#: Providers beside the database, by the value in the row: how they read, and what is wrong with a
#: reference.
_PROVIDERS: Final[dict[str, tuple[_Read, Callable[[str], str | None]]]] = {
    "environment": (_environment, environment_problem),
    "file": (_files, file_problem),
    "vault": (_vault, reference_problem),
}


def provider_read(*, provider: str, reference: str, fields: tuple[str, ...]) -> dict[str, str]:
    """The secrets under ``reference``, by field; those that it does not have are left out.

    Raises SecretUnavailable, also when it has none of ``fields``.
    """
    read, _ = _PROVIDERS[provider]
    return read(reference, fields)


def wrong_reference(*, provider: str, reference: str) -> str | None:
    """What a reference of this provider looks like, if ``reference`` is none; None if it is one."""
    _, problem = _PROVIDERS[provider]
    return problem(reference)
