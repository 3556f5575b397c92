"""What all pages share: the log-in, rights, filters, order, paging, parts for htmx."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.template import Context, Template
from django.test import Client
from django.utils import timezone

from jobs.choices import RunStatus
from jobs.pages.filters import QuickSelect
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


def drawn(tag: str, **context: object) -> str:
    return Template(f"{{% load pages %}}{{% {tag} %}}").render(Context(context))


def test_tags_are_links_to_their_devices_whatever_their_names() -> None:
    links = drawn("tag_links names", names=["core", "R&D/'<b>"])
    assert links == (
        '<a class="nr-tag" href="?tag=core">core</a>'
        '<a class="nr-tag" href="?tag=R%26D%2F%27%3Cb%3E">R&amp;D/&#x27;&lt;b&gt;</a>'
    )


@pytest.mark.parametrize("view", ["jobs:device", "jobs:run", "jobs:device-back-up"])
def test_the_address_of_a_row_is_that_of_its_view(view: str) -> None:
    addresses = Template("{% load pages %}{% row_url view 17 %} {% url view 17 %}")
    quick, plain = addresses.render(Context({"view": view})).split()
    assert quick == plain


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=61), "1\xa0minute ago"),
        (timedelta(hours=47), "1\xa0day ago"),
        (timedelta(days=13), "1\xa0week ago"),
        (timedelta(days=400), "1\xa0year ago"),
        (timedelta(days=-3, seconds=-5), "in 3\xa0days"),
        (timedelta(seconds=-20), "in 0\xa0minutes"),
    ],
)
def test_times_are_told_as_a_distance(ago: timedelta, words: str) -> None:
    assert f">{words}</time>" in drawn("when moment", moment=timezone.now() - ago)


def test_a_quick_list_of_choices_escapes_them_and_keeps_the_choice() -> None:
    choices = [("", "All"), ('"><b>', "a <b> & c")]
    drawn_list = QuickSelect(choices=choices).render("tag", '"><b>', {"id": "id_tag"})
    assert drawn_list == (
        '<select id="id_tag" name="tag"><option value="">All</option>'
        '<option value="&quot;&gt;&lt;b&gt;" selected>a &lt;b&gt; &amp; c</option></select>'
    )
