"""Watches the log-in of one session for the lockout guard of its run."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from backups.engine.collector import LogInGuard
from backups.engine.errors import DeviceError, LogInWithheld
from inventory.credential_uses import use_record_refusal
from jobs.models import DeviceResult
from jobs.policy.limits import LimitKind, keys_of_kind
from jobs.policy.lockout import is_acceptance, is_refusal
from jobs.services.lockout import (
    acceptance_is_due,
    credential_accepted,
    credential_refused,
    credential_unanswered,
    log_in_permit,
)
from jobs.services.sessions import database_use

logger = structlog.get_logger(__name__)


class RunGuard(LogInGuard):
    """Asks the database about a credential on probation, and about any other hardly ever."""

    def __init__(self, result: DeviceResult, on_proven: Callable[[], None]) -> None:
        """``on_proven`` is called if this is the first session to be let in; it raises nothing."""
        self._result = result
        self._on_proven = on_proven
        self._is_on_trial = bool(keys_of_kind(result.limit_keys, LimitKind.TRIAL))

    def connected(self) -> None:
        """See LogInGuard."""
        result = self._result
        if not self._is_on_trial or result.credential_id is None:
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
        run_id, credential_id = self._result.run_id, self._result.credential_id
        if credential_id is None or not acceptance_is_due(
            run_id=run_id, credential_id=credential_id
        ):
            return
        try:
            with database_use():
                is_first = credential_accepted(run_id=run_id, credential_id=credential_id)
        except Exception:
            logger.exception("credential.acceptance_unrecorded", credential=credential_id)
            return
        if is_first:
            self._on_proven()

    def count_failure(self, failure: DeviceError) -> bool:
        """Count how the session failed, in the transaction that records it; True for a refusal."""
        run_id, credential_id = self._result.run_id, self._result.credential_id
        if credential_id is None:
            return False
        at_jump_host = failure.jump_host is not None
        if is_refusal(failure.category, at_jump_host=at_jump_host):
            if self._result.device_id is not None:
                use_record_refusal(device_id=self._result.device_id, credential_id=credential_id)
            credential_refused(run_id=run_id, credential_id=credential_id)
            return True
        if self._is_on_trial and not is_acceptance(failure.category, at_jump_host=at_jump_host):
            credential_unanswered(run_id=run_id, credential_id=credential_id)
        return False
