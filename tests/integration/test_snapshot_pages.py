"""Stored revisions in the admin: bounded differences, and lists that stay quick."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from backups.models import Snapshot
from inventory.models import Device
from tests.factories import DeviceFactory, UserFactory
from tests.support.history import copy_rows, store_texts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("git_directory", "web")]


@pytest.fixture
def browser(client: Client) -> Client:
    client.force_login(UserFactory.create(is_superuser=True, is_staff=True))
    return client


@pytest.fixture
def device() -> Device:
    return DeviceFactory.create()


def shown(browser: Client, snapshot: Snapshot) -> str:
    answer = browser.get(reverse("admin:backups_snapshot_change", args=[snapshot.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_change_is_shown_up_to_a_limit(browser: Client, device: Device) -> None:
    long = "".join(f"line {number}\n" for number in range(2_500))
    first, second, third = store_texts(device, ["a\n", "a\nb\n", f"a\nb\n{long}"])
    assert "This is the first revision." in shown(browser, first)
    page = shown(browser, second)
    assert "+b\n" in page and "more lines" not in page
    page = shown(browser, third)
    assert "+line 1994\n" in page and "+line 1995\n" not in page
    assert "… and 505 more lines" in page


def test_a_change_that_means_nothing_says_so(browser: Client, device: Device) -> None:
    _, second = store_texts(device, ["ntp clock-period 1\n", "ntp clock-period 2\n"])
    assert "Nothing but lines that change by themselves." in shown(browser, second)


def test_a_lost_text_says_so(browser: Client, device: Device) -> None:
    snapshots = store_texts(device, ["a\n", "b\n"])
    Snapshot.objects.update(state="LOST")
    assert "is not in the Git store" in shown(browser, snapshots[1])


def test_the_list_asks_the_same_few_queries_and_reads_no_text(
    browser: Client, device: Device
) -> None:
    snapshots = store_texts(device, ["a\n", "b\n"])
    counts = []
    for rows in (3, 90):
        copy_rows(snapshots, rows)
        with CaptureQueriesContext(connection) as queries:
            answer = browser.get(reverse("admin:backups_snapshot_changelist"))
        assert answer.status_code == 200
        assert not [query for query in queries if "pending_text" in query["sql"]]
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 8
