"""The API: who may, one shape for lists and errors, no secrets, no query per row."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from backups.models import Snapshot
from backups.services.store import RunLabel, backup_store
from credentials.models import Credential, Tag
from inventory.models import Device
from jobs.models import Job, JobRun
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobFactory,
    JobRunFactory,
    PlatformDetectionFactory,
    TagFactory,
    UserFactory,
    backup_outcome,
    user_with,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

API = "/api/v1/"
LISTS = [
    "devices",
    "tags",
    "jobs",
    "runs",
    "device-results",
    "platform-detections",
    "snapshots",
    "suspects",
]
DEVICE = {"hostname": "sw1", "ip_address": "192.0.2.1", "platform": "cisco_ios"}


class Caller:
    """Talks JSON to the API as one user, or as nobody."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __call__(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and parsed answer; the path is relative to the API."""
        content = body if isinstance(body, str) else json.dumps(body)
        answer = self._client.generic(
            method,
            API + path,
            "" if body is None else content,
            content_type="application/json",
        )
        return answer.status_code, json.loads(answer.content) if answer.content else None


@pytest.fixture
def admin(client: Client) -> Caller:
    client.force_login(UserFactory.create(is_superuser=True))
    return Caller(client)


@pytest.fixture
def as_user() -> Callable[..., Caller]:
    def make(*permissions: str) -> Caller:
        client = Client()
        client.force_login(user_with(*permissions))
        return Caller(client)

    return make


def error_of(answer: Any) -> dict[str, Any]:
    assert set(answer) == {"error"}, answer
    error: dict[str, Any] = answer["error"]
    assert set(error) == {"code", "message", "fields"}
    assert error["code"] and error["message"]
    for field, messages in error["fields"].items():
        assert isinstance(field, str)
        assert all(isinstance(text, str) and "ErrorDetail" not in text for text in messages)
    return error


# --- Who may ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", *(f"{name}/" for name in LISTS)])
def test_nobody_reads_without_logging_in(client: Client, path: str) -> None:
    status, answer = Caller(client)("GET", path)
    assert status == 401
    assert error_of(answer)["code"] == "not_authenticated"
    assert client.get(f"{API}schema/").status_code == 401


@pytest.mark.parametrize("name", LISTS)
def test_a_user_without_rights_sees_and_does_nothing(
    as_user: Callable[..., Caller], name: str
) -> None:
    call = as_user()
    for method, path in [("GET", f"{name}/"), ("GET", f"{name}/1/"), ("HEAD", f"{name}/")]:
        status, answer = call(method, path)
        assert status == 403
        if method == "GET":
            assert error_of(answer)["code"] == "permission_denied"
    if name in {"devices", "tags", "jobs"}:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            path = f"{name}/" if method == "POST" else f"{name}/1/"
            assert call(method, path, {})[0] == 403


def test_reading_is_no_right_to_write(as_user: Callable[..., Caller]) -> None:
    device = DeviceFactory.create()
    call = as_user("inventory.view_device")
    assert call("GET", f"devices/{device.pk}/")[0] == 200
    assert call("PATCH", f"devices/{device.pk}/", {"port": 23})[0] == 403
    assert call("DELETE", f"devices/{device.pk}/")[0] == 403
    assert call("POST", "devices/", DEVICE)[0] == 403


def test_running_a_job_is_a_right_of_its_own(as_user: Callable[..., Caller]) -> None:
    job = JobFactory.create()
    status, answer = as_user("jobs.view_job", "jobs.change_job")("POST", f"jobs/{job.pk}/run/")
    assert status == 403 and "may not run" in error_of(answer)["message"]
    assert JobRun.objects.count() == 0
    assert as_user("jobs.run_job", "jobs.view_job")("POST", f"jobs/{job.pk}/run/")[0] == 202


def test_tokens(client: Client) -> None:
    user = UserFactory.create(is_superuser=True)
    user.set_password("Correct-horse-1")
    user.save()
    call = Caller(client)
    status, pair = call(
        "POST", "token/", {"username": user.username, "password": "Correct-horse-1"}
    )
    assert status == 200 and set(pair) == {"access", "refresh"}
    bearer = {"Authorization": f"Bearer {pair['access']}"}
    assert client.get(f"{API}devices/", headers=bearer).status_code == 200
    status, fresh = call("POST", "token/refresh/", {"refresh": pair["refresh"]})
    assert status == 200 and fresh["access"]

    wrong = call("POST", "token/", {"username": user.username, "password": "wrong"})
    unknown = call("POST", "token/", {"username": "nobody", "password": "wrong"})
    assert wrong == unknown and wrong[0] == 401
    error_of(wrong[1])
    forged = client.get(f"{API}devices/", HTTP_AUTHORIZATION="Bearer abc.def.ghi")
    assert forged.status_code == 401
    error_of(forged.json())
    assert call("POST", "token/refresh/", {"refresh": "x"})[0] == 401

    user.is_active = False
    user.save()
    assert client.get(f"{API}devices/", headers=bearer).status_code == 401
    assert call("POST", "token/refresh/", {"refresh": pair["refresh"]})[0] == 401


def test_a_session_needs_its_csrf_token() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(UserFactory.create(is_superuser=True))
    status, answer = Caller(client)("POST", "tags/", {"name": "x"})
    assert status == 403 and "CSRF" in error_of(answer)["message"]


# --- One error shape ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "devices/999/", None, 404, "not_found"),
        ("GET", "devices/abc/", None, 404, "not_found"),
        ("GET", "devices/99999999999999999999999/", None, 404, "not_found"),
        ("GET", "nothing/", None, 404, "not_found"),
        ("POST", "jobs/999/run/", None, 404, "not_found"),
        ("GET", "devices/?page=99", None, 404, "not_found"),
        ("GET", "devices/?page=abc", None, 404, "not_found"),
        ("DELETE", "devices/", None, 405, "method_not_allowed"),
        ("POST", "runs/", {}, 405, "method_not_allowed"),
        ("GET", "jobs/1/run/", None, 405, "method_not_allowed"),
        ("POST", "tags/", "{", 400, "parse_error"),
        ("POST", "tags/", "[]", 400, "invalid"),
        ("POST", "tags/", "null", 400, "invalid"),
        ("POST", "tags/", {}, 400, "invalid"),
        ("GET", "device-results/?run=abc", None, 400, "invalid"),
        ("GET", "device-results/?run=99999999999999999999999", None, 400, "invalid"),
        ("GET", "runs/?status=SLEEPING", None, 400, "invalid"),
        ("GET", "devices/?hostname=%00", None, 400, "invalid"),
    ],
)
def test_errors_have_one_shape(
    admin: Caller, method: str, path: str, body: object, status: int, code: str
) -> None:
    found, answer = admin(method, path, body)
    assert (found, error_of(answer)["code"]) == (status, code), answer


def test_json_that_is_nested_too_deeply_is_the_clients_fault(admin: Caller) -> None:
    status, answer = admin("POST", "tags/", "[" * 100_000)
    assert (status, error_of(answer)["code"]) == (400, "parse_error")


def test_writing_to_no_address_is_not_found_without_a_csrf_token_too() -> None:
    status, answer = Caller(Client(enforce_csrf_checks=True))("POST", "snapshots/abc/raw/", {})
    assert (status, error_of(answer)["code"]) == (404, "not_found")


def test_an_address_without_its_slash_is_redirected(client: Client) -> None:
    answer = client.get(f"{API}devices")
    assert (answer.status_code, answer["Location"]) == (301, f"{API}devices/")


def test_another_content_type_is_explained(admin: Caller, client: Client) -> None:
    answer = client.post(f"{API}tags/", {"name": "x"})
    assert answer.status_code == 415
    error_of(answer.json())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "hostname"),
        (DEVICE | {"port": 0}, "port"),
        (DEVICE | {"port": 70000}, "port"),
        (DEVICE | {"port": "abc"}, "port"),
        (DEVICE | {"port": 10**30}, "port"),
        (DEVICE | {"platform": "cisco_oss"}, "platform"),
        (DEVICE | {"ip_address": "1.2.3.999"}, "ip_address"),
        (DEVICE | {"hostname": "a b"}, "hostname"),
        (DEVICE | {"hostname": "a\x00b"}, "hostname"),
        (DEVICE | {"hostname": "h" * 300}, "hostname"),
        (DEVICE | {"hostname": None}, "hostname"),
        (DEVICE | {"description": "\x00"}, "description"),
        (DEVICE | {"zone": "none"}, "zone"),
        (DEVICE | {"credential": "none"}, "credential"),
        (DEVICE | {"tags": "core"}, "tags"),
        (DEVICE | {"tags": ["t" * 65]}, "tags"),
        (DEVICE | {"tags": ["a;b"]}, "tags"),
        (DEVICE | {"tags": [""]}, "tags"),
        (DEVICE | {"tags": [{"name": "core"}]}, "tags"),
        (DEVICE | {"is_active": "perhaps"}, "is_active"),
    ],
)
def test_a_wrong_field_is_named(admin: Caller, body: object, field: str) -> None:
    status, answer = admin("POST", "devices/", body)
    assert status == 400
    assert field in error_of(answer)["fields"]
    assert Device.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"schedule_type": "sometimes"}, "schedule_type"),
        ({"schedule_type": "interval"}, "interval_seconds"),
        ({"schedule_type": "interval", "interval_seconds": 10**12}, "interval_seconds"),
        ({"schedule_type": "cron", "cron": "61 * * * *"}, "cron"),
        ({"schedule_type": "cron", "cron": "0 0 1 1 " + "1," * 40 + "1"}, "cron"),
        ({"schedule_type": "cron", "cron": "0 2 31 2 *"}, "cron"),
        ({"schedule_type": "cron", "cron": "0 22-4 * * *"}, "cron"),
        ({"blackouts": "mon-fri 8-18"}, "blackouts"),
        ({"blackouts": "daily 00:00-24:00"}, "blackouts"),
        ({"catch_up": "sometimes"}, "catch_up"),
        ({"start_jitter_seconds": 3601}, "start_jitter_seconds"),
        ({"start_jitter_seconds": -1}, "start_jitter_seconds"),
        ({"schedule_type": "onetime"}, "run_at"),
        ({"schedule_type": "onetime", "run_at": "2020-01-01T00:00Z"}, "run_at"),
        ({"schedule_type": "onetime", "run_at": "9999-12-31T23:59-14:00"}, "run_at"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a;b"}, "name"),
    ],
)
def test_a_wrong_schedule_is_named(admin: Caller, body: dict[str, Any], field: str) -> None:
    status, answer = admin("POST", "jobs/", {"name": "nightly"} | body)
    assert status == 400
    assert field in error_of(answer)["fields"], answer
    assert Job.objects.count() == PeriodicTask.objects.filter(task__startswith="jobs.").count() == 0


def test_names_are_unique_in_any_case(admin: Caller) -> None:
    DeviceFactory.create(hostname="SW1")
    JobFactory.create(name="Nightly")
    TagFactory.create(name="Core")
    for path, body in [
        ("devices/", DEVICE),
        ("jobs/", {"name": "nightly"}),
        ("tags/", {"name": "core"}),
    ]:
        status, answer = admin("POST", path, body)
        assert status == 409, answer
        assert "There is already a" in error_of(answer)["message"]


def test_what_is_in_use_is_not_deleted(admin: Caller) -> None:
    device = DeviceFactory.create()
    backup_store(
        device=device, outcome=backup_outcome(), label=RunLabel(run_id=1, job_name="nightly")
    )
    status, answer = admin("DELETE", f"devices/{device.pk}/")
    assert status == 409
    assert error_of(answer)["code"] == "conflict"
    assert Snapshot.objects.count() == 1


# --- Devices, tags, jobs ------------------------------------------------------------------------


def test_device_round_trip(admin: Caller) -> None:
    CredentialFactory.create(name="own")
    body = DEVICE | {"tags": ["Core", "new tag"], "credential": "own", "port": 2222}
    TagFactory.create(name="core")
    status, made = admin("POST", "devices/", body)
    assert status == 201, made
    assert made["tags"] == ["core", "new tag"]
    assert (made["credential"], made["port"], made["zone"]) == ("own", 2222, None)

    path = f"devices/{made['id']}/"
    assert admin("PATCH", path, {"tags": []})[1]["tags"] == []
    assert admin("PATCH", path, {"description": "x"})[1]["tags"] == []
    assert admin("PATCH", path, {"tags": ["core"]})[1]["tags"] == ["core"]
    assert admin("GET", path)[1]["tags"] == ["core"]
    assert admin("PATCH", path, {"credential": None})[1]["credential"] is None
    assert admin("PUT", path, DEVICE)[0] == 200
    assert admin("DELETE", path)[0] == 204
    assert admin("GET", path)[0] == 404


def test_a_refused_device_leaves_no_tag_behind(admin: Caller) -> None:
    DeviceFactory.create(hostname="sw1")
    assert admin("POST", "devices/", DEVICE | {"tags": ["stray"]})[0] == 409
    assert admin("POST", "devices/", DEVICE | {"port": 0, "tags": ["stray"]})[0] == 400
    assert not Tag.objects.filter(name="stray").exists()


def test_read_only_and_unknown_fields_change_nothing(admin: Caller) -> None:
    device = DeviceFactory.create()
    body = {
        "id": 999,
        "created_at": "2020-01-01T00:00Z",
        "host_key": "ssh-ed25519 AAAA",
        "colour": "blue",
        "description": "new",
    }
    status, answer = admin("PATCH", f"devices/{device.pk}/", body)
    assert status == 200
    assert answer["id"] == device.pk and answer["description"] == "new"
    assert answer["host_key"] == "" and "colour" not in answer
    device.refresh_from_db()
    assert device.host_key == "" and device.created_at.year > 2020


def test_job_keeps_its_schedule_in_step(admin: Caller) -> None:
    body = {"name": "nightly", "schedule_type": "cron", "cron": "0 2 * * *", "tags": ["core"]}
    status, made = admin("POST", "jobs/", body)
    assert status == 201, made
    entry = PeriodicTask.objects.get(task="jobs.launch_scheduled")
    assert json.loads(entry.args) == [made["id"]]
    path = f"jobs/{made['id']}/"
    assert admin("PATCH", path, {"is_enabled": False})[0] == 200
    entry.refresh_from_db()
    assert not entry.enabled
    assert admin("DELETE", path)[0] == 204
    assert not PeriodicTask.objects.filter(pk=entry.pk).exists()


def test_running_a_job(admin: Caller) -> None:
    job = JobFactory.create(tags=["core"])
    DeviceFactory.create(tags=["core"])
    status, run = admin("POST", f"jobs/{job.pk}/run/")
    assert status == 202
    assert (run["status"], run["trigger"], run["total_count"]) == ("PENDING", "api", 1)
    assert run["requested_by"].startswith("user")
    assert admin("GET", f"runs/{run['id']}/")[1]["job_name"] == job.name
    [result] = admin("GET", f"device-results/?run={run['id']}")[1]["results"]
    assert (result["status"], result["commit"]) == ("PENDING", "")


def test_running_a_job_without_devices(admin: Caller) -> None:
    status, run = admin("POST", f"jobs/{JobFactory.create().pk}/run/")
    assert (status, run["status"]) == (202, "COMPLETED_NO_DEVICES")


def test_a_disabled_job_does_not_run(admin: Caller) -> None:
    job = JobFactory.create(is_enabled=False)
    status, answer = admin("POST", f"jobs/{job.pk}/run/")
    assert status == 400
    assert "disabled" in error_of(answer)["message"]
    assert JobRun.objects.count() == 0


def test_a_job_that_runs_already_answers_409(admin: Caller) -> None:
    run = JobRunFactory.create()
    status, answer = admin("POST", f"jobs/{run.job_id}/run/")
    assert (status, error_of(answer)["code"]) == (409, "conflict")
    assert f"run {run.pk} " in error_of(answer)["message"]
    assert admin("PATCH", f"jobs/{run.job_id}/", {"allow_overlap": True})[0] == 200
    assert admin("POST", f"jobs/{run.job_id}/run/")[0] == 202


def test_cancelling_a_run(admin: Caller, as_user: Callable[..., Caller]) -> None:
    result = DeviceResultFactory.create()
    path = f"runs/{result.run.pk}/cancel/"
    assert as_user("jobs.view_jobrun", "jobs.change_job")("POST", path)[0] == 403
    status, run = as_user("jobs.run_job")("POST", path)
    assert (status, run["status"], run["cancelled_count"]) == (200, "CANCELLED", 1)
    assert run["cancelled_by"].startswith("user")
    status, answer = admin("POST", path)
    assert (status, error_of(answer)["code"]) == (409, "conflict")
    assert "has ended already, as CANCELLED" in error_of(answer)["message"]


def test_trying_again_what_failed(admin: Caller, as_user: Callable[..., Caller]) -> None:
    now = timezone.now()
    run = JobRunFactory.create(status="COMPLETED_FAILURE", finished_at=now)
    failed = [
        DeviceResultFactory.create(run=run, status="FAILED", finished_at=now) for _ in range(2)
    ]
    path = f"runs/{run.pk}/retry-failed/"
    assert as_user("jobs.view_jobrun", "jobs.change_job")("POST", path)[0] == 403
    status, again = as_user("jobs.run_job")("POST", path, {"results": [failed[0].pk]})
    assert (status, again["total_count"], again["trigger"]) == (202, 1, "retry")
    assert (again["retry_of"], again["job_name"]) == (run.pk, run.job_name)
    assert again["requested_by"].startswith("user")
    status, answer = admin("POST", path)
    assert status == 409 and f"run {again['id']} " in error_of(answer)["message"]
    assert admin("POST", f"runs/{again['id']}/cancel/")[0] == 200
    assert admin("POST", path)[1]["total_count"] == 2


@pytest.mark.parametrize("results", [[], [0], ["x"], [2**63], 7, {"a": 1}])
def test_results_that_are_no_ids_are_refused(admin: Caller, results: object) -> None:
    run = JobRunFactory.create(status="COMPLETED_FAILURE", finished_at=timezone.now())
    status, answer = admin("POST", f"runs/{run.pk}/retry-failed/", {"results": results})
    assert (status, error_of(answer)["code"]) == (400, "invalid")
    assert JobRun.objects.count() == 1


# --- Lists --------------------------------------------------------------------------------------


def test_pages(admin: Caller) -> None:
    for number in range(7):
        TagFactory.create(name=f"t{number}")
    status, page = admin("GET", "tags/?size=3&page=2")
    assert status == 200
    assert set(page) == {"count", "page", "size", "pages", "next", "previous", "results"}
    assert (page["count"], page["page"], page["size"], page["pages"]) == (7, 2, 3, 3)
    assert [row["name"] for row in page["results"]] == ["t3", "t4", "t5"]
    assert "page=3" in page["next"] and page["previous"]
    assert admin("GET", "tags/?size=100000")[1]["size"] == 500
    assert admin("GET", "tags/?size=0")[1]["size"] == 50
    assert admin("GET", "tags/?size=-1")[1]["size"] == 50
    empty = admin("GET", "devices/")[1]
    assert (empty["count"], empty["pages"], empty["results"]) == (0, 1, [])


def test_filter_search_and_order(admin: Caller) -> None:
    DeviceFactory.create(hostname="core1", tags=["core"], platform="cisco_nxos")
    DeviceFactory.create(hostname="edge1", tags=["edge", "core"], ip_address="192.0.2.77")
    DeviceFactory.create(hostname="edge2", is_active=False)

    def names(query: str) -> list[str]:
        status, page = admin("GET", f"devices/?{query}")
        assert status == 200, page
        return [row["hostname"] for row in page["results"]]

    assert names("") == ["core1", "edge1", "edge2"]
    assert names("ordering=-hostname") == ["edge2", "edge1", "core1"]
    assert names("ordering=host_key") == ["core1", "edge1", "edge2"]
    assert names("platform=cisco_nxos") == ["core1"]
    assert names("tags__name=core") == ["core1", "edge1"]
    assert names("is_active=false") == ["edge2"]
    assert names("hostname__icontains=EDGE") == ["edge1", "edge2"]
    assert names("search=192.0.2.77") == ["edge1"]
    assert names("search=edge&ordering=-id") == ["edge2", "edge1"]


def _rows(count: int) -> None:
    for number in range(count):
        credential = CredentialFactory.create()
        device = DeviceFactory.create(tags=[f"t{number}", "all"], credential=credential)
        run = JobRunFactory.create(
            job=JobFactory.create(tags=[f"t{number}"]), requested_by=UserFactory.create()
        )
        snapshot = backup_store(
            device=device, outcome=backup_outcome(), label=RunLabel(run_id=run.pk, job_name="j")
        )
        DeviceResultFactory.create(run=run, device=device, snapshot=snapshot)
        PlatformDetectionFactory.create(device=device, requested_by=UserFactory.create())
        suspect = backup_outcome(suspicions=("The device printed nothing.",), raw=b"")
        backup_store(device=device, outcome=suspect, label=RunLabel(run_id=run.pk, job_name="j"))


def test_no_answer_holds_a_secret(admin: Caller) -> None:
    CredentialFactory.create(name="login", tags=["all"], enable_secret="Zq9-CANARY-enable")
    _rows(1)
    texts = [json.dumps(admin("GET", f"{name}/")[1]) for name in LISTS]
    texts += [json.dumps(admin("OPTIONS", f"{name}/")[1]) for name in LISTS]
    assert Credential.objects.count() == 2
    for text in texts:
        assert "CANARY" not in text and "sealed" not in text and "seal_id" not in text


def test_the_schema_is_generated_without_a_warning(admin: Caller, client: Client) -> None:
    from drf_spectacular.drainage import GENERATOR_STATS
    from drf_spectacular.generators import SchemaGenerator

    GENERATOR_STATS.reset()
    with GENERATOR_STATS.silence():
        schema = SchemaGenerator().get_schema(request=None, public=True)
    assert not GENERATOR_STATS._error_cache, GENERATOR_STATS._error_cache
    assert not GENERATOR_STATS._warn_cache, GENERATOR_STATS._warn_cache
    assert f"{API}jobs/{{id}}/run/" in schema["paths"]
    assert client.get(f"{API}schema/").status_code == 200


def test_health_needs_no_log_in(client: Client) -> None:
    assert client.get("/healthz").content == b"ok"
