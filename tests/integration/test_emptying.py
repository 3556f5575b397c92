"""What a test commits is gone for the next one, and what the migrations made is there again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection

from inventory.models import Device
from netraven_site.accounts.roles import Role
from netraven_site.models import AuditSeal
from tests.factories import CredentialFactory, DeviceFactory, user_in
from tests.support.emptying import Emptying

pytestmark = pytest.mark.django_db(transaction=True)


def rows() -> dict[str, list[tuple[object, ...]]]:
    """Everything that stands in the database."""
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.django_table_names(only_existing=True):
            cursor.execute(f"SELECT t::text FROM {connection.ops.quote_name(table)} t ORDER BY 1")  # noqa: S608
            found[table] = cursor.fetchall()
    return found


@pytest.fixture(autouse=True)
def an_entry_of_the_audit_log() -> None:
    """Rows that point at each other, and have been there before anybody looks."""
    Group.objects.create(name="kept").delete()


def add() -> None:
    DeviceFactory.create(tags=["core"])
    CredentialFactory.create()
    user_in(Role.ADMIN)


def add_permission() -> None:
    kind = ContentType.objects.get_for_model(Device)
    made = Permission.objects.create(codename="polish", name="Can polish", content_type=kind)
    Group.objects.earliest("pk").permissions.add(made)


@pytest.mark.parametrize("change", [add, add_permission])
def test_added_rows_go(change: Callable[[], None]) -> None:
    before, emptying = rows(), Emptying()
    assert before["auth_permission"] and before["auth_group"] and before["auditlog_logentry"]
    change()
    assert rows() != before
    assert emptying.remove_the_rest()
    assert rows() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda: Group.objects.all().delete(),
        lambda: Group.objects.filter(pk=Group.objects.earliest("pk").pk).update(name="other"),
        lambda: LogEntry.objects.earliest("pk").delete(),
        lambda: AuditSeal.objects.all().delete(),
    ],
)
def test_a_row_that_is_missing_is_noticed(change: Callable[[], object]) -> None:
    emptying = Emptying()
    User.objects.create(username="anna")
    change()
    changed = rows()
    assert not emptying.remove_the_rest()
    assert rows() == changed


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_next_test_finds_what_the_migrations_made(number: int) -> None:
    """Whatever the one before has done: these tests have one another before them."""
    names = set(Group.objects.values_list("name", flat=True))
    assert names == {role.value for role in Role} and not Device.objects.exists()
    assert not User.objects.exists() and AuditSeal.objects.count() == LogEntry.objects.count()
    if number == 1:
        add()
    if number == 2:
        Group.objects.all().delete()
