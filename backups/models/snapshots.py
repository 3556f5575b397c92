"""Stored revisions."""

from __future__ import annotations

from django.db import models

from backups.models.acknowledgements import ChangeAcknowledgement
from inventory.models import Device

#: In front of a revision's own number, by which it is found also when its commit changes.
BY_NUMBER = "id:"


class SnapshotState(models.TextChoices):
    """Where a snapshot stands. Git is a projection: PENDING becomes COMMITTED."""

    PENDING = "PENDING", "Not yet in Git"
    COMMITTED = "COMMITTED", "In Git"
    #: A repair found its text nowhere. The row keeps what it knew, and may come back.
    LOST = "LOST", "Text lost"


class Snapshot(models.Model):
    """One stored revision of one device's configuration, redacted.

    The text itself is in Git; the row is the index that pages and the API read, so that nothing
    walks Git history.
    """

    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="snapshots")
    state = models.CharField(
        max_length=10, choices=SnapshotState.choices, default=SnapshotState.PENDING
    )
    #: SHA-256 of the redacted text in hex: equal content makes no new snapshot.
    content_sha256 = models.CharField(max_length=64)
    #: Keyed digest of what was redacted into this text, and by which rules: where a later
    #: collection has the same, it is not redacted again. Empty where that is not known.
    source_digest = models.CharField(max_length=64, blank=True, db_default="", editable=False)
    #: The redacted text until it is in Git, so that a full disk loses nothing; then empty.
    pending_text = models.TextField(blank=True)
    path = models.CharField(max_length=200)
    commit = models.CharField(max_length=64, blank=True)
    blob = models.CharField(max_length=64, blank=True)
    size_bytes = models.PositiveIntegerField()
    line_count = models.PositiveIntegerField()
    lines_added = models.PositiveIntegerField(default=0)
    lines_removed = models.PositiveIntegerField(default=0)
    #: SHA-256 in hex over the added and removed lines: equal changes of several devices have the
    #: same. Empty for a first revision.
    change_digest = models.CharField(max_length=64, blank=True)
    #: The run and job that brought it, as plain values: runs are pruned, revisions stay.
    run_id = models.PositiveBigIntegerField(null=True, blank=True)
    job_name = models.CharField(max_length=100, blank=True)
    collected_at = models.DateTimeField()
    #: How many trusted reads gave this very content in a row, and when the last one did.
    read_count = models.PositiveIntegerField(default=1)
    last_read_at = models.DateTimeField(null=True, blank=True)
    #: Who changed the configuration last and when, as the device itself says; empty if it does not.
    changed_by = models.CharField(max_length=100, blank=True)
    changed_at_text = models.CharField(max_length=100, blank=True)
    #: Kind and name of the foreign history that it was imported from; empty for our own.
    imported_from = models.CharField(max_length=200, blank=True)
    #: Who took note of what it changes; None = nobody.
    acknowledgement = models.ForeignKey(
        ChangeAcknowledgement,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="snapshots",
    )
    #: Whether the dates of the device's secrets take this revision into account.
    is_projected = models.BooleanField(default=False, editable=False)

    class Meta:
        ordering = ["-collected_at", "-id"]
        indexes = [
            models.Index(fields=["device", "-collected_at", "-id"], name="snapshot_device_newest"),
            models.Index(
                fields=["id"], name="snapshot_pending", condition=models.Q(state="PENDING")
            ),
            models.Index(fields=["commit"], name="snapshot_commit"),
            models.Index(fields=["-collected_at", "-id"], name="snapshot_newest"),
            models.Index(fields=["run_id", "change_digest"], name="snapshot_change"),
            models.Index(
                fields=["device"],
                name="snapshot_unprojected",
                condition=models.Q(is_projected=False),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=SnapshotState.values), name="snapshot_state_known"
            ),
            models.CheckConstraint(
                condition=models.Q(state="PENDING", commit="")
                | (
                    models.Q(state__in=["COMMITTED", "LOST"], pending_text="")
                    & ~models.Q(commit="")
                ),
                name="snapshot_committed_has_commit",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.device.hostname} at {self.commit[:10] or 'pending'}"

    @property
    def revision(self) -> str:
        """How addresses name it; ``backups.selectors.snapshots.snapshot_get`` reads that."""
        return f"{BY_NUMBER}{self.pk}"
