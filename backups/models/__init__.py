"""Stored revisions, their encrypted raw copies, and what is derived from them."""

from __future__ import annotations

from backups.models.acknowledgements import ChangeAcknowledgement
from backups.models.archives import Archive, ArchiveReading, Suspect, SuspectState
from backups.models.freshness import DeviceFreshness
from backups.models.projections import CurrentText, SecretUse
from backups.models.remotes import GitRemote, RemoteState
from backups.models.retention import HistoryDeletion, RetentionPolicy
from backups.models.snapshots import BY_NUMBER, Snapshot, SnapshotState
from backups.models.store_checks import StoreCheck

__all__ = [
    "BY_NUMBER",
    "Archive",
    "ArchiveReading",
    "ChangeAcknowledgement",
    "CurrentText",
    "DeviceFreshness",
    "GitRemote",
    "HistoryDeletion",
    "RemoteState",
    "RetentionPolicy",
    "SecretUse",
    "Snapshot",
    "SnapshotState",
    "StoreCheck",
    "Suspect",
    "SuspectState",
]
