"""Stored revisions and their encrypted raw copies."""

from __future__ import annotations

import uuid

from django.db import models

from inventory.models import Device


class SnapshotState(models.TextChoices):
    """Where a snapshot stands. Git is a projection: PENDING becomes COMMITTED, nothing else."""

    PENDING = "PENDING", "Not yet in Git"
    COMMITTED = "COMMITTED", "In Git"


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
    #: The redacted text until it is in Git, so that a full disk loses nothing; then empty.
    pending_text = models.TextField(blank=True)
    path = models.CharField(max_length=200)
    commit = models.CharField(max_length=64, blank=True)
    blob = models.CharField(max_length=64, blank=True)
    size_bytes = models.PositiveIntegerField()
    line_count = models.PositiveIntegerField()
    lines_added = models.PositiveIntegerField(default=0)
    lines_removed = models.PositiveIntegerField(default=0)
    #: The run and job that brought it, as plain values: runs are pruned, revisions stay.
    run_id = models.PositiveBigIntegerField(null=True, blank=True)
    job_name = models.CharField(max_length=100, blank=True)
    collected_at = models.DateTimeField()
    #: Who changed the configuration last and when, as the device itself says; empty if it does not.
    changed_by = models.CharField(max_length=100, blank=True)
    changed_at_text = models.CharField(max_length=100, blank=True)

    class Meta:
        ordering = ["-collected_at", "-id"]
        indexes = [
            models.Index(fields=["device", "-id"], name="snapshot_device_newest"),
            models.Index(
                fields=["id"], name="snapshot_pending", condition=models.Q(state="PENDING")
            ),
            models.Index(fields=["commit"], name="snapshot_commit"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=SnapshotState.values), name="snapshot_state_known"
            ),
            models.CheckConstraint(
                condition=models.Q(state="PENDING", commit="")
                | (models.Q(state="COMMITTED", pending_text="") & ~models.Q(commit="")),
                name="snapshot_committed_has_commit",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.device.hostname} at {self.commit[:10] or 'pending'}"


class Archive(models.Model):
    """The byte-exact raw output of one collection, compressed and encrypted.

    Belongs to the snapshot that it was redacted into; without one it is the output of a suspect
    collection, kept for a look and never committed.
    """

    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="archives")
    snapshot = models.ForeignKey(
        Snapshot, on_delete=models.PROTECT, null=True, blank=True, related_name="archives"
    )
    #: Binds the sealed bytes to this row.
    seal_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    #: Key that ``sealed`` needs; the value itself is in it as well.
    key_id = models.CharField(max_length=32)
    sealed = models.BinaryField(editable=False)
    #: Bytes before compression.
    size_bytes = models.PositiveIntegerField()
    #: Keyed digest of the normalised raw text: tells whether a later collection differs in
    #: anything that redaction hides.
    raw_digest = models.CharField(max_length=64)
    media_type = models.CharField(max_length=100, default="text/plain")
    run_id = models.PositiveBigIntegerField(null=True, blank=True)
    collected_at = models.DateTimeField()

    class Meta:
        ordering = ["-collected_at", "-id"]
        default_permissions = ("view",)
        permissions = [("read_raw_archive", "Can read raw configurations")]
        indexes = [models.Index(fields=["device", "-id"], name="archive_device_newest")]

    def __str__(self) -> str:
        return f"{self.device.hostname} of {self.collected_at:%Y-%m-%d %H:%M}"


class SuspectState(models.TextChoices):
    """Where a suspect output stands."""

    OPEN = "OPEN", "Waits for a decision"
    ACCEPTED = "ACCEPTED", "Accepted as it is"
    #: A later collection was trusted.
    OVERTAKEN = "OVERTAKEN", "Overtaken by a good one"


class Suspect(models.Model):
    """An output that was collected and not trusted, and what became of it."""

    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="suspects")
    archive = models.OneToOneField(Archive, on_delete=models.PROTECT, related_name="suspect")
    state = models.CharField(max_length=9, choices=SuspectState.choices, default=SuspectState.OPEN)
    #: Why it is not trusted, plain sentences.
    reasons = models.JSONField(default=list)
    run_id = models.PositiveBigIntegerField(null=True, blank=True)
    #: Name of the user who accepted it, or ``command line (NAME)``.
    accepted_by = models.CharField(max_length=200, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    #: What it became when it was accepted.
    snapshot = models.ForeignKey(
        Snapshot, on_delete=models.PROTECT, null=True, blank=True, related_name="accepted_suspects"
    )
    collected_at = models.DateTimeField()

    class Meta:
        ordering = ["-collected_at", "-id"]
        default_permissions = ("view",)
        permissions = [("accept_suspect", "Can accept suspect configurations")]
        indexes = [
            models.Index(fields=["device"], name="suspect_open", condition=models.Q(state="OPEN"))
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=SuspectState.values), name="suspect_state_known"
            ),
            models.CheckConstraint(
                condition=~models.Q(state="ACCEPTED") | ~models.Q(accepted_by=""),
                name="suspect_accepted_by_someone",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.device.hostname} of {self.collected_at:%Y-%m-%d %H:%M}"


class ArchiveReading(models.Model):
    """Who read a raw configuration, when and why. Written before the bytes are handed out."""

    archive = models.ForeignKey(Archive, on_delete=models.PROTECT, related_name="readings")
    #: Name of the user, or ``command line (NAME)`` with the system user's name.
    reader = models.CharField(max_length=200)
    reason = models.CharField(max_length=500)
    read_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-read_at"]
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(reason=""), name="archive_reading_has_reason"
            )
        ]

    def __str__(self) -> str:
        return f"{self.reader}: {self.reason}"
