"""The description of the API holds: whatever is sent, answers are as it says, and none is a 500."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import got_request_exception, request_finished, request_started
from django.db import close_old_connections, transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from rest_framework_simplejwt.tokens import RefreshToken
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from backups.engine.errors import ErrorCategory
from backups.models import Archive, GitRemote, Snapshot, Suspect
from backups.services.remotes import remote_save
from backups.services.store import RunLabel, backup_store
from jobs.models import ConnectionLog, JobLog, PlatformDetection
from netraven_site.models import ApiToken
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
)

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("web", "git_directory"),
    pytest.mark.slow,
    pytest.mark.timeout(500),
]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
#: Calls to each operation that fit its description, and that do not.
EXAMPLES = {GenerationMode.POSITIVE: 4, GenerationMode.NEGATIVE: 1}
#: Would talk to addresses that were made up.
LEFT_OUT = {"/api/v1/devices/{id}/test-connection/"}


@pytest.fixture
def ids() -> dict[str, Any]:
    """A row for every address that takes an id, by the first part of the address."""
    login = CredentialFactory.create(tags=["core"])
    zone = ZoneFactory.create(default_credential=login)
    device = DeviceFactory.create(tags=["core"], zone=zone)
    job = JobFactory.create(tags=["core"], schedule_type="cron", cron="0 2 * * *")
    run = JobRunFactory.create(
        job=job, status="COMPLETED_FAILURE", finished_at=timezone.now(), total_count=1
    )
    label = RunLabel(run_id=run.pk, job_name=job.name)
    for text in ("hostname a\nend\n", "hostname b\nusername u secret <redacted:aaaaaaaa>\nend\n"):
        backup_store(device=device, outcome=backup_outcome(text), label=label)
    backup_store(
        device=device, outcome=backup_outcome("cut off", suspicions=("too short",)), label=label
    )
    result = DeviceResultFactory.create(
        run=run,
        device=device,
        status="FAILED",
        error_category=ErrorCategory.CONNECTION_REFUSED.value,
        error_message="it did not answer",
        finished_at=timezone.now(),
    )
    DeviceResultFactory.create(run=run)
    PlatformDetection.objects.create(device=device, platform_before=device.platform)
    JobLog.objects.create(run=run, level="info", message="began")
    ConnectionLog.objects.create(run=run, device=device, attempt=1, level="info", message="x")
    user = UserFactory.create()
    token, _ = ApiToken.objects.create(user=user, name="script", expiry=None)
    remote = remote_save(remote=GitRemote(name="r", url="https://git.example.net/r.git"))
    return {
        "archives": Archive.objects.filter(snapshot__isnull=False)[0].pk,
        "credentials": login.pk,
        "device-results": result.pk,
        "devices": device.pk,
        "git-remotes": remote.pk,
        "jobs": job.pk,
        "jump-hosts": JumpHostFactory.create().pk,
        "platform-detections": PlatformDetectionFactory.create(device=device).pk,
        "platforms": "cisco_ios",
        "runs": run.pk,
        "secrets": "aaaaaaaa",
        "snapshots": Snapshot.objects.all()[0].pk,
        "suspects": Suspect.objects.get().pk,
        "tags": device.tags.get().pk,
        "tokens": token.token_key,
        "users": user.pk,
        "zones": zone.pk,
    }


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Requests leave the connection of the test and its transaction alone."""
    ends = (request_started, request_finished)
    for signal in ends:
        signal.disconnect(close_old_connections)
    yield
    for signal in ends:
        signal.connect(close_old_connections)


@pytest.fixture
def api(one_connection: None) -> Any:
    """The description as the site gives it, with its site behind it, for a superuser."""
    user = UserFactory.create(is_superuser=True, username="fuzz")
    bearer = {"Authorization": f"Bearer {RefreshToken.for_user(user).access_token}"}
    application = WSGIHandler()
    schema = schemathesis.openapi.from_wsgi(
        "/api/v1/schema/?format=json", application, headers=bearer
    )
    schema.config.update(headers=bearer)
    return schema


@pytest.fixture
def raised() -> Iterator[list[str]]:
    """What was raised behind each answer 500."""
    import traceback

    found: list[str] = []

    def remember(**_: Any) -> None:
        found.append(traceback.format_exc(limit=-4))

    got_request_exception.connect(remember, weak=False)
    logging.disable(logging.CRITICAL)
    yield found
    logging.disable(logging.NOTSET)
    got_request_exception.disconnect(remember)


def test_whatever_is_sent_answers_are_as_described(
    api: Any, ids: dict[str, Any], raised: list[str]
) -> None:
    failures: dict[str, str] = {}
    asked = 0
    for found in api.get_all_operations():
        operation = found.ok()
        if operation.path in LEFT_OUT:
            continue
        for mode, examples in EXAMPLES.items():
            try:
                _call(operation, mode, examples, ids)
            except Unsatisfiable:
                continue  # nothing can be wrong where nothing is sent
            except (FailureGroup, AssertionError) as error:
                failures[f"{operation.label} {mode}"] = f"{_told(error)}\n{''.join(raised[-1:])}"
            asked += 1
    assert not failures, "\n\n".join(f"{name}: {text}" for name, text in failures.items())
    assert asked > 200


def _call(operation: Any, mode: GenerationMode, examples: int, ids: dict[str, Any]) -> None:
    """Send so many calls; each is undone before the next one. Raises what is wrong first."""
    resource = operation.path.removeprefix("/api/v1/").partition("/")[0]
    known = dict.fromkeys(_path_names(operation), ids[resource]) if resource in ids else {}

    @hypothesis_settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def send(data: Any) -> None:
        case: Any = data.draw(operation.as_strategy(generation_mode=mode))
        # Mostly a row that is there, so that more is asked than whether there is one.
        if known and data.draw(st.integers(0, 3)):
            case.path_parameters = dict(known)
        with _undone():
            response = case.call()
        case.validate_response(response, checks=CHECKS)

    send()


@contextmanager
def _undone() -> Iterator[None]:
    """A transaction of the test's, in which the site begins its own as if it were none."""
    whole = transaction.atomic()
    whole._from_testcase = True  # type: ignore[attr-defined]  # as that of each test has it
    with whole:
        yield
        transaction.set_rollback(True)


def _path_names(operation: Any) -> list[str]:
    return [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]


def _told(error: BaseException) -> str:
    if isinstance(error, FailureGroup):
        found = (f"{failure.title}: {failure.message}" for failure in error.exceptions)
        return "; ".join(text[:600] for text in found)
    return str(error)[:600]
