"""Keeping what a check of the audit log found, for those who watch."""

from __future__ import annotations

from django.db.models import F
from django.db.models.functions import Coalesce, Now

from jobs.models import AuditCheck


def audit_check_record(
    *, entries: int, sealed: int, head: str, problem_count: int, problem: str
) -> None:
    """Put this check in the place of the last one.

    ``head`` is only kept where nothing is wrong: what was there then has to be there in the next
    check, also when somebody has cut off what came after it. ``problem`` is the first one.
    """
    is_broken = problem_count > 0
    AuditCheck.objects.get_or_create(
        pk=AuditCheck.ROW,
        defaults={"checked_at": Now(), "entries": 0, "sealed": 0, "problem_count": 0},
    )
    AuditCheck.objects.filter(pk=AuditCheck.ROW).update(
        checked_at=Now(),
        entries=entries,
        sealed=sealed,
        head=F("head") if is_broken else head,
        problem_count=problem_count,
        problem=problem[:500],
        broken_since=Coalesce(F("broken_since"), Now()) if is_broken else None,
    )
