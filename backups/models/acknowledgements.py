"""Who looked at a change and took note of it."""

from __future__ import annotations

from django.db import models


class ChangeAcknowledgement(models.Model):
    """Somebody took note of a change: why it is in order, or under which ticket it is worked on.

    The revisions that it is about name it (``Snapshot.acknowledgement``): equal changes of one run,
    as far as they were there and were seen by whoever acknowledged them.
    """

    #: The run, job and digest that these revisions share, as plain values.
    run_id = models.PositiveBigIntegerField(null=True, blank=True)
    job_name = models.CharField(max_length=100, blank=True)
    change_digest = models.CharField(max_length=64)
    device_count = models.PositiveIntegerField()
    note = models.CharField(max_length=500, blank=True)
    #: Number or address in the operator's own system.
    ticket = models.CharField(max_length=100, blank=True)
    #: Name of the user.
    acknowledged_by = models.CharField(max_length=200)
    acknowledged_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("acknowledge_change", "Can acknowledge changes")]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(note="", ticket=""), name="acknowledgement_says_something"
            ),
            models.CheckConstraint(
                condition=~models.Q(acknowledged_by=""), name="acknowledgement_by_someone"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.acknowledged_by}: {self.ticket or self.note}"
