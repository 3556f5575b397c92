"""The last check of the store: kept by whoever checks, shown where somebody looks."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from backups.models import Snapshot, StoreCheck
from backups.services.store_checks import store_check_last
from jobs.monitoring.attention import needs_a_hand
from jobs.monitoring.facts import system_facts
from netraven_site.accounts.roles import Role
from tests.factories import user_in
from tests.support.pages import few_queries, part
from tests.support.stored import delete_objects, store_some

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]


def verify(*arguments: str) -> None:
    try:
        call_command("verify_store", *arguments, stdout=io.StringIO(), stderr=io.StringIO())
    except SystemExit:
        return


def page(client: Client) -> str:
    client.force_login(user_in(Role.VIEWER))
    with few_queries():
        answer = client.get("/system/", headers=part("nr-installation"))
    return str(answer.content.decode())


def troubles() -> str:
    return "\n".join(needs_a_hand(facts=system_facts()))


def test_a_store_that_was_never_checked_says_what_to_do(
    client: Client, git_directory: Path
) -> None:
    assert store_check_last() is None
    shown = page(client)
    assert "never; the scheduler asks for one every Sunday" in shown
    assert "run <code>python manage.py verify_store" in shown
    assert "the check of the store" not in troubles()


def test_a_clean_check_is_kept_and_the_last_one_counts(client: Client, git_directory: Path) -> None:
    store_some()
    verify()
    StoreCheck.objects.update(checked_at=timezone.now() - timedelta(days=30))
    verify()
    check = store_check_last()
    assert check is not None
    assert timezone.now() - check.checked_at < timedelta(minutes=1)
    assert (check.checked["snapshots"], list(check.problems)) == (9, [])
    shown = page(client)
    assert "nothing is wrong" in shown
    assert "9 snapshots" in shown


def test_what_is_wrong_is_told_with_what_to_do_until_it_is_mended(
    client: Client, git_directory: Path
) -> None:
    store_some()
    delete_objects(git_directory)
    verify()
    check = store_check_last()
    assert check is not None
    assert check.problems
    shown = page(client)
    for found in check.problems:
        assert f"{found.problem}: {found.count}" in shown
    assert "verify_store --repair" in shown
    assert "the check of the store" in troubles()
    answer = client.get("/api/v1/system/").json()["git_store"]["last_check"]
    assert answer["problems"][0]["what_to_do"]
    verify("--repair")
    assert "the check of the store" not in troubles()


def test_a_check_of_one_device_says_nothing_about_the_store(git_directory: Path) -> None:
    store_some()
    verify("--device", Snapshot.objects.latest("pk").device.hostname)
    assert store_check_last() is None


def test_a_problem_that_this_version_does_not_know_is_told_all_the_same() -> None:
    StoreCheck.objects.create(
        pk=1, checked_at=timezone.now(), seconds=1, problems={"gone": 2}, problem_count=2
    )
    check = store_check_last()
    assert check is not None
    [found] = check.problems
    assert (found.problem, found.count) == ("gone", 2)
    assert "verify_store" in found.what_to_do
