"""Freshness: which devices were backed up as lately as their tags ask for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backups.models import Snapshot
from backups.selectors.freshness import (
    Freshness,
    FreshnessReport,
    freshness_counts,
    freshness_report,
    with_freshness,
)
from backups.services.store import backup_store
from credentials.models import Tag, TagLimit
from inventory.models import Device
from jobs.monitoring.attention import needs_a_hand
from jobs.monitoring.facts import system_facts
from netraven_site.accounts.roles import Role
from tests.factories import DeviceFactory, backup_outcome, user_in
from tests.support.stored import LABEL, store

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("web", "git_directory"),
]
TEXT = "hostname core\nend\n"


def ago(hours: float) -> datetime:
    return timezone.now() - timedelta(hours=hours)


def device(*tags: str, backed_up: float | None = None, made: float = 100) -> Device:
    """A device that was made, and backed up for the last time, so many hours ago."""
    made_device = DeviceFactory.create(tags=tags)
    Device.objects.filter(pk=made_device.pk).update(created_at=ago(made))
    if backed_up is not None:
        snapshot = store(made_device, TEXT)
        at = ago(backed_up)
        Snapshot.objects.filter(pk=snapshot.pk).update(collected_at=at, last_read_at=at)
    return made_device


def objective(tag: str, hours: int | None) -> None:
    Tag.objects.filter(name=tag).update(freshness_hours=hours)


def seen(one: Device) -> Any:
    return with_freshness(devices=Device.objects.filter(pk=one.pk)).get()


def counts(report: FreshnessReport) -> dict[str, int]:
    return {state.value: report.counts.of(state) for state in Freshness if report.counts.of(state)}


def test_the_strictest_tag_says_how_old_a_backup_may_be() -> None:
    both, access, untagged = (
        device("core", "access", backed_up=7),
        device("access", backed_up=7),
        device("spare", backed_up=25),
    )
    objective("core", 6)
    objective("access", 24)
    assert (seen(both).objective_hours, seen(both).freshness) == (6, Freshness.STALE)
    assert (seen(access).objective_hours, seen(access).freshness) == (24, Freshness.FRESH)
    assert (seen(untagged).objective_hours, seen(untagged).freshness) == (24, Freshness.STALE)
    late = timezone.now() - seen(both).due_at
    assert late.total_seconds() == pytest.approx(3600, abs=60)
    assert [seen(one).is_overdue for one in (both, access, untagged)] == [True, False, True]


def test_the_setting_counts_only_where_no_tag_asks_for_anything(
    configure: Callable[..., None],
) -> None:
    relaxed, plain = device("archive", backed_up=100), device(backed_up=100)
    objective("archive", 8760)
    assert (seen(relaxed).freshness, seen(plain).freshness) == (Freshness.FRESH, Freshness.STALE)
    configure(freshness_hours=0)
    assert (seen(plain).freshness, seen(plain).due_at) == (Freshness.NO_OBJECTIVE, None)
    assert not seen(plain).is_overdue


def test_a_device_that_was_never_backed_up_is_due_from_when_it_was_made(
    configure: Callable[..., None],
) -> None:
    young, old = device(made=1), device(made=30)
    assert {seen(one).freshness for one in (young, old)} == {Freshness.NEVER}
    assert (seen(young).is_overdue, seen(old).is_overdue) == (False, True)
    assert seen(young).last_backup_at is None
    configure(freshness_hours=0)
    assert (seen(old).freshness, seen(old).is_overdue) == (Freshness.NEVER, False)


def test_an_unchanged_read_is_a_backup() -> None:
    one = device(backed_up=50)
    backup_store(device=one, outcome=backup_outcome(TEXT), label=LABEL)
    assert seen(one).freshness == Freshness.FRESH


def test_what_is_not_in_git_or_not_trusted_is_no_backup() -> None:
    waiting, suspect = device(backed_up=50), device(backed_up=50)
    store(waiting, "hostname new\nend\n", commit=False)
    outcome = backup_outcome("hostname\n", suspicions=("cut off",))
    backup_store(device=suspect, outcome=outcome, label=LABEL)
    assert {seen(one).freshness for one in (waiting, suspect)} == {Freshness.STALE}


def test_an_imported_history_is_no_backup_until_the_device_is_read() -> None:
    one = device(backed_up=1)
    Snapshot.objects.update(imported_from="oxidized /srv/configs")
    assert seen(one).freshness == Freshness.NEVER
    backup_store(device=one, outcome=backup_outcome(TEXT), label=LABEL)
    assert seen(one).freshness == Freshness.FRESH


def test_devices_are_counted_in_all_and_by_tag() -> None:
    device("core", "berlin", backed_up=7)
    device("core", backed_up=1)
    device("berlin", made=200)
    Device.objects.filter(pk=device("berlin").pk).update(is_active=False)
    objective("core", 6)
    Tag.objects.create(name="empty")
    Tag.objects.create(name="planned", freshness_hours=1)
    report = freshness_report()
    assert counts(report) == {"stale": 1, "fresh": 1, "never": 1}
    assert (report.default_hours, report.counts.total, report.counts.overdue) == (24, 3, 2)
    rows = {
        one.tag: (one.objective_hours, one.counts.total, one.counts.overdue) for one in report.tags
    }
    assert rows == {"berlin": (None, 2, 2), "core": (6, 2, 1), "planned": (1, 0, 0)}
    assert freshness_counts() == report.counts
    assert any(line.startswith("2 devices should") for line in needs_a_hand(facts=system_facts()))


def test_the_queries_do_not_grow_with_devices_and_tags() -> None:
    for number in range(5):
        device("core", f"site{number}", backed_up=1)
    with CaptureQueriesContext(connection) as queries:
        freshness_report()
    assert len(queries) == 2


def test_the_api_counts_and_lists_what_the_caller_sees(client: Client) -> None:
    mine, _ = device("berlin", backed_up=48), device("paris", backed_up=48)
    fresh = device("berlin", backed_up=1)
    user = user_in(Role.VIEWER)
    TagLimit.objects.create(user=user).tags.set(Tag.objects.filter(name="berlin"))
    client.force_login(user)
    answer = client.get("/api/v1/freshness/").json()
    assert answer["counts"] == {
        "total": 2,
        "fresh": 1,
        "stale": 1,
        "never": 0,
        "no_objective": 0,
        "overdue": 1,
    }
    assert [one["tag"] for one in answer["tags"]] == ["berlin"]
    listed = client.get("/api/v1/freshness/devices/").json()["results"]
    assert [one["id"] for one in listed] == [mine.pk, fresh.pk]
    assert (listed[0]["freshness"], listed[0]["tags"]) == ("stale", ["berlin"])
    due = datetime.fromisoformat(listed[0]["due_at"]).astimezone(UTC)
    assert due - datetime.fromisoformat(listed[0]["last_backup_at"]) == timedelta(hours=24)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("freshness=never", ["new"]),
        ("is_overdue=true", ["old", "new"]),
        ("tag=CORE", ["good"]),
        ("search=ol", ["old"]),
        ("ordering=-hostname", ["old", "new", "good"]),
    ],
)
def test_the_list_is_filtered_by_state_and_tag(
    client: Client, query: str, found: list[str]
) -> None:
    rows = [device(made=30), device(backed_up=60), device("core", backed_up=1)]
    for one, name in zip(rows, ("new", "old", "good"), strict=True):
        Device.objects.filter(pk=one.pk).update(hostname=name)
    client.force_login(user_in(Role.VIEWER))
    listed = client.get(f"/api/v1/freshness/devices/?{query}").json()["results"]
    assert [one["hostname"] for one in listed] == found


def test_the_admin_shows_the_most_overdue_device_first(client: Client) -> None:
    rows = [device(backed_up=1), device(backed_up=60), device(made=1)]
    client.force_login(user_in(Role.VIEWER))
    page = client.get("/admin/backups/devicefreshness/").content.decode()
    assert page.index(rows[1].hostname) < page.index(rows[0].hostname)
    page = client.get("/admin/backups/devicefreshness/?freshness=never").content.decode()
    assert rows[2].hostname in page and rows[0].hostname not in page
    assert client.get(f"/admin/backups/devicefreshness/{rows[1].pk}/change/").status_code == 200


@pytest.mark.parametrize("hours", [0, -1, 8761, "NaN", 1e400, "soon"])
def test_an_objective_is_a_number_of_hours(client: Client, hours: Any) -> None:
    client.force_login(user_in(Role.OPERATOR))
    body = {"name": "core", "freshness_hours": hours}
    answer = client.post("/api/v1/tags/", body, content_type="application/json")
    assert answer.status_code == 400
    body["freshness_hours"] = 6
    answer = client.post("/api/v1/tags/", body, content_type="application/json")
    assert answer.json()["freshness_hours"] == 6
