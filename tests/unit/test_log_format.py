"""What the log shows of records that quote devices and libraries."""

from __future__ import annotations

import logging
import sys

import pytest

from netraven_site.log_format import RedactedFormatter
from netraven_site.settings import LOGGING

SECRET = "Zq7-CANARY-9f"


def record(
    message: str, *arguments: object, error: BaseException | None = None
) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("jobs.tasks", logging.ERROR, __file__, 1, message, arguments, info)


def test_a_plain_record_stays_as_it_is() -> None:
    shown = RedactedFormatter("%(levelname)s %(name)s %(message)s").format(
        record("run %s of job %s ended", 7, "nightly")
    )
    assert shown == "ERROR jobs.tasks run 7 of job nightly ended"


@pytest.mark.parametrize(
    "text",
    [
        f"snmp-server community {SECRET} RO",
        f"% Bad secrets: enable secret 0 {SECRET}",
        f"fatal: unable to access https://bot:{SECRET}@git.example.net/x.git",
        f'{{"password": "{SECRET}"}}',
    ],
)
def test_secrets_in_messages_arguments_and_tracebacks_are_replaced(text: str) -> None:
    failed = record("failed: %s", text)
    try:
        int(text)
    except ValueError:
        failed.exc_info = sys.exc_info()
    shown = RedactedFormatter().format(failed)
    assert SECRET not in shown
    assert "Traceback" in shown and "ValueError" in shown
    assert shown.count("redacted") >= 2


def test_the_log_of_every_process_is_written_so() -> None:
    names = {handler["formatter"] for handler in LOGGING["handlers"].values()}
    used = {LOGGING["formatters"][name]["()"] for name in names}
    assert used == {f"{RedactedFormatter.__module__}.{RedactedFormatter.__name__}"}
