"""What the last regular check of the audit log found."""

from __future__ import annotations

from django.db import models


class AuditCheck(models.Model):
    """The last check; there is one row at the most, with the id 1."""

    ROW = 1

    checked_at = models.DateTimeField()
    entries = models.PositiveBigIntegerField()
    sealed = models.PositiveBigIntegerField()
    #: The last seal while nothing was wrong, as ``NUMBER:DIGEST``; empty without one.
    head = models.CharField(max_length=100, blank=True)
    problem_count = models.PositiveIntegerField()
    #: The first of them, one line.
    problem = models.CharField(max_length=500, blank=True)
    #: Since when each check has found something; None while nothing is wrong.
    broken_since = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.problem_count} problems at {self.checked_at:%Y-%m-%d %H:%M:%S}"
