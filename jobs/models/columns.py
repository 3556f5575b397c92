"""What the columns of several models have in common."""

from __future__ import annotations

from enum import StrEnum

from jobs.choices import ResultStatus, RunStatus


def choices_of(enum: type[StrEnum]) -> list[tuple[str, str]]:
    """The choices of a column that holds a member of ``enum``: value and readable name."""
    return [(member.value, member.value.replace("_", " ").capitalize()) for member in enum]


#: The statuses of runs, which the description of the API names once for all answers with a run.
RUN_STATUSES = choices_of(RunStatus)


def in_order(statuses: frozenset[RunStatus] | frozenset[ResultStatus]) -> list[str]:
    """A stable order, so that a constraint reads the same in every migration."""
    return sorted(str(status) for status in statuses)
