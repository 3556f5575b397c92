"""What the log shows of records: JSON or text, and nothing of what devices and libraries quote."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest
import structlog

from backups.engine.errors import DeviceError, ErrorCategory
from backups.services.redaction import installation_redactor
from netraven_site.log_format import WITHHELD, RedactedFormatter
from netraven_site.settings import LOGGING

SECRET = "Zq7-CANARY-9f"


def record(
    message: str, *arguments: object, error: BaseException | None = None
) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("jobs.tasks", logging.ERROR, __file__, 1, message, arguments, info)


def as_json(one: logging.LogRecord) -> dict[str, Any]:
    line = RedactedFormatter("json").format(one)
    assert "\n" not in line
    read: dict[str, Any] = json.loads(line)
    return read


def test_a_record_of_a_library_is_one_line_of_json() -> None:
    shown = as_json(record("run %s of job %s ended", 7, "nightly"))
    assert shown.pop("time").endswith("Z")
    assert shown == {
        "event": "run 7 of job nightly ended",
        "template": "run %s of job %s ended",
        "level": "error",
        "logger": "jobs.tasks",
    }


def test_fields_and_the_context_stand_beside_the_event(caplog: pytest.LogCaptureFixture) -> None:
    structlog.contextvars.bind_contextvars(run_id=7, device="sw1")
    try:
        structlog.get_logger("x").warning("device.failed", attempt=2, password=SECRET)
        shown = as_json(caplog.records[0])
    finally:
        structlog.contextvars.clear_contextvars()
    assert (shown["event"], shown["run_id"], shown["device"]) == ("device.failed", 7, "sw1")
    assert shown["attempt"] == 2
    assert SECRET not in str(shown) and "password" in shown


def test_on_a_terminal_it_is_text() -> None:
    shown = RedactedFormatter("text").format(record("run %s ended", 7))
    assert "run 7 ended" in shown and "jobs.tasks" in shown and "{" not in shown


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(
    "text",
    [
        f"snmp-server community {SECRET} RO",
        f"% Bad secrets: enable secret 0 {SECRET}",
        f"fatal: unable to access https://bot:{SECRET}@git.example.net/x.git",
        f'{{"password": "{SECRET}"}}',
    ],
)
def test_secrets_in_messages_arguments_and_tracebacks_are_replaced(form: Any, text: str) -> None:
    failed = record("failed: %s", text)
    try:
        int(text)
    except ValueError:
        failed.exc_info = sys.exc_info()
    shown = RedactedFormatter(form).format(failed)
    assert SECRET not in shown
    assert "Traceback" in shown and "ValueError" in shown
    assert shown.lower().count("redacted") >= 2


def test_what_cannot_be_redacted_is_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise DeviceError(ErrorCategory.REDACTION_FAILURE, "no")

    monkeypatch.setattr(type(installation_redactor()), "redact_message", fail)
    shown = as_json(record("community %s", SECRET))
    assert shown["event"] == WITHHELD and SECRET not in str(shown)
    assert (shown["logger"], shown["template"]) == ("jobs.tasks", "community %s")


def test_the_log_of_every_process_is_written_so() -> None:
    names = {handler["formatter"] for handler in LOGGING["handlers"].values()}
    used = {LOGGING["formatters"][name]["()"] for name in names}
    assert used == {f"{RedactedFormatter.__module__}.{RedactedFormatter.__name__}"}
