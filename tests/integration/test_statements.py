"""Statements that are built once: the same rows, values and locks as Django's own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from django.db import IntegrityError, ProgrammingError, transaction
from django.db.models import Count, F, Q
from django.db.models.functions import Lower
from django.db.transaction import TransactionManagementError
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from backups.models import CurrentText, SecretUse
from backups.services.store import RunLabel, backup_store
from common.statements import NotAStatement, Statement, Update, Upsert, insert
from inventory.models import Device
from jobs.choices import LogLevel
from jobs.models import DeviceResult, JobLog, NotificationEvent
from tests.factories import (
    DeviceFactory,
    DeviceResultFactory,
    JobRunFactory,
    ZoneFactory,
    backup_outcome,
)
from tests.support.threads import in_thread

LABEL = RunLabel(run_id=1, job_name="nightly")
BY_NAME = Statement(
    lambda name, port: (
        Device.objects.select_related("zone")
        .annotate(has_zone=Q(zone__isnull=False))
        .filter(hostname=name, port__gte=port)
    ),
    name=str,
    port=int,
)
LOCKED = Statement(
    lambda device_id: Device.objects.select_for_update().filter(pk=device_id), device_id=int
)
SEEN = Update(
    lambda device_id, name, now: (
        Device.objects.filter(pk=device_id),
        {"description": name, "facts_at": now, "port": F("port") + 1},
    ),
    device_id=int,
    name=str,
    now=datetime,
)
PACKED = Update(
    lambda device_id, packed: (CurrentText.objects.filter(device=device_id), {"packed": packed}),
    device_id=int,
    packed=bytes,
)


PUT_SECRETS = Upsert(
    SecretUse,
    key=["device", "place_digest", "occurrence"],
    changing=["token", "changed_at"],
)


@pytest.mark.django_db
def test_each_call_gives_the_rows_of_its_own_values() -> None:
    first = DeviceFactory.create(hostname="sw-1", port=22, zone=ZoneFactory.create(name="north"))
    second = DeviceFactory.create(hostname="sw-2", port=2022)
    assert BY_NAME.all(name="sw-1", port=22) == [first]
    assert BY_NAME.all(name="sw-2", port=22) == [second]
    assert BY_NAME.first(name="sw-1", port=23) is None


@pytest.mark.django_db
def test_a_row_has_its_columns_its_relations_and_its_annotations() -> None:
    device = DeviceFactory.create(hostname="sw-1", zone=ZoneFactory.create(name="north"))
    found = BY_NAME.first(name="sw-1", port=0)
    assert found is not None
    columns = [field.attname for field in Device._meta.concrete_fields]
    stored = Device.objects.get(pk=device.pk)
    assert [getattr(found, name) for name in columns] == [getattr(stored, name) for name in columns]
    assert "zone" in found._state.fields_cache and found.zone is not None
    assert found.zone.name == "north"
    assert found.has_zone is True  # type: ignore[attr-defined]  # annotated


@pytest.mark.django_db
def test_hostile_values_stay_values() -> None:
    DeviceFactory.create(hostname="sw-1")
    assert BY_NAME.all(name="' OR 1=1 -- %s", port=0) == []


@pytest.mark.django_db(transaction=True)
def test_a_locking_query_locks_and_wants_a_transaction() -> None:
    device = DeviceFactory.create()
    free = Device.objects.select_for_update(skip_locked=True).filter(pk=device.pk)

    @transaction.atomic
    def free_for_others() -> list[Device]:
        return list(free.all())

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert LOCKED.all(device_id=device.pk) == [device]
            assert in_thread(pool, free_for_others).result() == []
        assert in_thread(pool, free_for_others).result() == [device]
    with pytest.raises(TransactionManagementError):
        LOCKED.all(device_id=device.pk)


@pytest.mark.django_db
def test_an_update_writes_its_values_and_counts_rows() -> None:
    device = DeviceFactory.create(port=22)
    other = DeviceFactory.create(port=22)
    now = timezone.now()
    assert SEEN.run(device_id=device.pk, name="seen", now=now) == 1
    assert SEEN.run(device_id=device.pk, name="again", now=now) == 1
    assert SEEN.run(device_id=0, name="nobody", now=now) == 0
    device.refresh_from_db()
    assert (device.description, device.facts_at, device.port) == ("again", now, 24)
    other.refresh_from_db()
    assert (other.description, other.port) == ("", 22)


@pytest.mark.django_db
def test_an_update_writes_bytes() -> None:
    device = DeviceFactory.create()
    backup_store(device=device, outcome=backup_outcome("hostname x\n"), label=LABEL)
    assert PACKED.run(device_id=device.pk, packed=b"\x00\xff%s") == 1
    assert bytes(CurrentText.objects.get().packed) == b"\x00\xff%s"


@pytest.mark.django_db
def test_an_inserted_row_is_the_one_that_save_would_make() -> None:
    run = JobRunFactory.create()
    row = JobLog(run=run, level=LogLevel.WARNING.value, message="50 % of it")
    insert(row)
    stored = JobLog.objects.get()
    assert (row.pk, row._state.adding) == (stored.pk, False)
    assert (stored.run_id, stored.device_id, stored.message) == (run.pk, None, "50 % of it")
    assert stored.created_at == row.created_at
    row.message = "changed"
    row.save()
    assert JobLog.objects.get().message == "changed"


@pytest.mark.django_db
def test_an_insertion_obeys_the_constraints() -> None:
    result = DeviceResultFactory.create()
    twice = DeviceResult(run=result.run, device=result.device, hostname="twice")
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(twice)


@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, 3])
def test_rows_are_inserted_or_change_those_of_the_same_key(count: int) -> None:
    device, first, then = DeviceFactory.create(), timezone.now(), timezone.now()
    rows = [secret_use(device, f"{number}", first, "11111111") for number in range(count)]
    PUT_SECRETS.run(rows)
    PUT_SECRETS.run([secret_use(device, "0", then, "22222222")])
    stored = SecretUse.objects.filter(device=device).order_by("place_digest")
    assert list(stored.values_list("place_digest", "token", "first_seen_at", "changed_at")) == [
        ("0", "22222222", first, then),
        *((f"{number}", "11111111", first, first) for number in range(1, count)),
    ]


@pytest.mark.django_db
def test_no_rows_are_no_statement(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        PUT_SECRETS.run([])


@pytest.mark.django_db
def test_two_rows_of_the_same_key_are_refused() -> None:
    row = secret_use(DeviceFactory.create(), "0", timezone.now(), "11111111")
    with pytest.raises(ProgrammingError, match="a second time"):
        PUT_SECRETS.run([row, row])


def test_a_model_whose_columns_take_no_array_is_refused() -> None:
    upsert = Upsert(DeviceResult, key=["run", "device"], changing=["limit_keys"])
    with pytest.raises(NotAStatement, match="takes no array"):
        upsert.run([DeviceResult()])


def secret_use(device: Device, digest: str, now: datetime, token: str) -> SecretUse:
    return SecretUse(
        device=device,
        place=f"snmp-server community {digest}",
        place_digest=digest,
        occurrence=0,
        line_number=1,
        token=token,
        first_seen_at=now,
        changed_at=now,
    )


@pytest.mark.django_db
def test_a_column_that_was_left_to_the_database_has_its_constant() -> None:
    result = DeviceResultFactory.create()
    plain = DeviceResult(run=result.run, device=DeviceFactory.create(), hostname="plain")
    insert(plain)
    assert DeviceResult.objects.get(pk=plain.pk).changed_by == ""
    with pytest.raises(NotAStatement):
        insert(NotificationEvent(key="x", kind="suspect", severity="info", subject="x"))


@pytest.mark.django_db
def test_a_value_that_the_query_changes_is_refused() -> None:
    folded = Statement(lambda name: Device.objects.filter(hostname=name.casefold() + "x"), name=str)
    with pytest.raises(NotAStatement):
        folded.all(name="sw-1")


@pytest.mark.django_db
def test_a_value_inside_an_expression_is_found() -> None:
    device = DeviceFactory.create(hostname="SW-1")
    lower = Statement(
        lambda name: Device.objects.annotate(folded=Lower("hostname")).filter(folded=name), name=str
    )
    assert lower.all(name="sw-1") == [device]


@pytest.mark.django_db
def test_a_column_that_django_converts_is_refused() -> None:
    counted = Statement(lambda: Device.objects.annotate(tags_count=Count("tags")))
    with pytest.raises(NotAStatement):
        counted.all()
