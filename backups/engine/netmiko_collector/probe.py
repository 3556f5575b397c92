"""How far a session with a device gets: one log-in, step by step, without any command."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum

from backups.engine.collector import LogInGuard, LogInStep, SessionLimits
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.types import DeviceTarget, Transport
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition


class StepOutcome(StrEnum):
    """How a step went. The values are part of the API."""

    PASSED = "passed"
    FAILED = "failed"
    #: There was nothing to do: no SSH to negotiate, no privileged mode to enter.
    NOT_NEEDED = "not_needed"
    #: An earlier one failed.
    NOT_TRIED = "not_tried"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One step of a log-in."""

    step: LogInStep
    outcome: StepOutcome
    #: Seconds that it took; None where it was not done.
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """How far a session got. ``category`` and ``message`` are None if it got through."""

    steps: tuple[StepReport, ...]
    category: ErrorCategory | None = None
    message: str | None = None


def probe(
    target: DeviceTarget,
    credential: DeviceCredential,
    platform: PlatformDefinition,
    limits: SessionLimits,
) -> ProbeReport:
    """Log in to ``target`` and out again; how far that got. Stores and raises nothing foreseen."""
    # Loads Netmiko and Paramiko.
    from backups.engine.netmiko_collector.logged_in import logged_in

    steps = _Steps()
    try:
        with logged_in(target, credential, platform, limits, steps):
            ended = time.monotonic()
    except DeviceError as error:
        return ProbeReport(
            steps=steps.reports(target.transport, error, time.monotonic()),
            category=error.category,
            message=error.message,
        )
    return ProbeReport(steps=steps.reports(target.transport, None, ended))


class _Steps(LogInGuard):
    """Writes down when each step was over."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._reached: dict[LogInStep, float] = {}

    def reached(self, step: LogInStep) -> None:
        """See LogInGuard."""
        self._reached[step] = time.monotonic()

    def reports(
        self, transport: Transport, error: DeviceError | None, ended: float
    ) -> tuple[StepReport, ...]:
        failed = None if error is None else self._failed_step(transport, error)
        reports, since, is_over = [], self._begun, False
        for step in LogInStep:
            at = self._reached.get(step)
            seconds = None
            if is_over:
                outcome = StepOutcome.NOT_TRIED
            elif step is failed:
                outcome, seconds, is_over = StepOutcome.FAILED, ended - since, True
            elif at is None:
                outcome = StepOutcome.NOT_NEEDED
            else:
                outcome, seconds, since = StepOutcome.PASSED, at - since, at
            reports.append(StepReport(step=step, outcome=outcome, seconds=seconds))
        return tuple(reports)

    def _failed_step(self, transport: Transport, error: DeviceError) -> LogInStep:
        """The first step that was not reached and that this transport has."""
        if error.category is ErrorCategory.AUTHENTICATION and LogInStep.CONNECT in self._reached:
            return LogInStep.LOGIN
        skipped = {LogInStep.NEGOTIATE} if transport is Transport.TELNET else set()
        left = [one for one in LogInStep if one not in self._reached and one not in skipped]
        # What fails behind the last step fails at the prompt: the preparation of the terminal.
        return left[0] if left else LogInStep.ENABLE
