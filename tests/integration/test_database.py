"""Statements as PostgreSQL gets them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from psycopg_pool import ConnectionPool

from inventory.models import Device
from netraven_site.database import MOST_PARAMETERS, Connection
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


@pytest.fixture
def pool(db: None) -> Iterator[ConnectionPool[Connection]]:
    """One connection, asked as Django has it asked."""
    with ConnectionPool(
        min_size=1,
        max_size=1,
        connection_class=Connection,
        check=ConnectionPool.check_connection,
        kwargs={**connection.get_connection_params(), "autocommit": True},
    ) as made:
        yield made


def last_asked(pool: ConnectionPool[Connection]) -> Any:
    """When the server had its last statement of a connection that is taken out of ``pool``."""
    with pool.connection() as taken, connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT state_change FROM pg_stat_activity WHERE pid = %s", [taken.info.backend_pid]
        )
        return cursor.fetchone()


def test_a_connection_that_answered_lately_is_not_asked_again(
    pool: ConnectionPool[Connection],
) -> None:
    first, second = last_asked(pool), last_asked(pool)
    assert first == second
    with pool.connection() as taken:
        taken._answered_at -= 60
    assert last_asked(pool) > second


def test_a_connection_that_the_server_has_ended_is_not_given_out(
    pool: ConnectionPool[Connection],
) -> None:
    with pool.connection() as taken:
        pid = taken.info.backend_pid
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    with pool.connection() as taken:
        assert taken.info.backend_pid != pid
        assert taken.execute("SELECT 1").fetchone() == (1,)
