"""Watches the log-in of one session for the lockout guard of its run."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from backups.engine.collector import LogInGuard
from backups.engine.errors import DeviceError, ErrorCategory, LogInWithheld
from backups.engine.types import JumpTarget
from inventory.credential_uses import use_record_refusal
from jobs.models import DeviceResult
from jobs.policy.limits import LimitKind, keys_of_kind
from jobs.policy.lockout import is_acceptance, is_refusal, is_refused_log_in
from jobs.services.lockout import (
    acceptance_is_due,
    credential_accepted,
    credential_refused,
    credential_unanswered,
    log_in_permit,
    set_aside_message,
)
from jobs.services.sessions import database_use

logger = structlog.get_logger(__name__)


class RunGuard(LogInGuard):
    """Asks the database about a credential on probation, and about any other hardly ever."""

    def __init__(self, result: DeviceResult, on_proven: Callable[[], None]) -> None:
        """``on_proven`` is called if this is the first session to be let in; it raises nothing."""
        self._result = result
        self._on_proven = on_proven
        self._is_on_probation = bool(keys_of_kind(result.limit_keys, LimitKind.PROBATION))
        self._way: tuple[JumpTarget, ...] = ()

    def go_by(self, way: tuple[JumpTarget, ...]) -> None:
        """Watch the log-ins at these jump hosts as well.

        Raises DeviceError when the run does not use the credential of one of them any more: each
        device behind it would be one more refusal for the same account.
        """
        self._way = way
        ids = [jump.credential_id for jump in way if jump.credential_id is not None]
        reason = ids and set_aside_message(run_id=self._result.run_id, credential_ids=ids)
        if reason:
            raise DeviceError(
                ErrorCategory.CREDENTIAL_SET_ASIDE, f"on the way to the device: {reason}"
            )

    def connected(self) -> None:
        """See LogInGuard."""
        result = self._result
        if not self._is_on_probation or result.credential_id is None:
            return
        with database_use():
            may_log_in = log_in_permit(
                result_id=result.pk,
                attempt=result.attempts,
                run_id=result.run_id,
                credential_id=result.credential_id,
            )
        if not may_log_in:
            raise LogInWithheld

    def logged_in(self) -> None:
        """See LogInGuard. What cannot be written down is written by the next session."""
        for jump in self._way:
            self._accepted(jump.credential_id)
        if self._accepted(self._result.credential_id):
            self._on_proven()

    def _accepted(self, credential_id: int | None) -> bool:
        """Write down that the credential was taken; True if that ends its probation."""
        run_id = self._result.run_id
        if credential_id is None or not acceptance_is_due(
            run_id=run_id, credential_id=credential_id
        ):
            return False
        try:
            with database_use():
                return credential_accepted(run_id=run_id, credential_id=credential_id)
        except Exception:
            logger.exception("credential.acceptance_unrecorded", credential=credential_id)
            return False

    def count_failure(self, failure: DeviceError) -> bool:
        """Count how the session failed, in the transaction that records it; True for a refusal."""
        run_id, credential_id = self._result.run_id, self._result.credential_id
        if credential_id is None:
            return False
        at_jump_host = failure.jump_host is not None
        self._count_at_jump_host(failure)
        if is_refusal(failure.category, at_jump_host=at_jump_host):
            if self._result.device_id is not None:
                use_record_refusal(device_id=self._result.device_id, credential_id=credential_id)
            credential_refused(run_id=run_id, credential_id=credential_id)
            return True
        if self._is_on_probation and not is_acceptance(failure.category, at_jump_host=at_jump_host):
            credential_unanswered(run_id=run_id, credential_id=credential_id)
        return False

    def _count_at_jump_host(self, failure: DeviceError) -> None:
        """Count that a jump host has refused its credential, which many devices share."""
        if failure.jump_host is None or not is_refused_log_in(failure.category):
            return
        for jump in self._way:
            if jump.name == failure.jump_host and jump.credential_id is not None:
                credential_refused(
                    run_id=self._result.run_id,
                    credential_id=jump.credential_id,
                    jump_host=jump.name,
                )
