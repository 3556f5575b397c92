"""Writing the logs of a run. Every text passes the redactor."""

from __future__ import annotations

from collections.abc import Sequence

from backups.engine.errors import DeviceError
from backups.services.redaction import installation_redactor
from common.statements import insert
from jobs.choices import LogLevel
from jobs.models import ConnectionLog, DeviceResult, JobLog, JobRun

_MAX_MESSAGE_LENGTH = 2000
_MAX_INPUT_LENGTH = 100_000


def job_log(
    *,
    run: JobRun | int,
    message: str,
    level: LogLevel = LogLevel.INFO,
    device_id: int | None = None,
) -> None:
    """Add a line to the log of ``run``."""
    run_id = run if isinstance(run, int) else run.pk
    text = safe_message(message)
    insert(JobLog(run_id=run_id, device_id=device_id, level=level.value, message=text))


def connection_log(
    *,
    result: DeviceResult,
    message: str,
    level: LogLevel = LogLevel.INFO,
    secrets: Sequence[str] = (),
) -> None:
    """Add how one session with the device of ``result`` went; ``secrets`` are blotted out."""
    insert(
        ConnectionLog(
            run_id=result.run_id,
            device_id=result.device_id,
            attempt=result.attempts,
            level=level.value,
            message=safe_message(message, secrets),
        )
    )


def safe_message(message: str, secrets: Sequence[str] = ()) -> str:
    """``message`` without secrets, cut to a length that a log line may have.

    A message that cannot be redacted is withheld; the work that it tells of goes on.
    """
    try:
        # Cut afterwards: half a secret at the cut would not be recognised.
        safe = installation_redactor().redact_message(message[:_MAX_INPUT_LENGTH], secrets)
        return safe[:_MAX_MESSAGE_LENGTH]
    except DeviceError:
        return "(withheld: this message could not be redacted)"
