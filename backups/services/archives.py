"""Writing and opening the encrypted raw copies."""

from __future__ import annotations

import zlib
from datetime import datetime

from backups.models import Archive, ArchiveReading, Snapshot
from backups.selectors.archives import archive_bytes, archive_context
from credentials.cipher import sealed_key_id
from credentials.services import installation_cipher
from inventory.models import Device


def archive_write(
    *,
    device: Device,
    raw: bytes,
    raw_digest: str,
    collected_at: datetime,
    run_id: int | None = None,
    snapshot: Snapshot | None = None,
) -> Archive:
    """A new row with ``raw`` sealed in it."""
    archive = Archive(
        device=device,
        snapshot=snapshot,
        size_bytes=len(raw),
        raw_digest=raw_digest,
        run_id=run_id,
        collected_at=collected_at,
    )
    archive.sealed = installation_cipher().seal(
        zlib.compress(raw), context=archive_context(archive)
    )
    archive.key_id = sealed_key_id(archive.sealed)
    archive.save()
    return archive


def archive_read(*, archive: Archive, reader: str, reason: str) -> bytes:
    """The raw bytes of ``archive``, after writing down who reads them and why.

    Raises ValueError for an empty reason and CipherError when the bytes cannot be opened.
    """
    if not reason.strip():
        raise ValueError("reading a raw configuration needs a reason")
    ArchiveReading.objects.create(
        archive=archive,
        hostname=archive.device.hostname,
        collected_at=archive.collected_at,
        reader=reader[:200],
        reason=reason.strip()[:500],
    )
    return archive_bytes(archive=archive)
