"""Backing devices up and testing their connection from the admin's list of devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobs.models import JobRun
from netraven_site.accounts.roles import Role
from tests.factories import DeviceFactory, user_in
from tests.support.pages import limited_to

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]
DEVICES = "/admin/inventory/device/"


@pytest.fixture
def log_in(client: Client) -> Callable[..., User]:
    def log_in(role: Role) -> User:
        user = user_in(role)
        client.force_login(user)
        return user

    return log_in


def act(client: Client, name: str, *devices: Any) -> Any:
    chosen = {"action": name, "_selected_action": [device.pk for device in devices]}
    return client.post(DEVICES, chosen, follow=True)


def test_the_active_ones_of_the_ticked_devices_are_backed_up(
    client: Client, log_in: Callable[..., User]
) -> None:
    operator = log_in(Role.OPERATOR)
    core, idle = DeviceFactory.create(hostname="core"), DeviceFactory.create(is_active=False)
    DeviceFactory.create(hostname="not-ticked")
    page = act(client, "back_up_now", core, idle)
    run = JobRun.objects.get()
    assert [result.hostname for result in run.results.all()] == ["core"]
    assert run.requested_by == operator
    link = f'<a href="/runs/{run.pk}/">Run {run.pk}</a> backs up 1 devices.'
    assert link in page.content.decode()
    page = act(client, "back_up_now", idle)
    assert b"active" in page.content
    assert JobRun.objects.count() == 1


def test_a_limited_operator_backs_up_devices_of_theirs_only(
    client: Client, log_in: Callable[..., User]
) -> None:
    limited_to(log_in(Role.OPERATOR), "wien")
    own, other = DeviceFactory.create(tags=["wien"]), DeviceFactory.create(tags=["graz"])
    act(client, "back_up_now", own, other)
    assert [result.device for result in JobRun.objects.get().results.all()] == [own]


@pytest.mark.parametrize("name", ["back_up_now", "test_connection"])
def test_who_may_not_run_jobs_is_not_offered_it_and_cannot_send_it(
    client: Client, log_in: Callable[..., User], name: str
) -> None:
    log_in(Role.VIEWER)
    device = DeviceFactory.create()
    assert f'value="{name}"' not in client.get(DEVICES).content.decode()
    answer = act(client, name, device)
    assert b"no active credential fits" not in answer.content
    assert not JobRun.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_connection_test_says_how_far_it_got(client: Client, log_in: Callable[..., User]) -> None:
    log_in(Role.OPERATOR)
    page = act(client, "test_connection", DeviceFactory.create(hostname="core"))
    assert b"no active credential fits" in page.content
    assert f'<a href="{DEVICES}">Back</a>' in page.content.decode()


def test_more_connections_than_the_browser_waits_for_are_refused(
    client: Client, log_in: Callable[..., User]
) -> None:
    log_in(Role.OPERATOR)
    devices = [DeviceFactory.create() for _ in range(9)]
    assert b"tick fewer" in act(client, "test_connection", *devices).content
