"""When a run stops using a credential, and how careful it is with one that is not proven; pure.

A credential that devices refuse again and again would lock its account out. A run therefore puts a
credential on probation until one device has taken it: so few sessions may try it that even if all
of them are refused no more than the limit were. After that, refusals in a row set it aside.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from backups.engine.errors import ErrorCategory

#: How often a process writes down that devices take a credential, at the most.
ACCEPTED_EVERY = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a credential fares in a run."""

    #: Devices that refused it since the last one that took it.
    refusals: int = 0
    #: Sessions on probation that ended before the device had a chance to say yes or no.
    unanswered: int = 0
    is_proven: bool = False
    is_set_aside: bool = False


def is_refusal(category: ErrorCategory, *, at_jump_host: bool) -> bool:
    """Whether a failure says that the device refused the credential.

    A refused enable secret is none: the device has taken user name and password by then. Neither is
    what a jump host refused, which has a credential of its own.
    """
    return is_refused_log_in(category) and not at_jump_host


def is_refused_log_in(category: ErrorCategory) -> bool:
    """Whether a failure says that a log-in was refused, by the device or by a jump host."""
    return category is ErrorCategory.AUTHENTICATION


def is_acceptance(category: ErrorCategory, *, at_jump_host: bool) -> bool:
    """Whether a failure at the log-in says that the device took the credential all the same."""
    return category is ErrorCategory.ENABLE and not at_jump_host


def log_ins_allowed(standing: Standing, *, limit: int) -> int | None:
    """How many sessions may be at the log-in at once; None for any number.

    ``limit`` is the number of refusals in a row that sets a credential aside. Together with what
    was refused already they never come to more than that.
    """
    if standing.is_set_aside:
        return 0
    return None if standing.is_proven else max(0, limit - standing.refusals)


def sessions_allowed(standing: Standing, *, limit: int) -> int | None:
    """How many sessions may be under way at once, the log-in not counted; None for any number.

    Each one that brought no answer makes room for one more, so that a site that is down does not
    hold up the run: only who is at the log-in can be refused.
    """
    allowed = log_ins_allowed(standing, limit=limit)
    return allowed and allowed + standing.unanswered


def goes_on(*, refusing_since: datetime | None, accepted_at: datetime | None) -> bool:
    """Whether a refusal comes in a row with those since ``refusing_since``; no time means no.

    An acceptance is written down once per ACCEPTED_EVERY and process, so one that is as old as that
    may stand for a later one.
    """
    if refusing_since is None:
        return False
    return accepted_at is None or accepted_at < refusing_since - ACCEPTED_EVERY


def refused_at_reason(count: int, jump_host: str) -> str:
    """Why a credential was set aside after a jump host refused it so often, one line."""
    return f"jump host '{jump_host}' refused it {count} times in a row"


def set_aside_reason(hostnames: list[str]) -> str:
    """Why a credential was set aside after these devices refused it, one line."""
    names = ", ".join(hostnames)
    reason = f"{len(hostnames)} devices in a row refused it: {names}"
    return reason if len(reason) <= 300 else reason[:299] + "…"
