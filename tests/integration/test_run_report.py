"""The report of a run: JSON, CSV and text, over the API and on the command line."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.http import StreamingHttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backups.engine.errors import ErrorCategory
from backups.models import Snapshot
from backups.services.store import RunLabel, backup_store
from jobs.choices import ResultStatus
from jobs.models import DeviceResult, JobRun, RunCredential
from jobs.reports import WRITERS, ReportFormat
from jobs.selectors.failures import failure_groups
from jobs.selectors.reports import run_facts
from jobs.services.claims import Claim
from jobs.services.results import result_fail
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobFactory,
    UserFactory,
    backup_outcome,
    user_with,
)
from tests.support.failures import ended_run, failed_result, good_result, many_failed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

HOSTILE = '=HYPERLINK("http://evil") \x1b[31mred'


def told_run() -> JobRun:
    """A run with one device of each kind."""
    now = timezone.now()
    run = ended_run(
        job=JobFactory.create(name="nightly"),
        requested_by=UserFactory.create(username="kim"),
        started_at=now - timedelta(seconds=125),
        finished_at=now,
        status_reason="",
    )
    site = CredentialFactory.create(name="site-b")
    RunCredential.objects.create(
        run=run, credential=site, set_aside_at=now, reason="3 devices in a row refused it"
    )
    good_result(run, credential=site, hostname="good")
    failed_result(run, ErrorCategory.AUTHENTICATION, "refused", credential=site, hostname="refuses")
    failed_result(run, message=HOSTILE, credential=site, hostname="-hostile")
    failed_result(
        run,
        ErrorCategory.NO_CREDENTIAL,
        "no active credential fits",
        status=ResultStatus.SKIPPED,
        hostname="bare",
    )
    device = DeviceFactory.create(hostname="changed")
    label = RunLabel(run_id=run.pk, job_name="nightly")
    snapshot = backup_store(device=device, outcome=backup_outcome(), label=label)
    Snapshot.objects.update(lines_added=2)
    DeviceResultFactory.create(
        run=run,
        device=device,
        status=ResultStatus.SUCCEEDED.value,
        config_changed=True,
        snapshot=snapshot,
        finished_at=now,
    )
    for seconds, hostname in enumerate(["good", "refuses", "-hostile", "changed"], start=1):
        DeviceResult.objects.filter(run=run, hostname=hostname).update(duration_seconds=seconds)
    return run


def written(run: JobRun, kind: ReportFormat) -> str:
    return "".join(WRITERS[kind].write(run))


def test_json_has_the_facts_and_every_device() -> None:
    run = told_run()
    report: dict[str, Any] = json.loads(written(run, ReportFormat.JSON))
    assert report["run"]["job_name"] == "nightly"
    assert report["run"]["requested_by"] == "kim"
    assert report["run"]["duration_seconds"] == pytest.approx(125, abs=1)
    assert report["devices"] == {"total": 5, "FAILED": 2, "SKIPPED": 1, "SUCCEEDED": 2}
    assert report["credentials"]["devices_with_one"] == 3
    (credential,) = report["credentials"]["used"]
    assert credential["name"] == "site-b"
    assert (credential["devices"], credential["succeeded"], credential["refused"]) == (3, 1, 1)
    assert credential["reason"] == "3 devices in a row refused it"
    assert report["durations"]["median"] == 2.5
    assert report["durations"]["p95"] == pytest.approx(3.85)
    assert report["durations"]["slowest"][0] == ["changed", 4.0]
    assert {group["summary"] for group in report["failures"]} == {
        "1 authentication failure",
        "1 connection without an answer",
        "1 device without a credential",
    }
    rows = {row["hostname"]: row for row in report["results"]}
    assert list(rows) == sorted(rows)
    assert len(rows) == 5
    assert (rows["changed"]["config_changed"], rows["changed"]["lines_added"]) == (True, 2)


def test_csv_has_a_line_per_device_and_no_formula() -> None:
    run = told_run()
    rows = list(csv.DictReader(io.StringIO(written(run, ReportFormat.CSV), newline="")))
    by_name = {row["hostname"]: row for row in rows}
    assert set(by_name) == {"good", "refuses", "'-hostile", "bare", "changed"}
    assert by_name["'-hostile"]["error_message"] == f"'{HOSTILE}"
    assert by_name["changed"]["lines_added"] == "2"
    assert by_name["refuses"]["credential"] == "site-b"
    assert by_name["bare"]["status"] == "SKIPPED"
    assert {row["job_name"] for row in rows} == {"nightly"}


def test_text_tells_it_all_and_fits_a_terminal() -> None:
    run = told_run()
    failed_result(run, message="word " * 90, hostname="h" * 200)
    text = written(run, ReportFormat.TEXT)
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    for words in [
        "Run {run} of job 'nightly': COMPLETED_PARTIAL_FAILURE",
        "took 2 min 5 s",
        "site-b: 3 devices, 1 succeeded, 1 refused it; set aside",
        "median 2.5 s",
        "what to do: correct the credential",
        "Changed devices\n  changed",
        "not yet in Git",
        "Skipped devices\n  bare: no active credential fits",
    ]:
        assert words.format(run=run.pk) in text, words


def test_no_report_holds_a_secret() -> None:
    run = told_run()
    result = DeviceResultFactory.create(
        run=run,
        status=ResultStatus.RUNNING.value,
        attempts=1,
        lease_until=timezone.now(),
        credential=CredentialFactory.create(password="Zq9-CANARY-other"),
    )
    result_fail(
        claim=Claim(result.pk, 1),
        status=ResultStatus.FAILED,
        category=ErrorCategory.COMMAND_REJECTED,
        message="% Invalid: username kim password Zq9-CANARY-word",
    )
    for kind in ReportFormat:
        report = written(run, kind)
        assert result.hostname in report
        assert "CANARY" not in report


def test_an_open_run_without_devices_done_has_a_report_too() -> None:
    run = DeviceResultFactory.create().run
    text = written(run, ReportFormat.TEXT)
    assert "ended not yet" in text
    assert "Changed" not in text and "Durations" not in text
    assert json.loads(written(run, ReportFormat.JSON))["durations"]["median"] is None


def test_a_large_run_comes_in_pieces_and_costs_no_query_per_device() -> None:
    run, one = ended_run(), ended_run()
    many_failed(run, 2500, credential=CredentialFactory.create())
    failed_result(one, credential=CredentialFactory.create())
    with CaptureQueriesContext(connection) as few:
        run_facts(run=one)
    with CaptureQueriesContext(connection) as many:
        run_facts(run=run)
    assert len(few) == len(many)
    for kind in (ReportFormat.CSV, ReportFormat.JSON):
        pieces = list(WRITERS[kind].write(run))
        assert len(pieces) > 2500
        assert max(map(len, pieces)) < 6000


@pytest.mark.parametrize(
    ("query", "media_type", "suffix"),
    [
        ("", "application/json", "json"),
        ("?format=json", "application/json", "json"),
        ("?format=csv", "text/csv; charset=utf-8", "csv"),
        ("?format=text", "text/plain; charset=utf-8", "txt"),
    ],
)
def test_the_api_gives_each_format(
    client: Client, query: str, media_type: str, suffix: str
) -> None:
    run = told_run()
    client.force_login(user_with("jobs.view_deviceresult"))
    answer = client.get(f"/api/v1/runs/{run.pk}/report/{query}", headers={"Accept": "text/html"})
    assert answer.status_code == 200
    assert answer["Content-Type"] == media_type
    assert answer["Content-Disposition"] == f'attachment; filename="run-{run.pk}.{suffix}"'
    assert isinstance(answer, StreamingHttpResponse)
    assert b"nightly" in answer.getvalue()


def test_the_api_refuses_in_its_own_shape(client: Client) -> None:
    run = ended_run()
    address = f"/api/v1/runs/{run.pk}/report/"
    assert client.get(address).status_code == 401
    client.force_login(user_with())
    assert client.get(address).status_code == 403
    client.force_login(user_with("jobs.view_deviceresult"))
    wrong = client.get(f"{address}?format=pdf")
    assert (wrong.status_code, list(wrong.json()["error"]["fields"])) == (400, ["format"])
    missing = client.get("/api/v1/runs/999999/report/")
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "not_found"
    assert client.post(address).status_code == 403


def test_the_failures_of_a_run_over_the_api(client: Client) -> None:
    run = told_run()
    client.force_login(user_with("jobs.view_deviceresult"))
    address = f"/api/v1/runs/{run.pk}/failures/"
    answer = client.get(f"{address}?size=2").json()
    assert (answer["count"], answer["pages"], len(answer["results"])) == (3, 2, 2)
    assert set(answer["results"][0]) >= {"key", "summary", "what_to_do", "traits", "retryable"}
    by = client.get(f"{address}?by=credential").json()["results"]
    assert [(group["key"], group["count"]) for group in by] == [("site-b", 2), ("", 1)]
    assert client.get(f"{address}?by=moon").status_code == 400
    assert client.get("/api/v1/runs/999999/failures/").status_code == 404
    client.force_login(user_with())
    assert client.get(address).status_code == 403


def test_the_command_prints_or_writes_the_report(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = told_run()
    call_command("run_report", str(run.pk))
    assert capsys.readouterr().out == written(run, ReportFormat.TEXT)
    file = tmp_path / "report.csv"
    call_command("run_report", str(run.pk), "--format", "csv", "--output", str(file))
    assert file.read_bytes().decode() == written(run, ReportFormat.CSV)
    assert capsys.readouterr().out == ""
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("run_report", str(run.pk), "--output", str(tmp_path / "no" / "file"))
    with pytest.raises(CommandError, match="there is no run '999999'"):
        call_command("run_report", "999999")


def test_the_command_groups_failures(capsys: pytest.CaptureFixture[str]) -> None:
    run = told_run()
    call_command("failures", str(run.pk), "--by", "credential", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["run_id"], told["by"]) == (run.pk, "credential")
    assert [group["key"] for group in told["groups"]] == ["site-b", ""]
    call_command("failures", str(run.pk))
    text = capsys.readouterr().out
    assert "1 authentication failure\n" in text and "what to do:" in text
    assert "\x1b" not in text
    call_command("failures", str(ended_run().pk))
    assert "Nothing failed" in capsys.readouterr().out
    with pytest.raises(CommandError, match="there is no run '999999'"):
        call_command("failures", "999999")


@pytest.mark.django_db(transaction=True)
def test_a_group_is_tried_again_over_the_api(client: Client) -> None:
    run = told_run()
    address = f"/api/v1/runs/{run.pk}/failures/retry/"

    def post(**body: str) -> Any:
        return client.post(address, body, content_type="application/json")

    client.force_login(user_with("jobs.view_deviceresult"))
    assert post(by="credential", key="site-b").status_code == 403
    client.force_login(user_with("jobs.run_job"))
    unknown = post(by="credential", key="site-x")
    assert (unknown.status_code, list(unknown.json()["error"]["fields"])) == (400, ["key"])
    skipped = post(by="credential", key="")
    assert skipped.status_code == 409
    assert "skipped, not tried" in skipped.json()["error"]["message"]
    answer = post(by="credential", key="site-b")
    assert answer.status_code == 202, answer.content
    retry = JobRun.objects.get(pk=answer.json()["id"])
    assert retry.retry_of == run
    assert {result.hostname for result in retry.results.all()} == {"refuses", "-hostile"}
    assert post(by="credential", key="site-b").status_code == 409
    assert post(by="credential").status_code == 400


@pytest.mark.django_db(transaction=True)
def test_a_group_is_tried_again_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    run = told_run()
    key = failure_groups(run=run)[0].key
    call_command("failures", str(run.pk), "--retry", key, "--json")
    told = json.loads(capsys.readouterr().out)
    assert JobRun.objects.get(pk=told["run_id"]).retry_of == run
    assert told["devices"] == 1
    for arguments, message in [
        (["--retry", "moon"], "has no failures by cause under 'moon'; the first ones are"),
        (["--by", "credential", "--retry", ""], "skipped, not tried; give the device a credential"),
        (["--retry", key], "is still"),
    ]:
        with pytest.raises(CommandError, match=message):
            call_command("failures", str(run.pk), *arguments)
