"""Writing credentials and opening their secrets: the one place where ciphertext becomes text."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Iterable, Mapping
from typing import Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from credentials.cipher import Cipher, CipherError, parse_keys
from credentials.models import (
    MAX_TAG_LENGTH,
    Credential,
    Provider,
    Tag,
    validate_name,
    validate_shown,
)
from credentials.providers import SecretUnavailable, provider_read, wrong_reference
from credentials.secret import DeviceCredential
from credentials.selectors import tag_get

#: Secret fields of a credential and their columns.
SECRET_FIELDS: Final = {
    "password": "sealed_password",
    "enable_secret": "sealed_enable_secret",
    "ssh_key": "sealed_ssh_key",
    "ssh_key_passphrase": "sealed_ssh_key_passphrase",
}
_MAX_SECRET_LENGTH = 64 * 1024


class CredentialError(Exception):
    """A credential's secrets cannot be opened. The message holds no secret."""


class ProviderError(CredentialError):
    """The provider of a credential's secrets did not give them. The message holds no secret."""


@functools.cache
def installation_cipher() -> Cipher:
    """The cipher under the keys of this installation. Raises CipherError for unusable keys."""
    keys = settings.NETRAVEN.encryption_keys
    if keys is None:
        raise CipherError("there is no encryption key; set NETRAVEN_ENCRYPTION_KEYS")
    return Cipher(parse_keys(keys.get_secret_value()))


@transaction.atomic
def tags_ensure(*, names: Iterable[str]) -> list[Tag]:
    """The tags with these names, missing ones created; upper and lower case are the same.

    Raises ValidationError for a name that cannot be a tag.
    """
    wanted = dict.fromkeys(name.strip() for name in names if name.strip())
    for name in wanted:
        _check_tag_name(name)
    known = {tag.name: tag for tag in Tag.objects.filter(name__in=wanted)} if wanted else {}
    return list(dict.fromkeys(known.get(name) or _tag(name) for name in wanted))


@transaction.atomic
def credential_create(
    *,
    name: str,
    username: str,
    password: str | None = None,
    enable_secret: str | None = None,
    ssh_key: str | None = None,
    ssh_key_passphrase: str | None = None,
    tags: Iterable[Tag] = (),
    priority: int = 100,
    description: str = "",
    max_sessions: int | None = None,
    provider: str = Provider.STORED,
    reference: str = "",
) -> Credential:
    """A new credential. Raises ValidationError, whose messages hold no secret."""
    credential = Credential(
        name=name,
        username=username,
        priority=priority,
        description=description,
        max_sessions=max_sessions,
        provider=provider,
        reference=reference,
    )
    secrets = {
        "password": password,
        "enable_secret": enable_secret,
        "ssh_key": ssh_key,
        "ssh_key_passphrase": ssh_key_passphrase,
    }
    return credential_save(credential=credential, secrets=secrets, tags=tags)


@transaction.atomic
def credential_save(
    *,
    credential: Credential,
    secrets: Mapping[str, str | None],
    tags: Iterable[Tag] | None = None,
) -> Credential:
    """Validate and save ``credential`` with ``secrets`` as ``credential_set_secrets`` takes them.

    None leaves its tags as they are. Raises ValidationError, whose messages hold no secret.
    """
    credential_set_secrets(credential=credential, **secrets)
    credential_check(credential=credential)
    credential.full_clean()
    credential.save()
    if tags is not None:
        credential.tags.set(tags)
    return credential


def credential_check(*, credential: Credential) -> None:
    """Raise ValidationError for a credential that nobody could log in with."""
    if credential.provider != Provider.STORED:
        _check_reference(credential)
        return
    if credential.reference:
        raise ValidationError({"reference": "Secrets that NetRaven stores have no reference."})
    if not (credential.has_password or credential.has_ssh_key):
        raise ValidationError({"password": "A credential needs a password or an SSH key."})
    if credential.has_passphrase and not credential.has_ssh_key:
        raise ValidationError({"ssh_key_passphrase": "There is no SSH key that it could open."})


def _check_reference(credential: Credential) -> None:
    if any(getattr(credential, column) is not None for column in SECRET_FIELDS.values()):
        raise ValidationError({"provider": "Secrets are either stored or come from a provider."})
    reference = credential.reference
    rule = wrong_reference(provider=credential.provider, reference=reference)
    if rule is not None:
        raise ValidationError({"reference": f"'{reference}' is no reference: {rule}."})


def credential_set_secrets(*, credential: Credential, **secrets: str | None) -> None:
    """Seal the given secrets into the unsaved ``credential``.

    The names are those of SECRET_FIELDS. None leaves a secret as it is, an empty text removes it.
    A credential whose secrets come from a provider gives up those that were stored. Raises
    ValidationError for a secret that no device could be sent.
    """
    if credential.provider != Provider.STORED:
        secrets = {field: secrets.get(field) or "" for field in SECRET_FIELDS}
    for field, value in secrets.items():
        column = SECRET_FIELDS[field]
        if value is None:
            continue
        if value == "":
            setattr(credential, column, None)
            continue
        _check_secret(field, value)
        context = credential_context(seal_id=credential.seal_id, field=field)
        sealed = installation_cipher().seal(value.encode(), context=context)
        setattr(credential, column, sealed)


def credential_open(*, credential: Credential) -> DeviceCredential:
    """The secrets of ``credential`` in clear, for one session.

    Raises CredentialError when a key is missing or a value is damaged, ProviderError when its
    provider does not give them; there is no fallback to another secret or credential. May wait for
    the network, and asks the database nothing.
    """
    if credential.provider != Provider.STORED:
        return _provided(credential)
    return DeviceCredential(
        name=credential.name,
        username=credential.username,
        **{field: _opened(credential, field) for field in SECRET_FIELDS},
    )


def _provided(credential: Credential) -> DeviceCredential:
    what = f"credential '{credential.name}'"
    try:
        secrets = provider_read(
            provider=credential.provider,
            reference=credential.reference,
            fields=tuple(SECRET_FIELDS),
        )
    except SecretUnavailable as error:
        raise ProviderError(f"{what}: {error}") from None
    for field, value in secrets.items():
        try:
            _check_secret(field, value)
        except ValidationError as error:
            reason = "; ".join(error.messages)
            raise ProviderError(f"{what}: {field} of its provider: {reason}") from None
    if "password" not in secrets and "ssh_key" not in secrets:
        raise ProviderError(f"{what}: its provider has neither a password nor an ssh_key")
    return DeviceCredential(name=credential.name, username=credential.username, **secrets)


def credential_context(*, seal_id: uuid.UUID, field: str) -> str:
    """What the sealed value of ``field`` of the credential with ``seal_id`` is bound to."""
    return f"credential:{seal_id}:{field}"


def _check_tag_name(name: str) -> None:
    validate_name(name)
    validate_shown(name)
    if len(name) > MAX_TAG_LENGTH:
        raise ValidationError(f"The tag name '{name[:40]}…' is too long.")


def _tag(name: str) -> Tag:
    try:
        return tag_get(name=name)
    except Tag.DoesNotExist:
        # Somebody else may create it at this very moment.
        Tag.objects.bulk_create([Tag(name=name)], ignore_conflicts=True)
        return tag_get(name=name)


def _opened(credential: Credential, field: str) -> str | None:
    sealed = getattr(credential, SECRET_FIELDS[field])
    if sealed is None:
        return None
    context = credential_context(seal_id=credential.seal_id, field=field)
    try:
        return installation_cipher().open(bytes(sealed), context=context).decode()
    except CipherError as error:
        raise CredentialError(f"credential '{credential.name}': {error}") from error


def _check_secret(field: str, value: str) -> None:
    if len(value) > _MAX_SECRET_LENGTH:
        raise ValidationError({field: "This is too long for a secret."})
    if field == "ssh_key":
        if "PRIVATE KEY-----" not in value:
            raise ValidationError({field: "This is no private key in OpenSSH or PEM form."})
        return
    if any(character in value for character in "\r\n\x00"):
        raise ValidationError({field: "A secret has no line break and no NUL character."})
