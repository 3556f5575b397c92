"""The platforms in the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from inventory.platforms import platform_names
from tests.factories import user_with

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

PLATFORMS = "/api/v1/platforms/"


@pytest.fixture
def viewer(client: Client) -> Client:
    client.force_login(user_with("inventory.view_device"))
    return client


def names(client: Client, query: str) -> list[str]:
    answer = client.get(f"{PLATFORMS}?{query}")
    assert answer.status_code == 200, answer.content
    return [row["name"] for row in answer.json()["results"]]


def test_the_list_has_every_platform_that_can_be_used(viewer: Client) -> None:
    assert names(viewer, "size=500") == list(platform_names())
    assert names(viewer, "size=500&ordering=-name") == list(platform_names())[::-1]
    assert names(viewer, "search=JUNIPER") == ["juniper_junos", "juniper_screenos"]
    assert names(viewer, "name=frr") == ["frr"]
    assert "frr" not in names(viewer, "size=500&changes_device=true")


def test_one_platform_has_its_commands(viewer: Client) -> None:
    platform: dict[str, Any] = viewer.get(f"{PLATFORMS}cisco_ios/").json()
    assert platform["driver"] == "cisco_ios"
    assert {"command": "show startup-config", "role": "startup-config", "fallback": []} in (
        platform["commands"]
    )


def test_a_name_that_is_no_platform_is_not_found_and_told_what_is_near(viewer: Client) -> None:
    answer = viewer.get(f"{PLATFORMS}cisco_oss/")
    assert answer.status_code == 404
    assert "cisco_ios" in answer.json()["error"]["message"]


def test_platforms_are_for_who_may_see_devices(client: Client) -> None:
    client.force_login(user_with("jobs.view_job"))
    assert client.get(PLATFORMS).status_code == 403
