"""What all pages share: the log-in, rights, filters, order, paging, parts for htmx."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobs.choices import RunStatus
from tests.factories import JobRunFactory, UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]


def test_strangers_are_sent_to_the_log_in_and_back(client: Client) -> None:
    answer = client.get("/runs/?status=RUNNING")
    assert answer.status_code == 302
    assert answer["Location"] == "/admin/login/?next=/runs/%3Fstatus%3DRUNNING"


def test_a_page_that_the_role_does_not_include_says_so(client: Client) -> None:
    client.force_login(UserFactory.create(is_staff=True))
    answer = client.get("/runs/")
    assert answer.status_code == 403
    assert b"You may not see this page" in answer.content


def test_filters_order_and_paging_stand_in_the_address(client: Client, operator: User) -> None:
    for number in range(30):
        JobRunFactory.create(job_name=f"job-{number:02}", status=RunStatus.RUNNING)
    page = client.get("/runs/?status=RUNNING&ordering=job&size=25&page=2")
    assert [run.job_name for run in page.context["runs"]] == [f"job-{n}" for n in range(25, 30)]
    text = page.content.decode()
    assert 'aria-sort="ascending"' in text
    assert "?status=RUNNING&amp;ordering=-job&amp;size=25" in text
    assert "page 2 of 2" in text


@pytest.mark.parametrize(
    "query", ["page=abc", "page=-1", "page=999999999999", "size=0", "ordering=status;drop"]
)
def test_nonsense_in_the_address_is_passed_over(client: Client, operator: User, query: str) -> None:
    run = JobRunFactory.create()
    assert [row.pk for row in client.get(f"/runs/?{query}").context["runs"]] == [run.pk]


def test_a_wrong_filter_is_named_and_shows_nothing(client: Client, operator: User) -> None:
    JobRunFactory.create()
    page = client.get("/runs/?status=NONSENSE")
    assert b"Select a valid choice. NONSENSE is not one of the available choices." in page.content
    assert page.context["runs"] == []


def test_an_empty_list_says_what_to_do(client: Client, operator: User) -> None:
    assert b"Nothing has run yet" in client.get("/runs/").content
    assert b"Show all runs" in client.get("/runs/?status=RUNNING").content
