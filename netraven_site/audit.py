"""The audit log: who changed, logged in or read what, when, and from where.

django-auditlog writes an entry for each saved or deleted row of the registered models; log-ins add
theirs here. Secrets are never among the fields. Readings of raw copies and decisions about host
keys are rows of their own, so that their creation is the entry.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from auditlog.models import LogEntry
from auditlog.registry import auditlog
from axes.signals import user_locked_out
from django.contrib.auth import signals
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.db.models.signals import post_save, pre_save
from django.http import HttpRequest, HttpResponse

from backups.models import (
    ArchiveReading,
    ChangeAcknowledgement,
    GitRemote,
    HistoryDeletion,
    RetentionPolicy,
)
from common.callers import client_address
from common.commands import command_line_user
from credentials.models import Credential, Tag, TagLimit
from inventory.models import Device, HostKeyChange, JumpHost, Zone
from jobs.models import Job, NotificationRule, NotificationTarget
from netraven_site.audit_seals import seal_on_commit
from netraven_site.models import ApiToken

_request: ContextVar[HttpRequest | None] = ContextVar("netraven_audit_request", default=None)

#: Columns with secrets: that one was changed is recorded, and nothing of it.
_SECRETS: dict[type[Model], tuple[str, ...]] = {
    Credential: (
        "sealed_password",
        "sealed_enable_secret",
        "sealed_ssh_key",
        "sealed_ssh_key_passphrase",
    ),
    NotificationTarget: ("sealed_url", "sealed_signing_secret"),
    User: ("password",),
}
_HIDDEN = ["***", "***"]
_HOST_KEYS = ("offered_host_key",)
#: What is secret, or written by workers and no deed of a person.
_LEFT_OUT: dict[type[Model], tuple[str, ...]] = {
    ApiToken: ("digest",),
    ArchiveReading: (),
    ChangeAcknowledgement: (),
    Credential: ("seal_id", *_SECRETS[Credential]),
    Device: (
        *_HOST_KEYS,
        "current_text",
        "model",
        "serial_number",
        "os_version",
        "facts_at",
        "has_unsaved_config",
        "connection_failures",
        "skipped_until",
        "skip_reason",
    ),
    GitRemote: (
        *_HOST_KEYS,
        "state",
        "error",
        "pushed_at",
        "pushed_commit",
        "pushed_snapshot_id",
        "attempted_at",
        "failures",
        "next_attempt_at",
    ),
    Group: (),
    HistoryDeletion: (),
    HostKeyChange: (),
    Job: ("periodic_task", "scheduled_since"),
    JumpHost: _HOST_KEYS,
    NotificationRule: (),
    NotificationTarget: (
        "seal_id",
        "busy_until",
        "retry_at",
        "failures",
        "error",
        "sent_at",
        *_SECRETS[NotificationTarget],
    ),
    RetentionPolicy: (),
    Tag: (),
    TagLimit: (),
    User: ("last_login", *_SECRETS[User]),
    Zone: (),
}
_MANY: dict[type[Model], set[str]] = {
    Credential: {"tags"},
    Device: {"tags"},
    Group: {"permissions"},
    Job: {"tags"},
    JumpHost: {"tags"},
    NotificationRule: {"tags", "targets"},
    RetentionPolicy: {"tags"},
    TagLimit: {"tags"},
    User: {"groups", "user_permissions"},
}


class AuditMiddleware:
    """Remembers whose request it is; the API finds out only while the request is answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        before = _request.set(request)
        try:
            return self._get_response(request)
        finally:
            _request.reset(before)


def connect() -> None:
    """Have everything recorded from now on."""
    for model, left_out in _LEFT_OUT.items():
        auditlog.register(model, exclude_fields=list(left_out), m2m_fields=_MANY.get(model, set()))
    for model in _SECRETS:
        pre_save.connect(_secrets_changed, sender=model, dispatch_uid="netraven-audit")
    pre_save.connect(_say_who, sender=LogEntry, dispatch_uid="netraven-audit")
    post_save.connect(_seal, sender=LogEntry, dispatch_uid="netraven-audit")
    signals.user_logged_in.connect(_logged_in, dispatch_uid="netraven-audit")
    signals.user_logged_out.connect(_logged_out, dispatch_uid="netraven-audit")
    signals.user_login_failed.connect(_login_failed, dispatch_uid="netraven-audit")
    user_locked_out.connect(_locked_out, dispatch_uid="netraven-audit")


def _secrets_changed(sender: type[Model], instance: Model, **_: Any) -> None:
    names = _SECRETS[sender]
    stored = sender._default_manager.filter(pk=instance.pk).values(*names).first()
    if stored is None:
        return
    changed = [name for name in names if _plain(stored[name]) != _plain(getattr(instance, name))]
    if changed:
        LogEntry.objects.create(
            content_type=ContentType.objects.get_for_model(sender),
            object_pk=str(instance.pk),
            object_id=instance.pk,
            object_repr=str(instance),
            action=LogEntry.Action.UPDATE,
            changes=dict.fromkeys(changed, _HIDDEN),
        )


def _plain(value: Any) -> Any:
    """What drivers give as memory or as bytes, so that it can be compared."""
    return bytes(value) if isinstance(value, memoryview | bytes | bytearray) else value


def _say_who(instance: LogEntry, **_: Any) -> None:
    request = _request.get()
    if request is None:
        by = command_line_user()
    else:
        user = getattr(request, "user", None)
        is_known = user is not None and user.is_authenticated
        instance.actor = user if is_known else None
        instance.remote_addr = client_address(request)
        by = user.get_username() if is_known and user is not None else ""
    # The name outlives the user.
    instance.additional_data = {"by": by, **(instance.additional_data or {})}


def _seal(**_: Any) -> None:
    seal_on_commit()


def _logged_in(user: User, **_: Any) -> None:
    _event("login", user, by=user.get_username())


def _logged_out(user: User | None, **_: Any) -> None:
    if user is not None:
        _event("logout", user)


def _login_failed(credentials: dict[str, Any], **_: Any) -> None:
    _event("login failed", _named(credentials.get("username")))


def _locked_out(username: str | None = None, **_: Any) -> None:
    _event("locked out", _named(username))


def _named(username: Any) -> User | None:
    return User.objects.filter(username=username).first() if isinstance(username, str) else None


def _event(event: str, user: User | None, **more: str) -> None:
    LogEntry.objects.create(
        content_type=ContentType.objects.get_for_model(User),
        object_pk="" if user is None else str(user.pk),
        object_id=None if user is None else user.pk,
        # A name that nobody has may be a password in the wrong field.
        object_repr="unknown user" if user is None else user.get_username(),
        action=LogEntry.Action.ACCESS,
        changes={},
        additional_data={"event": event, **more},
    )
