"""Keeping and telling what the last check of the whole store found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models.functions import Now

from backups.models import StoreCheck
from backups.services.verify_report import ADVICE, Problem, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundProblem:
    """One kind of what is wrong."""

    problem: str
    count: int
    what_to_do: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LastCheck:
    """The last check of the whole store."""

    checked_at: datetime
    seconds: float
    #: How many of each kind were looked at, by its name in the plural.
    checked: dict[str, int]
    #: Empty when nothing was wrong.
    problems: Sequence[FoundProblem]


def store_check_keep(*, report: Report, seconds: float) -> None:
    """Put ``report`` of the whole store in the place of the one before."""
    found = {
        "checked_at": Now(),
        "seconds": seconds,
        "checked": dict(report.checked),
        "problems": {problem.value: count for problem, count in report.counts.items()},
        "problem_count": report.counts.total(),
    }
    StoreCheck.objects.update_or_create(pk=1, defaults=found)


def store_check_last() -> LastCheck | None:
    """What is known of the last one; None when there was none. One query."""
    row = StoreCheck.objects.first()
    if row is None:
        return None
    return LastCheck(
        checked_at=row.checked_at,
        seconds=row.seconds,
        checked=row.checked,
        problems=tuple(
            FoundProblem(problem=name, count=count, what_to_do=_advice(name))
            for name, count in row.problems.items()
        ),
    )


def _advice(name: str) -> str:
    known = name in set(Problem)
    return ADVICE[Problem(name)] if known else "run 'python manage.py verify_store' again"
