"""The last check of all that is stored."""

from __future__ import annotations

from django.db import models


class StoreCheck(models.Model):
    """What the last check of the whole store found; there is one row at the most."""

    checked_at = models.DateTimeField()
    seconds = models.FloatField()
    #: How many of each kind were looked at, by its name in the plural.
    checked = models.JSONField(default=dict)
    #: Rows that are wrong, by ``backups.services.verify_report.Problem``.
    problems = models.JSONField(default=dict)
    #: The sum of them.
    problem_count = models.PositiveIntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="store_check_is_the_last"),
        ]

    def __str__(self) -> str:
        return f"check of {self.checked_at:%Y-%m-%d %H:%M} UTC"
