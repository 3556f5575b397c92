"""How long the phases of backups took, all of them together."""

from __future__ import annotations

from django.db import models


class PhaseDuration(models.Model):
    """Backups whose ``phase`` took at most ``le`` seconds, and more than the next smaller bound.

    Only ever grows: read together the rows of a phase are a histogram of Prometheus.
    """

    #: Bound of what took longer than every other one.
    LONGEST = float("inf")

    phase = models.CharField(max_length=16)
    le = models.FloatField()
    count = models.PositiveBigIntegerField(default=0)
    #: Of those that are counted here.
    seconds = models.FloatField(default=0)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["phase", "le"], name="phase_duration_once"),
        ]

    def __str__(self) -> str:
        return f"{self.phase} up to {self.le:g} s"
