"""Targets of messages: their addresses are secrets, written here and opened here only."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from django.core.exceptions import ValidationError
from django.db import transaction

from credentials.cipher import CipherError
from credentials.sealed import SealedColumn
from credentials.services import installation_cipher
from jobs.choices import TargetKind
from jobs.models import NotificationTarget
from jobs.notifications.apprise_channel import apprise_address
from jobs.notifications.webhook_channel import MIN_SECRET_LENGTH, webhook_address

_MAX_URL_LENGTH = 2000
_URL, _SECRET = "url", "signing_secret"


class TargetError(Exception):
    """The address of a target cannot be opened. The message holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTarget:
    """A target with its secrets in clear, for one message."""

    name: str
    kind: TargetKind
    url: str = field(repr=False)
    signing_secret: str = field(repr=False)


@transaction.atomic
def target_save(
    *, target: NotificationTarget, url: str | None = None, signing_secret: str | None = None
) -> NotificationTarget:
    """Validate and save ``target``; None leaves a secret as it is.

    Raises ValidationError, whose messages hold no secret.
    """
    target_set_secrets(target=target, url=url, signing_secret=signing_secret)
    target_check(target=target)
    target.full_clean()
    target.save()
    return target


def target_set_secrets(
    *, target: NotificationTarget, url: str | None = None, signing_secret: str | None = None
) -> None:
    """Seal what is given into the unsaved ``target``. Raises ValidationError."""
    if url is not None:
        target.address = _checked(target, url)
        target.sealed_url = _sealed(target, _URL, url)
    if signing_secret is not None:
        if len(signing_secret) < MIN_SECRET_LENGTH:
            raise ValidationError(
                {_SECRET: f"A signing secret has at least {MIN_SECRET_LENGTH} characters."}
            )
        target.sealed_signing_secret = _sealed(target, _SECRET, signing_secret)


def target_check(*, target: NotificationTarget) -> None:
    """Raise ValidationError for a target that nothing could be sent to."""
    if target.sealed_url is None:
        raise ValidationError({_URL: "A target needs an address."})
    if target.kind == TargetKind.WEBHOOK and target.sealed_signing_secret is None:
        raise ValidationError({_SECRET: "A webhook needs a secret that signs its messages."})
    is_web = target.address.startswith(("http://", "https://"))
    if is_web != (target.kind == TargetKind.WEBHOOK):
        raise ValidationError({"kind": "Its address is one of another kind; give both anew."})


def target_open(*, target: NotificationTarget) -> OpenTarget:
    """``target`` with its secrets. Raises TargetError."""
    return OpenTarget(
        name=target.name,
        kind=TargetKind(target.kind),
        url=_opened(target, _URL, target.sealed_url),
        signing_secret=_opened(target, _SECRET, target.sealed_signing_secret),
    )


def _checked(target: NotificationTarget, url: str) -> str:
    if len(url) > _MAX_URL_LENGTH or not url.isprintable() or " " in url:
        raise ValidationError({_URL: "An address is one line of printable characters."})
    check = webhook_address if target.kind == TargetKind.WEBHOOK else apprise_address
    try:
        return check(url)[:200]
    except ValueError as error:
        raise ValidationError({_URL: str(error)}) from None


def _sealed(target: NotificationTarget, name: str, value: str) -> bytes:
    context = _context(name, target.seal_id)
    return installation_cipher().seal(value.encode(), context=context)


def _opened(target: NotificationTarget, name: str, sealed: bytes | memoryview | None) -> str:
    if sealed is None:
        return ""
    try:
        plain = installation_cipher().open(bytes(sealed), context=_context(name, target.seal_id))
    except CipherError as error:
        raise TargetError(f"target '{target.name}': {error}") from error
    return plain.decode()


def _context(name: str, seal_id: uuid.UUID) -> str:
    return f"notification-target:{seal_id}:{name}"


SEALED_COLUMNS: Final = tuple(
    SealedColumn(
        noun="notification secret",
        model=NotificationTarget,
        column=f"sealed_{name}",
        name_path="name",
        context=partial(_context, name),
    )
    for name in (_URL, _SECRET)
)
