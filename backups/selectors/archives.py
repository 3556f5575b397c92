"""Reading the encrypted raw copies and the binary artefacts."""

from __future__ import annotations

import zlib
from uuid import UUID

from django.db.models import QuerySet

from backups.models import Archive, Snapshot
from credentials.services import installation_cipher
from inventory.models import Device


class ArtefactNotFound(Exception):
    """There is no such artefact; the message says what there is."""


def archive_newest(*, snapshot: Snapshot) -> Archive | None:
    """The raw copy of ``snapshot`` that was read last, or None when it was pruned."""
    return snapshot.archives.order_by("-id").first()


def archives_kept(*, raw_digest: str) -> QuerySet[Archive]:
    """The raw copies with this digest that are kept under a key that is there.

    One whose key is lost is none: the next session writes another.
    """
    keys = list(installation_cipher().keys)
    return Archive.objects.filter(raw_digest=raw_digest, key_id__in=keys)


def artefacts_of(*, device: Device) -> QuerySet[Archive]:
    """The newest artefact of each name of ``device``, by name; without their bytes."""
    named = Archive.objects.filter(device=device).exclude(name="").select_related("device")
    return named.order_by("name", "-id").distinct("name").defer("sealed")


def artefact_newest(*, device: Device, name: str) -> Archive | None:
    """What was stored last as ``name`` of ``device``, or None."""
    return artefacts_of(device=device).filter(name=name).first()


def artefact_get(*, device: Device, name: str) -> Archive:
    """What was stored last as ``name`` of ``device``. Raises ArtefactNotFound."""
    found = artefact_newest(device=device, name=name) if name else None
    if found is None:
        names = ", ".join(artefact.name for artefact in artefacts_of(device=device)[:20])
        known = f"it has: {names}" if names else "it has none"
        raise ArtefactNotFound(f"{device.hostname} has no artefact '{name[:100]}'; {known}")
    return found


def archive_bytes(*, archive: Archive) -> bytes:
    """The raw bytes in ``archive``. Callers check the permission and record the reading first.

    Raises CipherError when the key is missing or the value is damaged.
    """
    context = archive_context(archive.seal_id)
    return zlib.decompress(installation_cipher().open(bytes(archive.sealed), context=context))


def archive_context(seal_id: UUID) -> str:
    """What the sealed bytes of the archive with this ``seal_id`` are bound to."""
    return f"archive:{seal_id}"
