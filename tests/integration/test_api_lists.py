"""Every list of the API: filters and order by its columns, and few queries however long it is."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import FloatField
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_filters import NumberFilter
from rest_framework import serializers

from backups.models import GitRemote, RetentionPolicy
from backups.services.remotes import remote_save
from backups.services.store import RunLabel, backup_store
from credentials.models import TagLimit
from credentials.services import tags_ensure
from jobs.models import ConnectionLog, JobLog
from netraven_site.accounts.roles import Role
from netraven_site.api import NarrowFirst
from netraven_site.models import ApiToken
from netraven_site.urls import router
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobFactory,
    JobRunFactory,
    JumpHostFactory,
    PlatformDetectionFactory,
    UserFactory,
    ZoneFactory,
    backup_outcome,
    user_in,
)
from tests.support.admin_rows import told_rows
from tests.support.role_matrix import API, api_questions

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

#: Columns that are computed for each row, and no column of the database.
COMPUTED = {
    "etag",
    "next_runs",
    "lag",
    "duration_seconds",
    "host_key",
    "offered_host_key",
    "evidence",
    "facts",
    # Times with filters of their own names: ``since`` and ``until``.
    "at",
}
VIEWS: dict[str, Any] = {
    prefix: view for prefix, view, _ in router.registry if hasattr(view, "filterset_class")
}
#: Have a form of their own for what they take, and tests of it.
OTHERS = {"platforms", "secrets"}


#: Files; processes; and what is about changes, which have tests of their own.
NOT_GROWN = {"platforms/", "system/workers/", "changes/", "changes/devices/"}


@pytest.fixture
def client(client: Client) -> Client:
    client.force_login(UserFactory.create(is_superuser=True))
    return client


def columns(view: Any) -> list[str]:
    serializer: serializers.BaseSerializer[Any] = view.serializer_class()
    fields: dict[str, Any] = serializer.fields  # type: ignore[attr-defined]  # all have fields
    return [name for name, field in fields.items() if not field.write_only]


def test_every_list_has_filters() -> None:
    without = {
        prefix for prefix, view, _ in router.registry if not hasattr(view, "filterset_fields")
    }
    assert without - set(VIEWS) == OTHERS


@pytest.mark.parametrize("prefix", VIEWS)
def test_a_list_is_filtered_by_each_of_its_columns(prefix: str) -> None:
    filters = VIEWS[prefix].filterset_class.base_filters
    missing = [
        name
        for name in columns(VIEWS[prefix])
        if name not in COMPUTED
        and not any(key == name or key.startswith(f"{name}__") for key in filters)
    ]
    assert missing == []


def test_a_whole_number_has_no_exponent_that_python_would_write_out_for_a_minute(
    client: Client,
) -> None:
    taking = [
        f"{prefix}: {name}"
        for prefix, view in VIEWS.items()
        for name, one in view.filterset_class.base_filters.items()
        if isinstance(one, NumberFilter)
        and not _is_refused(one, "-1e1000000")
        # As a float it is an infinity at once.
        and not isinstance(view.queryset.model._meta.get_field(one.field_name), FloatField)
    ]
    assert taking == []
    assert client.get(f"{API}devices/?id__lte=-1e1000000").status_code == 400
    assert client.get(f"{API}devices/?id__lte={10**30}").status_code == 200
    assert client.get(f"{API}jobs/?starts_per_second__gte=-1e1000000").status_code == 200


def _is_refused(one: NumberFilter, value: str) -> bool:
    try:
        one.field.clean(value)
    except ValidationError:
        return True
    return False


@pytest.mark.parametrize("prefix", VIEWS)
def test_a_list_is_searched_and_ordered(client: Client, prefix: str) -> None:
    view = VIEWS[prefix]
    assert client.get(f"{API}{prefix}/?search=nobody-has-this").json()["count"] == 0
    for name in view.ordering_fields:
        for sign in ("", "-"):
            answer = client.get(f"{API}{prefix}/?ordering={sign}{name}")
            assert answer.status_code == 200, (name, answer.content)


def test_rows_that_are_equal_stand_on_one_page_only(client: Client) -> None:
    for number in range(12):
        DeviceFactory.create(hostname=f"sw{11 - number}")
    seen = [
        row["id"]
        for page in range(1, 5)
        for row in client.get(f"{API}devices/?ordering=-platform&size=3&page={page}").json()[
            "results"
        ]
    ]
    assert seen == sorted(seen) and len(set(seen)) == 12


def test_long_lists_have_the_same_pages(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        DeviceFactory.create(hostname=f"sw{number}", tags=["core"], port=number % 2 + 1)

    def pages() -> list[list[str]]:
        query = "size=3&ordering=-port&tags=core"
        return [names(client, f"{query}&page={page}") for page in (1, 2, 3)]

    short = pages()
    monkeypatch.setattr(NarrowFirst, "long", 1)
    with CaptureQueriesContext(connection) as captured:
        assert pages() == short
    assert [len(page) for page in short] == [3, 3, 1]
    assert any("OFFSET 3" in query["sql"] for query in captured)
    assert not any("OFFSET" in query["sql"] and "description" in query["sql"] for query in captured)


def names(client: Client, query: str) -> list[str]:
    answer = client.get(f"{API}devices/?{query}")
    assert answer.status_code == 200, answer.content
    return [row["hostname"] for row in answer.json()["results"]]


def test_devices_are_found_by_what_is_beside_them(client: Client) -> None:
    login = CredentialFactory.create(name="own")
    zone = ZoneFactory.create(name="north")
    jump = JumpHostFactory.create(name="bastion", credential=login)
    DeviceFactory.create(hostname="a", zone=zone, credential=login, tags=["Core"], port=2222)
    DeviceFactory.create(
        hostname="b", jump_host=jump, host_key="ssh-rsa AAAA", offered_host_key="ssh-rsa AAAB"
    )
    assert names(client, "zone=NORTH") == names(client, "tags=core") == ["a"]
    assert names(client, "credential=own") == names(client, "port__gte=1000") == ["a"]
    assert names(client, "jump_host=bastion") == names(client, "zone__isnull=true") == ["b"]
    assert names(client, "has_offered_host_key=true") == ["b"]
    assert names(client, "has_host_key=false") == ["a"]
    assert names(client, "created_at__lt=2020-01-01T00:00:00Z") == []
    assert names(client, "created_at__gte=2020-01-01T00:00:00Z&ordering=-zone") == ["b", "a"]


def test_a_limited_user_filters_no_runs_by_what_they_are_not_shown() -> None:
    run = JobRunFactory.create(total_count=7, status_reason="paris-core did not answer")
    for tag in ("berlin", "paris"):
        DeviceResultFactory.create(run=run, device=DeviceFactory.create(tags=[tag]))
    viewer = user_in(Role.VIEWER)
    TagLimit.objects.create(user=viewer).tags.set(tags_ensure(names=["berlin"]))
    client = Client()
    client.force_login(viewer)
    for query in ("total_count=99", "total_count__lte=0", "status_reason__icontains=nothing"):
        assert client.get(f"{API}runs/?{query}").json()["count"] == 1, query


def _rows(count: int) -> None:
    """So many more of everything."""
    for _ in range(count):
        user = UserFactory.create()
        user.groups.set(user_in(Role.VIEWER).groups.all())
        TagLimit.objects.create(user=user).tags.set(tags_ensure(names=[f"t{user.pk}", "all"]))
        ApiToken.objects.create(user=user, name="script", expiry=None)
        credential = CredentialFactory.create(tags=[f"t{user.pk}"])
        zone = ZoneFactory.create(default_credential=credential)
        jump_host = JumpHostFactory.create(
            credential=credential, tags=[f"t{user.pk}"], via=JumpHostFactory.create()
        )
        device = DeviceFactory.create(
            tags=[f"t{user.pk}", "all"], credential=credential, zone=zone, jump_host=jump_host
        )
        run = JobRunFactory.create(job=JobFactory.create(tags=["all"]), requested_by=user)
        JobLog.objects.create(run=run, level="info", message="began")
        ConnectionLog.objects.create(
            run=run, device=device, attempt=1, level="info", message="connected"
        )
        label = RunLabel(run_id=run.pk, job_name="j")
        text = f"hostname d{user.pk}\nsnmp-server community <redacted:{user.pk:08x}> RO\nend\n"
        snapshot = backup_store(device=device, outcome=backup_outcome(text), label=label)
        again = backup_outcome(f"{text}! {user.pk}\n")
        backup_store(device=device, outcome=again, label=label)
        suspect = backup_outcome(suspicions=("The device printed nothing.",), raw=b"")
        backup_store(device=device, outcome=suspect, label=label)
        DeviceResultFactory.create(run=run, device=device, snapshot=snapshot)
        PlatformDetectionFactory.create(device=device, requested_by=user)
        told_rows(device, run)
        RetentionPolicy.objects.create(name=f"p{user.pk}").tags.set(device.tags.all())
        remote_save(
            remote=GitRemote(
                name=f"r{user.pk}",
                url=f"https://git.example.net/{user.pk}.git",
                zone=zone if user.pk % 2 else None,
            )
        )


def _lists() -> list[str]:
    return sorted(
        question.address
        for question in api_questions()
        if question.method == "GET" and "{" not in question.address and question.address
    )


@pytest.mark.slow
@pytest.mark.usefixtures("git_directory")
def test_every_list_asks_as_much_for_thirty_rows_as_for_three(client: Client) -> None:
    query = "?size=500&q=hostname&count=true&min_devices=1&older_than_days=0&digest=&diff=false"
    asked: dict[str, list[int]] = {}
    lengths: dict[str, list[int]] = {}
    for count in (3, 27):
        _rows(count)
        for address in _lists():
            with CaptureQueriesContext(connection) as captured:
                answer = client.get(f"{API}{address}{query}")
            is_json = answer.headers["Content-Type"] == "application/json"
            rows = answer.json().get("results") if is_json else None
            if rows is not None:
                asked.setdefault(address, []).append(len(captured))
                lengths.setdefault(address, []).append(len(rows))
    grown = {address for address, (few, many) in lengths.items() if few < many}
    assert set(lengths) - grown == NOT_GROWN
    assert {address: counts for address, counts in asked.items() if counts[0] != counts[1]} == {}
    assert {address: counts for address, counts in asked.items() if counts[0] > 11} == {}
    assert User.objects.count() > 60
