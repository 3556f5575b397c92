"""The pages that show the API: for who is logged in, and without any other host."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from tests.factories import UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

PAGES = ["/api/v1/docs/", "/api/v1/docs/redoc/"]


def _sources(html: str) -> list[str]:
    return [source.replace("&amp;", "&") for source in re.findall(r'(?:src|href)="([^"]*)"', html)]


@pytest.mark.parametrize("page", PAGES)
def test_pages_ask_no_other_host_and_hold_no_script(client: Client, page: str) -> None:
    client.force_login(UserFactory.create())
    answer = client.get(page)
    html = answer.content.decode()
    assert answer.status_code == 200
    assert not re.search(r"https?://", html)
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", html)
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    sources = _sources(html)
    assert sources
    for source in sources:
        if source.startswith("/static/"):
            assert finders.find(source.removeprefix("/static/")), source
        else:
            script = client.get(source)
            assert script.status_code == 200 and "SwaggerUIBundle" in script.content.decode()
            assert script["Content-Type"].startswith("application/javascript")


@pytest.mark.parametrize("page", PAGES)
def test_who_is_not_logged_in_is_sent_to_the_log_in(client: Client, page: str) -> None:
    answer = client.get(page)
    assert (answer.status_code, answer["Location"]) == (302, f"/admin/login/?next={page}")


def _request_examples() -> list[tuple[str, Any]]:
    """Address and body of every example of a call that makes something."""
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    return [
        (path, example["value"])
        for path, operations in paths.items()
        for content in operations.get("post", {}).get("requestBody", {}).get("content", {}).values()
        for example in content.get("examples", {}).values()
        if not path.endswith("bulk-delete/")
    ]


def test_the_examples_of_the_description_work_as_they_are(client: Client) -> None:
    admin = UserFactory.create(username="admin", is_superuser=True)
    admin.set_password("correct-horse-battery")
    admin.save()
    client.force_login(admin)
    examples = _request_examples()
    assert {"/api/v1/token/", "/api/v1/devices/", "/api/v1/jobs/bulk/"} <= {
        path for path, _ in examples
    }
    for path, body in examples:
        answer = client.post(f"{path}?upsert=true", body, content_type="application/json")
        assert answer.status_code in {200, 201}, (path, answer.content)
