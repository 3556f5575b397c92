"""Whether a device can be logged in to, step by step; nothing is stored."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from backups.engine.collector import LogInStep
from backups.engine.errors import ErrorCategory
from backups.engine.netmiko_collector.probe import StepOutcome, StepReport, probe
from backups.services.sessions import device_platform
from backups.targets import device_target, opened_credential, session_limits
from inventory.models import Device
from jobs.services.detection import first_credential
from jobs.services.logs import safe_message
from jobs.services.sessions import database_use, session_failure

#: A test takes no longer than this, whatever the device is given for a backup, in seconds.
DEADLINE_SECONDS = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionTest:
    """How far a session with a device got."""

    hostname: str
    #: Name of the credential that was used; None where there was none.
    credential: str | None = None
    #: Empty where nothing was tried.
    steps: tuple[StepReport, ...] = ()
    #: None for a session that got through.
    error_category: str | None = None
    error_message: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the device can be backed up as far as the log-in goes."""
        return self.error_category is None

    @property
    def credential_was_taken(self) -> bool | None:
        """Whether the device, or a jump host before it, took its credential; None: neither."""
        if self.error_category == ErrorCategory.AUTHENTICATION:
            return False
        passed = {step.step for step in self.steps if step.outcome is StepOutcome.PASSED}
        return True if LogInStep.LOGIN in passed else None


def connection_test(*, device: Device) -> ConnectionTest:
    """Log in to ``device`` with the credential that a run would use first, and out again.

    Writes nothing: neither a host key nor what the device answered to the credential. Takes
    DEADLINE_SECONDS at the most, beside the time that a provider of secrets needs. Device trouble
    is in the answer, not raised.
    """
    name: str | None = None
    secrets: tuple[str, ...] = ()
    try:
        with database_use():
            credential = first_credential(device)
            name = credential.name
            platform = device_platform(device)
            target = device_target(device=device)
        opened = opened_credential(credential)
        secrets = opened.secrets()
        limits = session_limits(device=device)
        limits = dataclasses.replace(limits, deadline=min(limits.deadline, DEADLINE_SECONDS))
        found = probe(target, opened, platform, limits)
    except Exception as error:  # noqa: BLE001 - comes out in the answer
        failure = session_failure(what="connection test", error=error, device=device.hostname)
        return ConnectionTest(
            hostname=device.hostname,
            credential=name,
            error_category=failure.category.value,
            error_message=safe_message(failure.message, secrets),
        )
    return ConnectionTest(
        hostname=device.hostname,
        credential=name,
        steps=found.steps,
        error_category=found.category.value if found.category else None,
        error_message=safe_message(found.message, secrets) if found.message else None,
    )
