"""The lockout guard of sessions that no run records: a tally in memory, for threads of one process.

As careful as a run is: no more sessions try a credential at once than could be refused before it is
set aside, until a device has taken it.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field

from jobs.policy.lockout import Standing, log_ins_allowed, set_aside_reason


@dataclass(slots=True)
class _Account:
    """How one credential fares."""

    under_way: int = 0
    is_proven: bool = False
    #: Hostnames that refused it since the last one that took it.
    refusers: list[str] = field(default_factory=list)

    def has_room(self, limit: int) -> bool:
        """Whether one more session may begin."""
        standing = Standing(refusals=len(self.refusers), is_proven=self.is_proven)
        allowed = log_ins_allowed(standing, limit=limit)
        return allowed is None or self.under_way < allowed


class LogInTally:
    """Which credentials may be tried on one more device; safe to share between threads."""

    def __init__(self, *, limit: int) -> None:
        """``limit`` refusals in a row set a credential aside; 0 sets none aside."""
        self._limit = limit
        self._changed = threading.Condition()
        self._accounts: defaultdict[int, _Account] = defaultdict(_Account)

    def begin(self, credential_id: int) -> str | None:
        """Wait for room for one more session; None once it may begin, else why it may not.

        Who was let in is to call ``end``, whatever happens.
        """
        with self._changed:
            account = self._accounts[credential_id]
            self._changed.wait_for(lambda: self._is_set_aside(account) or self._may_begin(account))
            if self._is_set_aside(account):
                return set_aside_reason(account.refusers)
            account.under_way += 1
            return None

    def end(self, credential_id: int, hostname: str, *, was_taken: bool | None) -> None:
        """Count a session that was let in: whether the device took the credential.

        None where it said neither.
        """
        with self._changed:
            account = self._accounts[credential_id]
            account.under_way -= 1
            if was_taken:
                account.is_proven = True
                account.refusers.clear()
            elif was_taken is False:
                account.refusers.append(hostname)
            self._changed.notify_all()

    def _is_set_aside(self, account: _Account) -> bool:
        return bool(self._limit) and len(account.refusers) >= self._limit

    def _may_begin(self, account: _Account) -> bool:
        return not self._limit or account.has_room(self._limit)
