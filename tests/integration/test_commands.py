"""The commands: one clear line for bad input, no traceback, no secret on the command line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from backups.services.commits import snapshots_commit
from backups.services.store import RunLabel, backup_store
from credentials.models import Credential, Tag
from credentials.services import credential_open
from jobs.models import Job, JobRun
from netraven_site.config import PROJECT_DIR
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobFactory,
    JobRunFactory,
    backup_outcome,
)
from tests.support.threads import in_thread
from tests.support.waiting import wait_for

pytestmark = pytest.mark.django_db

CANARY = "Zq9-CANARY"
PEM = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY}\n-----END OPENSSH PRIVATE KEY-----\n"


def run(name: str, *arguments: str) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command(name, *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def refused(name: str, *arguments: str) -> str:
    """The one line that the command ends with."""
    with pytest.raises(CommandError) as caught:
        run(name, *arguments)
    line = str(caught.value)
    assert line and "\n" not in line and CANARY not in line
    return line


def manage(*arguments: str | bytes, stdin: bytes = b"", **environment: str) -> Any:
    """The command in a process of its own, with no database unless one is given."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT_DIR,
        input=stdin,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "NETRAVEN_LOG_LEVEL": "ERROR", **environment},
        timeout=60,
        check=False,
    )


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Any:
    def give(data: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))

    return give


# --- create_credential --------------------------------------------------------------------------


def test_secrets_are_read_line_by_line(stdin: Any, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(PEM)
    stdin(f" {CANARY}-1 \r\n{CANARY}-2\n{CANARY}-3\n".encode())
    options = ["--password-stdin", "--enable-stdin", "--passphrase-stdin", "--ssh-key", str(key)]
    printed = run(
        "create_credential", "lab", "--username", "u", *options, "--tags", "a; b;", "--priority=5"
    )
    assert printed == "credential 'lab' created\n"
    credential = Credential.objects.get()
    opened = credential_open(credential=credential)
    assert (opened.password, opened.enable_secret) == (f" {CANARY}-1 ", f"{CANARY}-2")
    assert (opened.ssh_key, opened.ssh_key_passphrase) == (PEM, f"{CANARY}-3")
    assert credential.priority == 5
    assert sorted(credential.tags.values_list("name", flat=True)) == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (b"", ["--password-stdin"], "password: nothing was given on standard input"),
        (b"\n", ["--password-stdin"], "nothing was given"),
        (b"only-password\n", ["--password-stdin", "--enable-stdin"], "enable secret: nothing"),
        (b"\xff\xfe\n", ["--password-stdin"], "is not UTF-8 text"),
        (b"a\x00b\n", ["--password-stdin"], "no NUL character"),
        (b"x" * 70_000, ["--password-stdin"], "too long"),
        (b"x\n", [], "needs a password or an SSH key"),
        (b"x\n", ["--password-stdin", "--priority", "0"], "priority"),
        (b"x\n", ["--password-stdin", "--priority", "99999999999"], "priority"),
        (b"x\n", ["--password-stdin", "--tags", "t" * 65], "too long"),
        (b"x\n", ["--password-stdin", "--tags", "a\nb"], "no control character"),
        (b"", ["--ssh-key", "/nowhere/key"], "No such file or directory"),
        (b"", ["--ssh-key", "/"], "Is a directory"),
    ],
)
def test_credentials_that_are_refused(
    stdin: Any, data: bytes, options: list[str], words: str
) -> None:
    stdin(data)
    assert words in refused("create_credential", "lab", "--username", "u", *options)
    assert (Credential.objects.count(), Tag.objects.count()) == (0, 0)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"ssh-ed25519 AAAA public"])
def test_files_that_are_no_private_key(stdin: Any, tmp_path: Path, content: bytes) -> None:
    key = tmp_path / "key"
    key.write_bytes(content)
    stdin(b"password\n")
    options = ["--password-stdin", "--ssh-key", str(key)]
    assert "not a private key file" in refused(
        "create_credential", "lab", "--username", "u", *options
    )


def test_a_credential_that_exists_is_not_changed(stdin: Any) -> None:
    CredentialFactory.create(name="LAB")
    stdin(b"password\n")
    line = refused("create_credential", "lab", "--username", "u", "--password-stdin")
    assert "already a credential 'lab'" in line


# --- create_job ---------------------------------------------------------------------------------


def test_jobs_are_made_with_their_schedule() -> None:
    DeviceFactory.create(tags=["core"])
    printed = run("create_job", "nightly", "--tags", "core;edge")
    assert printed == "job 'nightly' created; it selects 1 devices now\n"
    run(
        "create_job",
        "weekly",
        "--schedule-type=cron",
        "--cron=0 2 * * 0",
        "--timezone=Europe/Berlin",
    )
    run("create_job", "often", "--schedule-type=interval", "--interval-seconds=60")
    run(
        "create_job",
        "once",
        "--schedule-type=onetime",
        "--run-at=2100-07-01T02:00",
        "--timezone=Europe/Berlin",
    )
    assert PeriodicTask.objects.filter(task="jobs.launch_scheduled").count() == 3
    run_at = Job.objects.get(name="once").run_at
    assert run_at is not None and run_at.isoformat() == "2100-07-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--schedule-type=cron"], "cron"),
        (["--schedule-type=cron", "--cron=61 * * * *"], "'61 * * * *' is no cron expression"),
        (["--schedule-type=cron", "--cron=0 2 31 2 *"], "never occurs"),
        (["--schedule-type=cron", "--cron=" + "1," * 60 + "1 * * * *"], "at most"),
        (["--cron=0 2 * * *"], "--cron needs --schedule-type cron"),
        (["--interval-seconds=60"], "--interval-seconds needs --schedule-type interval"),
        (["--run-at=2100-01-01"], "--run-at needs --schedule-type onetime"),
        (["--schedule-type=interval"], "needs interval_seconds"),
        (["--schedule-type=interval", "--interval-seconds=59"], "at least 60"),
        (["--schedule-type=interval", "--interval-seconds=99999999999"], "interval_seconds"),
        (["--schedule-type=onetime"], "needs run_at"),
        (["--schedule-type=onetime", "--run-at=soon"], "--run-at 'soon' is no time"),
        (["--schedule-type=onetime", "--run-at=2020-01-01T00:00"], "in the past"),
        (["--schedule-type=onetime", "--run-at=0001-01-01T00:00+14:00"], "in the past"),
        (["--schedule-type=onetime", "--run-at=9999-12-31T23:59-14:00"], "too far away"),
        (
            ["--schedule-type=onetime", "--run-at=2100-01-01", "--timezone=../../etc/passwd"],
            "'../../etc/passwd' is no time zone",
        ),
        (["--timezone=../../etc/passwd"], "'../../etc/passwd' is no time zone"),
        (["--timezone=Europe"], "'Europe' is no time zone"),
        (["--tags", "a\x7f"], "no control character"),
        (["--schedule-type=daily"], "invalid choice"),
    ],
)
def test_jobs_that_are_refused(options: list[str], words: str) -> None:
    assert words in refused("create_job", "nightly", *options)
    assert (Job.objects.count(), Tag.objects.count()) == (0, 0)


@pytest.mark.parametrize("name", ["", "x" * 101, "a;b", " x", "NIGHTLY"])
def test_job_names_that_are_refused(name: str) -> None:
    JobFactory.create(name="nightly")
    refused("create_job", name)


# --- run_job ------------------------------------------------------------------------------------


def test_an_unknown_job_is_named_with_those_that_exist() -> None:
    assert refused("run_job", "nightly") == "there is no job 'nightly'; there are no jobs yet"
    JobFactory.create(name="weekly")
    for name in ("nightly", "0", "99999999999999999999", "²", ""):
        assert refused("run_job", name).endswith("; the jobs are: weekly")


def test_a_job_goes_by_name_before_id() -> None:
    DeviceFactory.create(tags=["core"])
    first = JobFactory.create(name="first", tags=["core"])
    run("run_job", str(first.pk))
    assert JobRun.objects.latest("pk").job == first
    named = JobFactory.create(name=str(first.pk), tags=["core"])
    run("run_job", str(first.pk))
    assert JobRun.objects.latest("pk").job == named


def test_a_disabled_job_is_refused() -> None:
    JobFactory.create(name="nightly", is_enabled=False)
    assert "is disabled" in refused("run_job", "nightly", "--wait")


def test_without_waiting_the_object_shows_a_pending_run() -> None:
    DeviceFactory.create(hostname="sw1", tags=["core"])
    JobFactory.create(name="nightly", tags=["core"])
    printed = json.loads(run("run_job", "nightly", "--json"))
    run_id = JobRun.objects.get().pk
    assert printed == {
        "run_id": run_id,
        "status": "PENDING",
        "duration_seconds": None,
        "devices": {
            "total": 1,
            "succeeded": 0,
            "failed": 0,
            "errored": 0,
            "suspect": 0,
            "skipped": 0,
        },
        "results": [
            {
                "hostname": "sw1",
                "status": "PENDING",
                "error_category": None,
                "error_message": None,
                "attempts": 0,
                "config_changed": None,
                "commit": None,
            }
        ],
    }


def test_a_job_that_runs_already_is_refused() -> None:
    DeviceFactory.create(tags=["core"])
    run("create_job", "nightly", "--tags", "core")
    run("run_job", "nightly")
    assert f"run {JobRun.objects.get().pk} of job 'nightly'" in refused("run_job", "nightly")
    run("create_job", "hourly", "--tags", "core", "--allow-overlap")
    run("run_job", "hourly")
    run("run_job", "hourly")
    assert JobRun.objects.filter(job__name="hourly").count() == 2


def test_a_run_is_cancelled_in_the_name_of_who_works_on_the_command_line() -> None:
    result = DeviceResultFactory.create()
    printed = run("cancel_run", str(result.run.pk))
    assert printed == f"run {result.run.pk} is cancelled; 1 of its devices were still open\n"
    cancelled = JobRun.objects.get()
    assert cancelled.status == "CANCELLED"
    assert cancelled.cancelled_by.startswith("command line (")
    assert "has ended already, as CANCELLED" in refused("cancel_run", str(cancelled.pk))


def test_what_failed_is_tried_again() -> None:
    now = timezone.now()
    ended = JobRunFactory.create(status="COMPLETED_FAILURE", finished_at=now)
    assert "has failed" in refused("retry_run", str(ended.pk))
    DeviceResultFactory.create(run=ended, hostname="sw1", status="FAILED", finished_at=now)
    printed = json.loads(run("retry_run", str(ended.pk), "--json"))
    again = JobRun.objects.get(retry_of=ended)
    assert (printed["run_id"], printed["devices"]["total"]) == (again.pk, 1)
    assert (again.trigger, again.status) == ("retry", "PENDING")
    line = refused("retry_run", str(ended.pk), "--wait")
    assert f"run {again.pk} of job" in line and "cancel it" in line


@pytest.mark.parametrize("command", ["cancel_run", "retry_run"])
def test_an_unknown_run_is_named_with_the_newest(command: str) -> None:
    assert refused(command, "1") == "there is no run '1'; there are no runs yet"
    newest = JobRunFactory.create().pk
    for name in ("nightly", "0", "99999999999999999999", "²", ""):
        assert refused(command, name) == f"there is no run '{name}'; the newest is {newest}"


@pytest.mark.parametrize("options", [[], ["--wait"], ["--json"], ["--wait", "--json"]])
def test_only_success_ends_with_zero(options: list[str], capsys: Any) -> None:
    JobFactory.create(name="nightly")
    with pytest.raises(SystemExit) as ended:
        run("run_job", "nightly", *options)
    assert ended.value.code == 1
    assert JobRun.objects.get().status == "COMPLETED_NO_DEVICES"


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "soon"])
def test_a_time_that_is_none_is_refused(seconds: str) -> None:
    assert "invalid" in refused("run_job", "x", "--wait", f"--timeout={seconds}")


def test_waiting_ends_with_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    DeviceFactory.create(tags=["core"])
    JobFactory.create(name="nightly", tags=["core"])
    line = refused("run_job", "nightly", "--wait", "--json", "--timeout=0")
    assert line == f"run {JobRun.objects.get().pk} did not end within 0 s; it goes on"


@pytest.mark.django_db(transaction=True)
def test_waiting_sees_the_end() -> None:
    from concurrent.futures import ThreadPoolExecutor

    DeviceFactory.create(hostname="sw1", tags=["core"])
    JobFactory.create(name="nightly", tags=["core"])
    with ThreadPoolExecutor(1) as pool:
        waiting = in_thread(pool, lambda: run("run_job", "nightly", "--wait", "--json"))
        wait_for(JobRun.objects.exists, "the run")
        now = timezone.now()
        started = JobRun.objects.get()
        started.results.update(status="SUCCEEDED", finished_at=now, attempts=1, config_changed=True)
        JobRun.objects.update(
            status="COMPLETED_SUCCESS",
            started_at=now - timedelta(seconds=2),
            finished_at=now,
            succeeded_count=1,
        )
        printed = json.loads(waiting.result(30))
    assert (printed["status"], printed["duration_seconds"]) == ("COMPLETED_SUCCESS", 2.0)
    assert printed["results"][0]["config_changed"] is True


# --- config, resolve_credentials ----------------------------------------------------------------


@pytest.fixture
def stored(git_directory: Path) -> None:
    device = DeviceFactory.create(hostname="sw1", tags=["core"])
    for text in ("hostname sw1\nntp 1\n", "hostname sw1\nntp 2\n"):
        label = RunLabel(run_id=1, job_name="nightly")
        backup_store(device=device, outcome=backup_outcome(text), label=label)
        snapshots_commit(device_id=device.pk)
    DeviceFactory.create(hostname="bare")


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "none"], "there is no device 'none'"),
        (["show", "bare"], "bare has no stored configuration yet"),
        (["show", "sw1", "--revision", "xyz!"], "'xyz!' is no revision"),
        (["show", "sw1", "--revision", "abc"], "at least 4 hex digits"),
        (["show", "sw1", "--revision", "a" * 65], "is no revision"),
        (["show", "sw1", "--revision", "abcdef12"], "sw1 has no revision abcdef12"),
        (["show", "sw1", "--raw"], "--raw needs --reason"),
        (["show", "sw1", "--raw", "--reason", " "], "--raw needs --reason"),
        (["diff", "bare"], "no stored configuration"),
        (["diff", "sw1", "zzzz"], "'zzzz' is no revision"),
        (["search", "("], "'(' is no regular expression"),
        (["history", ""], "there is no device ''"),
    ],
)
def test_questions_that_have_no_answer(arguments: list[str], words: str) -> None:
    assert words in refused("config", *arguments)


@pytest.mark.usefixtures("stored")
def test_stored_configurations_are_shown() -> None:
    assert run("config", "show", "SW1") == "hostname sw1\nntp 2\n"
    assert "-ntp 1\n+ntp 2\n" in run("config", "diff", "sw1")
    assert len(json.loads(run("config", "history", "sw1", "--json"))["revisions"]) == 2
    assert run("config", "search", "ntp [0-9]") == "sw1:2: ntp 2\n"
    assert run("config", "search", "snmp", "--missing") == "sw1\n"
    assert run("config", "search", "ntp", "--tag", "edge") == ""
    assert json.loads(run("config", "search", "ntp", "--json", "--tag", "CORE")) == {
        "devices": [{"hostname": "sw1", "matches": [{"line": 2, "text": "ntp 2"}]}]
    }
    shown = json.loads(run("config", "show", "sw1", "--json"))
    assert (shown["hostname"], shown["text"]) == ("sw1", "hostname sw1\nntp 2\n")


def test_resolving_credentials_explains_itself() -> None:
    assert "there is no device" in refused("resolve_credentials", "sw1")
    DeviceFactory.create(hostname="sw1", tags=["core"])
    assert "no credential fits" in run("resolve_credentials", "sw1")
    CredentialFactory.create(name="second", tags=["core"], priority=20)
    CredentialFactory.create(name="first", tags=["core"], priority=10)
    printed = run("resolve_credentials", "SW1")
    assert printed.splitlines() == [
        "1. first (user netops, priority 10): shares the tag core  <- used",
        "2. second (user netops, priority 20): shares the tag core",
    ]
    answer = json.loads(run("resolve_credentials", "sw1", "--json"))
    assert answer["used"] == "first"
    assert [row["used"] for row in answer["candidates"]] == [True, False]
    assert CANARY not in printed + json.dumps(answer)


# --- Without a stack ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["run_job", "x"],
        ["create_job", "x"],
        ["reconcile"],
        ["import_devices", "x.csv"],
        ["config", "history", "x"],
        ["resolve_credentials", "x"],
        ["create_credential", "x", "--username", "u", "--password-stdin"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_database_that_is_down_is_one_line(arguments: list[str], tmp_path: Path) -> None:
    ended = manage(*arguments, stdin=b"secret\n", NETRAVEN_DATA_DIR=str(tmp_path))
    assert ended.returncode == 1
    assert ended.stderr.decode() == (
        "CommandError: NetRaven's database does not answer: "
        "start it with 'make up' or 'python manage.py up'\n"
    )


def test_an_empty_database_is_one_line(tmp_path: Path) -> None:
    from django.db import connection

    name = str(connection.settings_dict["NAME"])
    url = os.environ["DATABASE_URL"].replace("/netraven?", "/postgres?")
    assert url != os.environ["DATABASE_URL"], name
    ended = manage("run_job", "x", NETRAVEN_DATA_DIR=str(tmp_path), **_keys(), DATABASE_URL=url)
    assert ended.returncode == 1
    assert ended.stderr.decode() == (
        "CommandError: the database is not set up yet: "
        "run 'python manage.py migrate' or start the stack\n"
    )


def test_an_argument_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    ended = manage(
        "resolve_credentials",
        b"\xff",
        NETRAVEN_DATA_DIR=str(tmp_path),
        **_keys(),
        DATABASE_URL=os.environ["DATABASE_URL"],
    )
    assert (ended.returncode, ended.stderr.decode()) == (
        1,
        "CommandError: an argument is not UTF-8 text\n",
    )


def _keys() -> dict[str, Any]:
    return {
        name: os.environ[name]
        for name in ("NETRAVEN_SECRET_KEY", "NETRAVEN_ENCRYPTION_KEYS", "NETRAVEN_REDACTION_KEY")
    }
