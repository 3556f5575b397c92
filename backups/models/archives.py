"""Encrypted raw copies, who read them, and outputs that were not trusted."""

from __future__ import annotations

import uuid

from django.db import models

from backups.models.snapshots import Snapshot
from inventory.models import Device


class Archive(models.Model):
    """The byte-exact raw output of one collection, compressed and encrypted.

    Belongs to the snapshot that it was redacted into. Without one it is the output of a suspect
    collection, kept for a look and never committed, or, with a name, a binary artefact.
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
    #: File name of a binary artefact; empty for the running-config.
    name = models.CharField(max_length=100, blank=True)
    run_id = models.PositiveBigIntegerField(null=True, blank=True)
    collected_at = models.DateTimeField()

    class Meta:
        ordering = ["-collected_at", "-id"]
        default_permissions = ("view",)
        permissions = [
            ("read_raw_archive", "Can read raw configurations"),
            ("add_artefact", "Can add binary artefacts"),
        ]
        indexes = [
            models.Index(fields=["device", "-id"], name="archive_device_newest"),
            models.Index(fields=["key_id", "id"], name="archive_key"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(name="") | models.Q(snapshot=None),
                name="archive_artefact_has_no_snapshot",
            )
        ]

    def __str__(self) -> str:
        return f"{self.device.hostname} of {self.collected_at:%Y-%m-%d %H:%M}"


class SuspectState(models.TextChoices):
    """Where a suspect output stands."""

    OPEN = "OPEN", "Waits for a decision"
    ACCEPTED = "ACCEPTED", "Accepted as it is"
    #: A later collection was trusted.
    OVERTAKEN = "OVERTAKEN", "Overtaken by a good one"
    DISMISSED = "DISMISSED", "Dismissed"


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
    #: Name of the user who dismissed it, in the same form.
    dismissed_by = models.CharField(max_length=200, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    #: What it became when it was accepted.
    snapshot = models.ForeignKey(
        Snapshot, on_delete=models.PROTECT, null=True, blank=True, related_name="accepted_suspects"
    )
    collected_at = models.DateTimeField()

    class Meta:
        ordering = ["-collected_at", "-id"]
        default_permissions = ("view",)
        permissions = [("accept_suspect", "Can accept and dismiss suspect configurations")]
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
            models.CheckConstraint(
                condition=~models.Q(state="DISMISSED") | ~models.Q(dismissed_by=""),
                name="suspect_dismissed_by_someone",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.device.hostname} of {self.collected_at:%Y-%m-%d %H:%M}"


class ArchiveReading(models.Model):
    """Who read a raw configuration, when and why. Written before the bytes are handed out."""

    #: None once the archive was pruned; what it was stays in the two columns below.
    archive = models.ForeignKey(
        Archive, on_delete=models.SET_NULL, null=True, related_name="readings"
    )
    hostname = models.CharField(max_length=255)
    collected_at = models.DateTimeField()
    #: Name of the user, or ``command line (NAME)`` with the system user's name.
    reader = models.CharField(max_length=200)
    reason = models.CharField(max_length=500)
    #: Where the request came from: the proxy, where there is one. None on the command line.
    address = models.GenericIPAddressField(null=True, blank=True)
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
