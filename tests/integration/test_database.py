"""Statements as PostgreSQL gets them."""

from __future__ import annotations

import pytest
from django.db import connection

from inventory.models import Device
from netraven_site.database import MOST_PARAMETERS
from tests.factories import DeviceFactory


@pytest.mark.django_db
@pytest.mark.parametrize("count", [MOST_PARAMETERS, MOST_PARAMETERS + 1])
def test_a_statement_may_have_any_number_of_parameters(count: int) -> None:
    device = DeviceFactory.create()
    ids = [-number for number in range(count - 1)]
    assert Device.objects.filter(pk__in=[*ids, device.pk]).get() == device


@pytest.mark.django_db
def test_a_statement_that_comes_again_is_prepared() -> None:
    for number in range(10):
        assert not Device.objects.filter(hostname=f"prepared-{number}").exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        statements = [statement for (statement,) in cursor.fetchall()]
    assert any('"inventory_device"."hostname" = $' in statement for statement in statements)
