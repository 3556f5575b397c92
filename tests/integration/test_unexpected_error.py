"""An error that nobody foresaw: the log says where, and nothing quotes the device."""

from __future__ import annotations

import pytest

from backups.engine.collector import Collector
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.pipeline import BackupRequest
from jobs.choices import ResultStatus, RunStatus, Trigger
from jobs.models import ConnectionLog, DeviceResult, JobLog
from jobs.services import backup
from jobs.services.results import result_claim
from jobs.services.run_creation import run_create
from jobs.services.runs import run_resolve_credentials, run_start
from tests.support.devices import device_spec
from tests.support.inventory import add_credential, add_device, add_job

CANARY = "snmp-community-Zq9"


def _plain(request: BackupRequest, collector: Collector) -> None:
    raise LookupError(f"no rule for {CANARY}")


def _wrapped(request: BackupRequest, collector: Collector) -> None:
    try:
        _plain(request, collector)
    except LookupError as error:
        raise DeviceError(ErrorCategory.UNEXPECTED, "an unexpected LookupError") from error


# Put in place of the session: no device can cause an error that nobody foresaw.
@pytest.mark.parametrize("session", [_plain, _wrapped])
@pytest.mark.django_db(transaction=True)
def test_the_log_has_the_place_and_nothing_has_the_text(
    session: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spec = device_spec("cisco_ios", "edge")
    add_device(spec, "127.0.0.1", 22)
    add_credential(spec)
    run = run_create(job=add_job(), trigger=Trigger.MANUAL)
    assert run_start(run=run)
    run_resolve_credentials(run=run)
    result = result_claim(result_id=run.results.get().pk)
    assert result is not None
    monkeypatch.setattr(backup, "backup_collect", session)

    done = backup.device_back_up(result=result)

    assert done is not None and done.status == ResultStatus.RETRYING
    row = DeviceResult.objects.get()
    assert row.error_category == ErrorCategory.UNEXPECTED
    assert "LookupError" in caplog.text
    assert "in _plain" in caplog.text
    rows = [*JobLog.objects.values_list("message"), *ConnectionLog.objects.values_list("message")]
    assert CANARY not in f"{caplog.text} {row.error_message} {rows}"
    run.refresh_from_db()
    assert run.status == RunStatus.RUNNING
