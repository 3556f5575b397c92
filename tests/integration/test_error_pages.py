"""What a person sees when a page cannot be shown."""

from __future__ import annotations

import pytest
from django.template.loader import render_to_string
from django.test import Client


@pytest.mark.django_db
def test_an_unknown_page_says_so_and_leads_back(web: None, client: Client) -> None:
    answer = client.get("/no/such/<page>")
    assert answer.status_code == 404
    assert b"There is no such page" in answer.content
    assert b'href="/"' in answer.content
    assert b"<page>" not in answer.content


@pytest.mark.parametrize(
    ("name", "said"), [("403.html", "You may not see this page"), ("500.html", "on our side")]
)
def test_the_other_pages_need_nothing_but_themselves(name: str, said: str) -> None:
    assert said in render_to_string(name)
