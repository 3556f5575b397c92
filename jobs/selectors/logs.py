"""Reading both logs of runs as one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import F, IntegerField, Q, QuerySet, Value

from inventory.visibility import User, of_visible_devices
from jobs.choices import LogLevel
from jobs.models import ConnectionLog, JobLog


class LogType(StrEnum):
    """Which log a line stands in. The values are part of the API."""

    JOB = "job_log"
    CONNECTION = "connection_log"


_RIGHTS = {
    LogType.JOB: "jobs.view_joblog",
    LogType.CONNECTION: "jobs.view_connectionlog",
}


def logs_permitted(*, user: User) -> frozenset[LogType]:
    """The logs that ``user`` has the right to read."""
    return frozenset(kind for kind, right in _RIGHTS.items() if user.has_perm(right))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which lines are wanted; None asks for no such thing. Times are aware."""

    log_type: LogType | None = None
    job_id: int | None = None
    run_id: int | None = None
    device_id: int | None = None
    level: LogLevel | None = None
    #: Written at this time or later, and before that time.
    since: datetime | None = None
    until: datetime | None = None
    #: Part of the message or of the hostname, in any case.
    search: str | None = None
    oldest_first: bool = False


class LogLines:
    """Lines of both logs in the order of their times, to be cut into pages.

    Each line is a dictionary with the columns of ``jobs.api.logs``.
    """

    def __init__(self, *, query: LogQuery, types: frozenset[LogType], user: User) -> None:
        wanted = types if query.log_type is None else types & {query.log_type}
        self._logs = [_lines(log_type, query, user) for log_type in sorted(wanted)]
        time = "created_at" if query.oldest_first else "-created_at"
        self._order = (time, "log_type", time.replace("created_at", "id"))

    def count(self) -> int:
        """How many lines there are."""
        return sum(lines.order_by().count() for lines in self._logs)

    def __getitem__(self, wanted: slice) -> list[dict[str, Any]]:
        """The lines of a page. No log is read further than the page needs at the most."""
        if not wanted.stop:  # the only page of no lines
            return []
        time, _, number = self._order
        heads = [_columns(lines.order_by(time, number)[: wanted.stop]) for lines in self._logs]
        if len(heads) < 2:  # a union of one is no union
            return [line for head in heads for line in head[wanted.start :]]
        return list(heads[0].union(*heads[1:], all=True).order_by(*self._order)[wanted])


def _lines(log_type: LogType, query: LogQuery, user: User) -> QuerySet[Any]:
    is_connection = log_type is LogType.CONNECTION
    lines: QuerySet[Any] = (ConnectionLog if is_connection else JobLog).objects.all()
    lines = of_visible_devices(queryset=lines, user=user).filter(_filter(query))
    attempt = F("attempt") if is_connection else Value(None, output_field=IntegerField())
    return lines.annotate(log_type=Value(log_type.value), attempt_number=attempt)


def _filter(query: LogQuery) -> Q:
    exact = {
        "run__job": query.job_id,
        "run": query.run_id,
        "device": query.device_id,
        "level": query.level,
        "created_at__gte": query.since,
        "created_at__lt": query.until,
    }
    wanted = Q(**{path: value for path, value in exact.items() if value is not None})
    if query.search:
        text = query.search
        wanted &= Q(message__icontains=text) | Q(device__hostname__icontains=text)
    return wanted


def _columns(lines: QuerySet[Any]) -> QuerySet[Any, dict[str, Any]]:
    return lines.values(
        *("id", "log_type", "created_at", "level", "message", "run_id", "device_id"),
        job_id=F("run__job"),
        job_name=F("run__job_name"),
        hostname=F("device__hostname"),
        number=F("attempt_number"),
    )
