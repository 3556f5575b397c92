"""The list of devices, and what is done to many of them at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from backups.models import Snapshot
from backups.services.store import RunLabel, backup_store
from inventory.models import Device
from jobs.choices import ResultStatus
from jobs.models import JobRun
from netraven_site.accounts.roles import Role
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobRunFactory,
    ZoneFactory,
    backup_outcome,
)
from tests.support.pages import few_queries, part, said

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]


def shown(client: Client, query: str = "") -> list[str]:
    page = client.get(f"/devices/?{query}")
    assert page.status_code == 200
    return [device.hostname for device in page.context["page_obj"]]


def ended(device: Device, status: ResultStatus) -> None:
    DeviceResultFactory.create(
        device=device, status=status.value, finished_at=timezone.now(), error_message="no route"
    )


@pytest.fixture
def three() -> dict[str, Device]:
    zone = ZoneFactory.create(name="dmz")
    core = DeviceFactory.create(hostname="core", ip_address="192.0.2.10", tags=["berlin"])
    edge = DeviceFactory.create(
        hostname="edge", ip_address="198.51.100.7", platform="juniper_junos", tags=["wien"]
    )
    lab = DeviceFactory.create(hostname="lab", zone=zone, is_active=False, tags=["wien", "lab"])
    ended(core, ResultStatus.FAILED)
    ended(core, ResultStatus.SUCCEEDED)
    ended(edge, ResultStatus.FAILED)
    return {"core": core, "edge": edge, "lab": lab}


@pytest.mark.parametrize(
    ("query", "hostnames"),
    [
        ("", ["core", "edge", "lab"]),
        ("q=198.51", ["edge"]),
        ("q=CoR", ["core"]),
        ("tag=wien", ["edge", "lab"]),
        ("platform=juniper_junos", ["edge"]),
        ("zone=dmz", ["lab"]),
        ("result=FAILED", ["edge"]),
        ("result=SUCCEEDED", ["core"]),
        ("result=NONE", ["lab"]),
        ("state=inactive", ["lab"]),
        ("tag=wien&state=active", ["edge"]),
        ("ordering=-platform", ["edge", "core", "lab"]),
    ],
)
def test_the_list_is_narrowed_by_its_address(
    client: Client, operator: User, three: dict[str, Device], query: str, hostnames: list[str]
) -> None:
    assert shown(client, query) == hostnames


@pytest.mark.parametrize(
    "query", ["tag=%00", "zone=%00", "q=%00", "platform=x", "result='", "state=core", "tag=gone"]
)
def test_a_filter_that_cannot_be_shows_nothing(
    client: Client, operator: User, three: dict[str, Device], query: str
) -> None:
    assert shown(client, query) == []


def test_the_list_says_how_the_last_backup_went(
    client: Client, operator: User, three: dict[str, Device]
) -> None:
    backup_store(
        device=three["core"], outcome=backup_outcome(), label=RunLabel(run_id=1, job_name="x")
    )
    Snapshot.objects.update(state="COMMITTED", commit="c" * 40, pending_text="")
    page = client.get("/devices/?q=core")
    [device] = page.context["page_obj"]
    assert device.last_result["status"] == "SUCCEEDED"
    assert timezone.now() - device.last_backup_at < timedelta(minutes=1)
    assert b"Succeeded" in page.content


def test_the_page_asks_little_however_many_devices(client: Client, operator: User) -> None:
    run = JobRunFactory.create()
    for number in range(40):
        device = DeviceFactory.create(tags=[f"t{number}", "all"])
        DeviceResultFactory.create(device=device, run=run)
    with few_queries():
        client.get("/devices/?tag=all&zone=dmz&result=PENDING&ordering=backup")


def test_names_from_outside_are_text_on_the_page(client: Client, operator: User) -> None:
    device = DeviceFactory.create(description="x")
    Device.objects.filter(pk=device.pk).update(hostname="<script>alert(1)</script>")
    for address in ("/devices/", f"/devices/{device.pk}/"):
        assert b"<script>alert(1)" not in client.get(address).content


# --- Deeds --------------------------------------------------------------------------------------


def test_ticked_devices_are_backed_up(
    client: Client, operator: User, three: dict[str, Device]
) -> None:
    ids = [three["core"].pk, three["lab"].pk]
    answer = client.post("/devices/back-up/", {"which": "ticked", "device": ids})
    run = JobRun.objects.order_by("pk").last()
    assert run is not None
    assert answer["Location"] == f"/runs/{run.pk}/"
    assert [result.hostname for result in run.results.all()] == ["core"]
    assert (run.job, run.requested_by) == (None, operator)


def test_all_that_fit_the_filters_are_backed_up(
    client: Client, operator: User, three: dict[str, Device]
) -> None:
    client.post("/devices/back-up/?platform=cisco_ios", {"which": "all"})
    [run] = JobRun.objects.filter(job=None)
    assert [result.hostname for result in run.results.all()] == ["core"]


@pytest.mark.parametrize(
    ("query", "form"),
    [
        ("", {"which": "ticked"}),
        ("", {"device": ["x", "-1", "9" * 30]}),
        ("?zone=nonsense", {"which": "all"}),
    ],
)
def test_without_a_device_nothing_is_backed_up(
    client: Client, operator: User, three: dict[str, Device], query: str, form: dict[str, object]
) -> None:
    answer = client.post(f"/devices/back-up/{query}", form)
    assert answer["Location"] == f"/devices/{query}"
    assert "choose at least one" in said(answer)
    assert not JobRun.objects.filter(job=None).exists()


def test_tags_are_given_and_taken_away(
    client: Client, operator: User, three: dict[str, Device]
) -> None:
    answer = client.post(
        "/devices/tag/?q=e&tag=berlin", {"which": "all", "tag": "lab", "action": "add"}
    )
    assert answer["Location"] == "/devices/?q=e&tag=berlin"
    assert shown(client, "tag=lab") == ["core", "lab"]
    client.post("/devices/tag/", {"which": "all", "tag": "lab", "action": "remove"})
    assert shown(client, "tag=lab") == []


def test_a_tag_that_is_not_chosen_changes_nothing(
    client: Client, operator: User, three: dict[str, Device]
) -> None:
    assert "Choose the tag" in said(client.post("/devices/tag/", {"which": "all", "tag": "\x00"}))


def test_more_connections_than_the_browser_waits_for_are_refused(
    client: Client, operator: User
) -> None:
    for _ in range(9):
        DeviceFactory.create()
    assert "tick fewer" in said(client.post("/devices/test/", {"which": "all"}))


@pytest.mark.django_db(transaction=True)
def test_a_connection_test_says_how_far_it_got(client: Client, operator: User) -> None:
    device = DeviceFactory.create(hostname="core")
    page = client.post("/devices/test/", {"device": [device.pk]})
    assert b"no active credential fits" in page.content
    answer = client.post(f"/devices/{device.pk}/test/", headers=part("nr-test"))
    assert b"<html" not in answer.content
    assert b"no active credential fits" in answer.content


# --- Who may ------------------------------------------------------------------------------------

ACTIONS = ("back-up", "tag", "test")


@pytest.mark.parametrize("action", ACTIONS)
def test_viewers_do_nothing_to_devices(
    client: Client, log_in: Callable[..., User], three: dict[str, Device], action: str
) -> None:
    log_in(Role.VIEWER)
    assert client.post(f"/devices/{action}/", {"which": "all", "tag": "lab"}).status_code == 403
    assert client.get(f"/devices/{action}/").status_code == 403
    page = client.get("/devices/").content
    assert b"Back up now" not in page
    assert b"Add tag" not in page


@pytest.mark.parametrize("action", ACTIONS)
def test_actions_need_the_token_of_the_page(operator: User, action: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator)
    assert client.post(f"/devices/{action}/", {"which": "all"}).status_code == 403


def test_limited_users_see_and_back_up_their_devices_only(
    client: Client, log_in: Callable[..., User], three: dict[str, Device]
) -> None:
    log_in(Role.OPERATOR, only=("wien",))
    assert shown(client) == ["edge", "lab"]
    assert shown(client, "q=core") == []
    assert b"berlin" not in client.get("/devices/").content
    client.post("/devices/back-up/", {"device": [device.pk for device in three.values()]})
    [run] = JobRun.objects.filter(job=None)
    assert [result.hostname for result in run.results.all()] == ["edge"]


def test_limited_users_give_and_take_their_own_tags(
    client: Client, log_in: Callable[..., User], three: dict[str, Device]
) -> None:
    log_in(Role.OPERATOR, only=("wien",))
    ids = [device.pk for device in three.values()]
    for tag in ("berlin", "lab"):
        answer = client.post("/devices/tag/", {"device": ids, "tag": tag, "action": "remove"})
        assert "Choose the tag" in said(answer)
    answer = client.post("/devices/tag/", {"device": ids, "tag": "wien", "action": "remove"})
    assert "the only tag of yours on" in said(answer)
    assert three["edge"].tags.filter(name="wien").exists()
    client.post("/devices/tag/", {"device": ids, "tag": "wien", "action": "add"})
    assert not three["core"].tags.filter(name="wien").exists()


# --- One device ---------------------------------------------------------------------------------


def test_a_device_tells_facts_results_and_what_happened(
    client: Client, operator: User, three: dict[str, Device]
) -> None:
    core = three["core"]
    label = RunLabel(run_id=1, job_name="x")
    backup_store(device=core, outcome=backup_outcome("a\nend\n"), label=label)
    backup_store(device=core, outcome=backup_outcome("b\nend\n"), label=label)
    Device.objects.filter(pk=core.pk).update(model="C9300", has_unsaved_config=True)
    with few_queries():
        page = client.get(f"/devices/{core.pk}/")
    for words in (b"192.0.2.10", b"C9300", b"Not saved", b"no route", b"berlin"):
        assert words in page.content
    assert b"/diff/?to=" not in page.content, "the first revision changed nothing"
    core.snapshots.update(change_digest="d" * 64)
    assert client.get(f"/devices/{core.pk}/").content.count(b"/diff/?to=") == 2
    kinds = [entry.snapshot is not None for entry in page.context["entries"]]
    assert kinds == [True, True, False]


def test_the_timeline_is_paged(client: Client, operator: User) -> None:
    device = DeviceFactory.create()
    now = timezone.now()
    for minutes in range(25):
        DeviceResultFactory.create(
            device=device, status="FAILED", finished_at=now - timedelta(minutes=25 - minutes)
        )
    seen = []
    for number in (1, 2):
        page = client.get(f"/devices/{device.pk}/?timeline={number}", headers=part("nr-timeline"))
        assert b"<html" not in page.content
        seen += [entry.result.pk for entry in page.context["entries"]]
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 25
    assert b"Older" not in page.content


@pytest.mark.parametrize("timeline", ["x", "0", "-1", "99999", "%00"])
def test_nonsense_in_the_timeline_is_passed_over(
    client: Client, operator: User, timeline: str
) -> None:
    device = DeviceFactory.create()
    assert client.get(f"/devices/{device.pk}/?timeline={timeline}").status_code == 200


def test_credentials_are_explained_and_never_shown(client: Client, operator: User) -> None:
    CredentialFactory.create(name="site", tags=["berlin"])
    device = DeviceFactory.create(tags=["berlin"])
    with few_queries():
        page = client.get(f"/devices/{device.pk}/credentials/")
    assert b"shares the tag berlin" in page.content
    assert b"CANARY" not in page.content


def test_the_breaker_is_reset_by_who_may_change_devices(
    client: Client, log_in: Callable[..., User]
) -> None:
    device = DeviceFactory.create()
    until = timezone.now() + timedelta(hours=1)
    Device.objects.update(connection_failures=5, skipped_until=until, skip_reason="no route")
    log_in(Role.VIEWER)
    page = client.get(f"/devices/{device.pk}/").content
    assert b"5 failures in a row" in page
    assert b"Reset the circuit breaker" not in page
    assert client.post(f"/devices/{device.pk}/reset-breaker/").status_code == 403
    log_in(Role.OPERATOR)
    assert b"Reset the circuit breaker" in client.get(f"/devices/{device.pk}/").content
    client.post(f"/devices/{device.pk}/reset-breaker/")
    device.refresh_from_db()
    assert (device.connection_failures, device.skipped_until) == (0, None)


def test_only_the_host_key_that_was_shown_is_accepted(client: Client, operator: User) -> None:
    device = DeviceFactory.create()
    offered = "ssh-ed25519 QUFBQQ=="
    Device.objects.update(host_key="ssh-ed25519 QkJCQg==", offered_host_key=offered)
    address = f"/devices/{device.pk}/accept-host-key/"
    answer = client.post(address, {"fingerprint": "SHA256:wrong"})
    assert "another key" in said(answer)
    device.refresh_from_db()
    client.post(address, {"fingerprint": device.offered_fingerprint})
    device.refresh_from_db()
    assert device.host_key == offered


def test_an_inactive_device_is_not_backed_up(client: Client, operator: User) -> None:
    device = DeviceFactory.create(is_active=False)
    answer = client.post(f"/devices/{device.pk}/back-up/", {"next": "https://evil.example/"})
    assert answer["Location"] == f"/devices/{device.pk}/"
    assert "is inactive" in said(answer)


@pytest.mark.parametrize("path", ["", "credentials/"])
def test_devices_of_others_are_not_there(
    client: Client, log_in: Callable[..., User], three: dict[str, Device], path: str
) -> None:
    log_in(Role.OPERATOR, only=("wien",))
    assert client.get(f"/devices/{three['core'].pk}/{path}").status_code == 404
    assert client.get(f"/devices/{three['edge'].pk}/{path}").status_code == 200
    for action in ("back-up", "test", "reset-breaker", "accept-host-key"):
        assert client.post(f"/devices/{three['core'].pk}/{action}/").status_code == 404
