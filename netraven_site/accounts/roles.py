"""The roles: groups whose permissions NetRaven keeps, beside any groups of the operator's own.

``manage.py migrate`` makes them and brings their permissions back to what stands here; whoever
wants other rights makes a group of another name.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.signals import post_migrate


class Role(StrEnum):
    """Names of the groups. The values are part of the API."""

    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"
    #: Goes beside one of the others: raw configurations are read by nobody without it.
    RAW_READER = "raw-reader"


#: Whose permissions the admin has, all but ``_READ_RAW``.
_APPS = (
    "netraven_site",
    "credentials",
    "inventory",
    "backups",
    "jobs",
    "auditlog",
    "auth",
    "django_celery_beat",
    "django_celery_results",
)
_READ_RAW = "backups.read_raw_archive"
_VIEWER = frozenset(
    {
        "credentials.view_tag",
        "inventory.view_device",
        "inventory.view_zone",
        "inventory.view_jumphost",
        "inventory.view_hostkeychange",
        "backups.view_archive",
        "backups.view_changeacknowledgement",
        "backups.view_devicefreshness",
        "backups.view_historydeletion",
        "backups.view_retentionpolicy",
        "backups.view_secretuse",
        "backups.view_snapshot",
        "backups.view_suspect",
        "jobs.view_changenotice",
        "jobs.view_connectionlog",
        "jobs.view_deviceresult",
        "jobs.view_job",
        "jobs.view_joblog",
        "jobs.view_jobrun",
        "jobs.view_platformdetection",
        "jobs.view_workerprocess",
    }
)
_EDITED_BY_OPERATORS = (
    "credentials.{}_tag",
    "inventory.{}_device",
    "inventory.{}_jumphost",
    "inventory.{}_zone",
    "jobs.{}_job",
)
_OPERATOR = _VIEWER | {
    "credentials.view_credential",
    "backups.accept_suspect",
    "backups.acknowledge_change",
    "backups.add_artefact",
    "backups.view_gitremote",
    "jobs.view_notificationevent",
    "jobs.view_notificationmessage",
    "jobs.view_notificationrule",
    "jobs.view_notificationtarget",
    "jobs.run_job",
    "jobs.view_runcredential",
    *(name.format(verb) for name in _EDITED_BY_OPERATORS for verb in ("add", "change", "delete")),
}
_NAMED = {
    Role.OPERATOR: _OPERATOR,
    Role.VIEWER: _VIEWER,
    Role.RAW_READER: frozenset({_READ_RAW}),
}


@transaction.atomic
def roles_sync() -> None:
    """Make the groups that are missing, and give each of them its permissions and no others."""
    for role in Role:
        group, _ = Group.objects.get_or_create(name=role.value)
        group.permissions.set(_permissions(role))


def connect() -> None:
    """Have the roles kept whenever the tables were brought up to date."""
    # The last app: by then the permissions of all others are there.
    last = list(apps.get_app_configs())[-1]
    post_migrate.connect(_after_migrate, sender=last, dispatch_uid="netraven-roles")


def _after_migrate(**_: Any) -> None:
    roles_sync()


def _permissions(role: Role) -> QuerySet[Permission]:
    return Permission.objects.filter(_wanted(role), content_type__app_label__in=_APPS)


def _wanted(role: Role) -> Q:
    if role is Role.ADMIN:
        kept = Q(content_type__app_label="auditlog") & ~Q(codename="view_logentry")
        return ~_named(_READ_RAW) & ~kept
    wanted = Q(pk__in=[])
    for name in _NAMED[role]:
        wanted |= _named(name)
    return wanted


def _named(name: str) -> Q:
    app, _, codename = name.partition(".")
    return Q(content_type__app_label=app, codename=codename)
