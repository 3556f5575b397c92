"""Users who are limited to tags: others' devices are not there, at no address and on no page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from backups.models import Archive, SecretUse, Snapshot, Suspect
from backups.services.store import RunLabel, backup_store
from credentials.models import Tag, TagLimit
from credentials.services import tags_ensure
from inventory.models import Device, JumpHost, Zone
from inventory.visibility import devices_visible_to
from jobs.choices import ResultStatus, RunStatus, Trigger
from jobs.launch import request_run
from jobs.models import ConnectionLog, DeviceResult, Job, JobLog, JobRun, PlatformDetection
from netraven_site.accounts.roles import Role
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobFactory,
    JobRunFactory,
    JumpHostFactory,
    PlatformDetectionFactory,
    UserFactory,
    ZoneFactory,
    backup_outcome,
    user_in,
)
from tests.support.admin_pages import registered
from tests.support.role_matrix import API, Question, api_questions

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web", "git_directory")]

TOKEN = "aaaaaaaa"
TEXT = "hostname {name}\nsnmp-server community <redacted:aaaaaaaa> RO\nend\n"


@dataclass(frozen=True, slots=True)
class Site:
    """All that there is of one device."""

    device: Device
    job: Job
    run: JobRun
    result: DeviceResult
    snapshot: Snapshot
    archive: Archive
    suspect: Suspect
    detection: PlatformDetection
    jump_host: JumpHost
    tag: Tag


def site(name: str) -> Site:
    device = DeviceFactory.create(hostname=f"{name}-core", tags=[name])
    job = JobFactory.create(name=f"{name}-nightly", tags=[name])
    run = JobRunFactory.create(
        job=job,
        status=RunStatus.COMPLETED_FAILURE.value,
        finished_at=timezone.now(),
        total_count=1,
        failed_count=1,
    )
    label = RunLabel(run_id=run.pk, job_name=job.name)
    for revision in (1, 2):
        text = TEXT.format(name=f"{name}-core-{revision}")
        backup_store(device=device, outcome=backup_outcome(text), label=label)
    backup_store(
        device=device, outcome=backup_outcome("cut off", suspicions=("too short",)), label=label
    )
    result = DeviceResultFactory.create(
        run=run,
        device=device,
        status=ResultStatus.FAILED.value,
        error_category="timeout",
        error_message=f"{name}-core did not answer",
        finished_at=timezone.now(),
    )
    ConnectionLog.objects.create(
        run=run, device=device, attempt=1, level="INFO", message=f"{name} connected"
    )
    JobLog.objects.create(run=run, level="INFO", message=f"{name} began")
    return Site(
        device=device,
        job=job,
        run=run,
        result=result,
        snapshot=Snapshot.objects.filter(device=device).first() or pytest.fail("no snapshot"),
        archive=Archive.objects.filter(device=device).first() or pytest.fail("no archive"),
        suspect=Suspect.objects.get(device=device),
        detection=PlatformDetectionFactory.create(device=device),
        jump_host=JumpHostFactory.create(name=f"{name}-jump", tags=[name]),
        tag=Tag.objects.get(name=name),
    )


@pytest.fixture
def mine() -> Site:
    return site("berlin")


@pytest.fixture
def others() -> Site:
    return site("paris")


def limited(user: User, *tags: str) -> User:
    limit = TagLimit.objects.create(user=user)
    limit.tags.set(tags_ensure(names=tags))
    return user


@pytest.fixture
def operator(mine: Site, others: Site) -> User:
    return limited(user_in(Role.OPERATOR, Role.RAW_READER), "berlin")


@pytest.fixture
def call(operator: User) -> Any:
    client = Client()
    client.force_login(operator)

    def ask(method: str, path: str, body: object = None) -> tuple[int, Any]:
        answer = client.generic(
            method, API + path, json.dumps(body or {}), content_type="application/json"
        )
        content = b"".join(answer) if answer.streaming else answer.content
        is_json = "json" in answer.headers.get("Content-Type", "")
        return answer.status_code, json.loads(content) if is_json else content.decode()

    return ask


def id_of(row: Site, address: str) -> int | str | None:
    """The id that the ``{id}`` of an address stands for; None for what is not of a device."""
    if "{token}" in address:
        return TOKEN
    rows = {
        "archives": row.archive,
        "device-results": row.result,
        "devices": row.device,
        "jobs": row.job,
        "jump-hosts": row.jump_host,
        "platform-detections": row.detection,
        "runs": row.run,
        "snapshots": row.snapshot,
        "suspects": row.suspect,
        "tags": row.tag,
    }
    named = rows.get(address.partition("/")[0])
    return None if named is None else named.pk


def with_ids(row: Site) -> Iterator[tuple[Question, str]]:
    """Every question whose address takes an id, and the path with that of ``row``."""
    for question in api_questions():
        pk = id_of(row, question.address)
        if "{" in question.address and pk is not None:
            yield question, re.sub(r"\{\w+\}", str(pk), question.address)


# --- The API ------------------------------------------------------------------------------------

#: What a request that changes something sends, so that it gets as far as the row.
BODY = {"reason": "look", "by": "cause", "key": "x", "fingerprint": "x"}
#: Limited users change these for nobody.
READ_ONLY = ("jump-hosts/", "tags/")


def test_guessed_ids_are_not_there(call: Any, others: Site) -> None:
    asked = 0
    for question, path in with_ids(others):
        if "{token}" in question.address:
            continue  # a secret, not a row; see the test of reports
        writes = question.method != "GET" and question.address.startswith(READ_ONLY)
        status, answer = call(question.method, f"{path}?name=x.bin", BODY)
        assert status == (403 if writes else 404), f"{question.method} {path}: {status} {answer}"
        assert "paris" not in str(answer)
        asked += 1
    assert asked > 35
    assert call("GET", f"devices/{others.device.pk}/diff/?other_device=1")[0] == 404
    others.device.refresh_from_db()
    assert JobRun.objects.count() == 2


def test_counting_ids_names_no_tag_of_others(call: Any, mine: Site, others: Site) -> None:
    path = f"devices/{mine.device.pk}/"
    for pk in (others.tag.pk, 987654):
        status, answer = call("PATCH", path, {"tags": [mine.tag.pk, pk]})
        assert status == 400
        assert answer["error"]["fields"] == {"tags": [f"There is no tag with the id {pk}."]}
    mine.device.tags.add(others.tag)
    assert call("PATCH", path, {"tags": [mine.tag.pk, others.tag.pk]})[0] == 200, "it has it"


def test_ones_own_ids_are_there(call: Any, mine: Site) -> None:
    for question, path in with_ids(mine):
        if question.method == "GET":
            status, answer = call("GET", path)
            assert status == 200, f"{path}: {status} {answer}"
            assert "paris" not in str(answer), path


def test_comparing_with_a_device_of_others(call: Any, mine: Site, others: Site) -> None:
    path = f"devices/{mine.device.pk}/diff/?other_device={others.device.pk}"
    assert call("GET", path)[0] == 404


def test_addresses_without_an_id_tell_nothing_of_others(call: Any, mine: Site) -> None:
    lists = 0
    for question in api_questions():
        if question.method != "GET" or "{" in question.address or question.address == "":
            continue
        query = "?q=hostname&count=true&min_devices=1&older_than_days=0&digest=&size=500"
        status, answer = call("GET", question.address + query)
        whole = question.address in ("users/", "audit/", "retention-policies/")
        if whole or question.address.startswith(("system/", "git-remotes/", "notification")):
            assert status == 403, question.address
            continue
        assert status == 200, f"{question.address}: {answer}"
        assert "paris" not in str(answer), question.address
        if isinstance(answer, dict) and answer.get("results"):
            assert answer["count"] == len(answer["results"]), question.address
            lists += 1
    assert lists >= 10


def test_shared_secrets_are_counted_among_ones_own_devices(call: Any, mine: Site) -> None:
    assert SecretUse.objects.filter(token=TOKEN).count() == 2
    _, shared = call("GET", "secrets/?min_devices=1")
    assert [row["device_count"] for row in shared["results"]] == [1]
    _, places = call("GET", f"secrets/{TOKEN}/")
    assert [(row["hostname"], row["shared_with"]) for row in places["results"]] == [
        ("berlin-core", 0)
    ]
    assert call("GET", "secrets/")[1]["count"] == 0


@pytest.fixture
def joint(mine: Site, others: Site) -> JobRun:
    """A run of a job for both sites, in which both devices failed."""
    job = JobFactory.create(name="all", tags=["berlin", "paris"])
    run = JobRunFactory.create(
        job=job,
        status=RunStatus.COMPLETED_FAILURE.value,
        status_reason="2 devices failed",
        finished_at=timezone.now(),
        total_count=2,
        failed_count=2,
    )
    for row in (mine, others):
        DeviceResultFactory.create(
            run=run,
            device=row.device,
            status=ResultStatus.FAILED.value,
            error_category="timeout",
            error_message=f"{row.device.hostname} did not answer",
            finished_at=timezone.now(),
        )
    return run


def test_of_a_joint_run_one_sees_ones_own_devices(call: Any, joint: JobRun) -> None:
    _, run = call("GET", f"runs/{joint.pk}/")
    assert (run["total_count"], run["failed_count"], run["status_reason"]) == (1, 1, "")
    _, runs = call("GET", "runs/")
    assert [row["total_count"] for row in runs["results"]] == [1, 1]
    for kind in ("json", "csv", "text"):
        status, report = call("GET", f"runs/{joint.pk}/report/?format={kind}")
        assert status == 200 and "berlin-core" in str(report) and "paris" not in str(report)
    _, failures = call("GET", f"runs/{joint.pk}/failures/")
    assert [group["count"] for group in failures["results"]] == [1]


def test_of_a_joint_run_one_tries_ones_own_devices_again(
    call: Any, joint: JobRun, mine: Site, others: Site
) -> None:
    foreign = joint.results.get(device=others.device)
    assert call("POST", f"runs/{joint.pk}/retry-failed/", {"results": [foreign.pk]})[0] == 409
    status, run = call("POST", f"runs/{joint.pk}/retry-failed/")
    assert status == 202
    retried = DeviceResult.objects.filter(run=run["id"]).values_list("hostname", flat=True)
    assert list(retried) == ["berlin-core"]


def test_a_run_over_devices_of_others_goes_on(call: Any, joint: JobRun) -> None:
    open_run = {"status": RunStatus.RUNNING.value, "finished_at": None}
    JobRun.objects.filter(pk=joint.pk).update(**open_run)
    assert call("POST", f"runs/{joint.pk}/cancel/")[0] == 403
    joint.refresh_from_db()
    assert joint.status == RunStatus.RUNNING


def test_a_joint_job_is_run_for_ones_own_devices_and_not_changed(
    call: Any, operator: User, joint: JobRun
) -> None:
    job = joint.job
    assert job is not None
    status, run = call("POST", f"jobs/{job.pk}/run/")
    assert (status, run["total_count"]) == (202, 1)
    assert call("PATCH", f"jobs/{job.pk}/", {"is_enabled": False})[0] == 403
    assert call("DELETE", f"jobs/{job.pk}/")[0] == 403
    JobRun.objects.filter(pk=run["id"]).delete()
    assert request_run(job=job, trigger=Trigger.API, requested_by=user_in()).total_count == 2


def test_tags_are_given_and_taken_away_among_ones_own(call: Any, mine: Site) -> None:
    device = {"hostname": "new", "ip_address": "192.0.2.9", "platform": "cisco_ios"}
    for tags in ([], ["paris"], ["berlin", "paris"], ["berlin", "unheard-of"]):
        status, answer = call("POST", "devices/", device | {"tags": tags})
        assert status == 400 and list(answer["error"]["fields"]) == ["tags"], tags
    assert not Tag.objects.filter(name="unheard-of").exists()
    assert call("POST", "devices/", device)[0] == 400
    assert call("POST", "devices/", device | {"tags": ["Berlin"]})[0] == 201

    mine.device.tags.add(Tag.objects.get(name="paris"))
    path = f"devices/{mine.device.pk}/"
    assert call("PATCH", path, {"tags": ["berlin"]})[0] == 400
    assert call("PATCH", path, {"tags": ["paris"]})[0] == 400
    assert call("PATCH", path, {"tags": ["berlin", "paris"]})[0] == 200
    assert call("PATCH", path, {"port": 2222})[0] == 200
    assert call("POST", "jobs/", {"name": "j", "tags": ["paris"]})[0] == 400
    assert call("POST", "jobs/", {"name": "j", "tags": ["berlin"]})[0] == 201
    assert call("POST", "tags/", {"name": "own"})[0] == 403


def test_credentials_and_jump_hosts_of_others_cannot_be_named(
    call: Any, mine: Site, others: Site
) -> None:
    CredentialFactory.create(name="berlin-key", tags=["berlin"])
    foreign = CredentialFactory.create(name="paris-key", tags=["paris"])
    path = f"devices/{mine.device.pk}/"
    assert call("PATCH", path, {"credential": "paris-key"})[0] == 400
    assert call("PATCH", path, {"jump_host": "paris-jump"})[0] == 400
    assert call("PATCH", path, {"credential": "berlin-key", "jump_host": "berlin-jump"})[0] == 200
    Device.objects.filter(pk=mine.device.pk).update(credential=foreign)
    assert call("PATCH", path, {"credential": "paris-key"})[0] == 200, "it is set already"


def test_a_detection_cannot_be_asked_for(call: Any, mine: Site, others: Site) -> None:
    for named in (others.device.hostname, str(others.device.pk)):
        status, answer = call("POST", "platform-detections/", {"device": named})
        assert status == 400 and "there is no device" in answer["error"]["message"]
    assert call("POST", "platform-detections/", {"device": "berlin-core"})[0] == 202


# --- The limit itself ---------------------------------------------------------------------------


def test_a_limit_without_tags_shows_nothing(mine: Site, others: Site) -> None:
    user = limited(user_in(Role.VIEWER), "berlin")
    assert devices_visible_to(user=user).count() == 1
    Tag.objects.get(name="berlin").delete()
    fresh = User.objects.get(pk=user.pk)
    assert devices_visible_to(user=fresh).count() == 0


def test_who_is_not_limited_sees_all(mine: Site, others: Site) -> None:
    assert devices_visible_to(user=user_in(Role.VIEWER)).count() == 2
    root = limited(UserFactory.create(is_superuser=True))
    assert devices_visible_to(user=root).count() == 2
    assert devices_visible_to(user=None).count() == 0


# --- Pages --------------------------------------------------------------------------------------


@pytest.fixture
def pages(operator: User) -> Client:
    client = Client()
    client.force_login(operator)
    return client


def test_no_page_of_the_admin_names_others(pages: Client) -> None:
    shown = 0
    for model in registered():
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        answer = pages.get(path)
        assert answer.status_code in {200, 403}, path
        assert "paris" not in answer.content.decode(), path
        shown += "berlin" in answer.content.decode()
    assert shown >= 10


def test_pages_of_guessed_rows_are_not_there(pages: Client, others: Site) -> None:
    for row in (
        others.device,
        others.job,
        others.run,
        others.result,
        others.snapshot,
        others.archive,
        others.suspect,
        others.detection,
        others.jump_host,
        others.tag,
    ):
        root = f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/"
        for page in ("change", "history", "delete"):
            answer = pages.get(f"{root}{page}/", follow=True)
            assert f"{others.device.hostname}" not in answer.content.decode()
            assert answer.status_code in {403, 404} or answer.redirect_chain, f"{root}{page}"


def test_a_joint_run_on_a_page_has_the_counts_of_ones_own(pages: Client, joint: JobRun) -> None:
    row = pages.get(f"/admin/jobs/jobrun/{joint.pk}/change/").content.decode()
    assert "2 devices failed" not in row
    listed = pages.get("/admin/jobs/jobrun/").content.decode()
    cells = re.findall(r"field-total_count[^>]*>\s*(\d+)", listed)
    assert set(cells) <= {"1"}


def test_no_order_and_no_filter_tells_the_counts_of_a_joint_run(
    pages: Client, mine: Site, joint: JobRun
) -> None:
    def listed(path: str) -> list[int]:
        return [run.pk for run in pages.get(path).context["runs"]]

    assert listed("/runs/?ordering=devices") == [mine.run.pk, joint.pk]
    assert listed("/runs/?ordering=-devices") == [mine.run.pk, joint.pk], "one device each"
    root = "/admin/jobs/jobrun/"
    column = registered()[JobRun].list_display.index("total_count") + 1
    up, down = (
        [run.pk for run in pages.get(f"{root}?o={sign}{column}").context["cl"].result_list]
        for sign in ("", "-")
    )
    assert len(up) == 2 and up == down
    for lookup in ("total_count=2", "failed_count__gte=2", "status_reason__startswith=2"):
        assert pages.get(f"{root}?{lookup}").status_code == 400, lookup
    assert pages.get(f"{root}?status__exact={RunStatus.COMPLETED_FAILURE}").status_code == 200


def test_on_a_page_relations_of_others_cannot_be_chosen(
    pages: Client, operator: User, mine: Site, others: Site
) -> None:
    form = {
        "hostname": "new",
        "ip_address": "192.0.2.9",
        "port": "22",
        "platform": "cisco_ios",
        "transport": "ssh",
        "is_active": "on",
    }
    path = "/admin/inventory/device/add/"
    for extra in ({}, {"tags": [others.tag.pk]}, {"tags": [mine.tag.pk, others.tag.pk]}):
        assert pages.post(path, form | extra).status_code == 200, "shown again, with the error"
    assert not Device.objects.filter(hostname="new").exists()
    assert pages.post(path, form | {"tags": [mine.tag.pk]}).status_code == 302
    assert Device.objects.filter(hostname="new").exists()


def test_an_action_reaches_ones_own_only(
    pages: Client, mine: Site, others: Site, tmp_path: Path
) -> None:
    ids = [mine.device.pk, others.device.pk]
    Device.objects.filter(pk__in=ids).update(connection_failures=3)
    pages.post("/admin/inventory/device/", {"action": "reset_breaker", "_selected_action": ids})
    failures = dict(Device.objects.filter(pk__in=ids).values_list("pk", "connection_failures"))
    assert failures == {mine.device.pk: 0, others.device.pk: 3}


def test_a_zone_lends_no_credential_that_a_limited_user_does_not_see(
    call: Any, operator: User, mine: Site
) -> None:
    secret = CredentialFactory.create(name="paris-key", username="paris-admin", tags=["paris"])
    own = CredentialFactory.create(name="berlin-key", tags=["berlin"])
    ZoneFactory.create(name="foreign", default_credential=secret)
    ZoneFactory.create(name="lent", default_credential=own)
    ZoneFactory.create(name="bare")
    path = f"devices/{mine.device.pk}/"
    assert call("PATCH", path, {"zone": "foreign"})[0] == 400
    made = {"hostname": "b9", "ip_address": "192.0.2.9", "platform": "cisco_ios"}
    assert call("POST", "devices/", made | {"tags": ["berlin"], "zone": "foreign"})[0] == 400
    head = "hostname,ip_address,platform,tags,zone\n"
    for line in ("berlin-core,192.0.2.1,cisco_ios,berlin", "b9,192.0.2.1,cisco_ios,berlin"):
        status, answer = call("POST", "devices/import/", {"content": f"{head}{line},foreign"})
        assert status == 400 and "no zone 'foreign'" in str(answer), answer
    operator.is_staff = True
    operator.save()
    page = Client()
    page.force_login(operator)
    form = {**made, "port": 22, "transport": "ssh", "tags": [mine.tag.pk]}
    zone = Zone.objects.get(name="foreign")
    shown = page.post("/admin/inventory/device/add/", form | {"zone": zone.pk})
    assert shown.status_code == 200 and "Select a valid choice" in shown.content.decode()
    assert "paris-key" not in page.get("/admin/inventory/zone/").content.decode()
    assert "paris-key" not in page.get(f"/admin/inventory/zone/{zone.pk}/change/").content.decode()
    assert not Device.objects.filter(zone=zone).exists()
    for name in ("lent", "bare", None):
        assert call("PATCH", path, {"zone": name})[0] == 200
    Device.objects.filter(pk=mine.device.pk).update(zone=zone)
    assert call("PATCH", path, {"zone": "foreign", "port": 2222})[0] == 200, "it has it already"
    told = call("GET", f"{path}credentials/")[1]
    assert [(one["rule"], one["name"]) for one in told["candidates"]] == [
        ("tag", "berlin-key"),
        ("zone", ""),
    ]
    shown = page.get(f"/admin/inventory/device/{mine.device.pk}/change/")
    texts = [str(told), str(call("GET", "zones/")[1]), shown.content.decode()]
    assert not [text for text in texts if "paris-key" in text or "paris-admin" in text]
    assert call("GET", "zones/?default_credential=paris-key")[1]["count"] == 0
    assert call("GET", "zones/?default_credential=berlin-key")[1]["count"] == 1
