"""Reading the encrypted raw copies."""

from __future__ import annotations

import zlib

from backups.models import Archive, Snapshot
from credentials.services import installation_cipher


def archive_newest(*, snapshot: Snapshot) -> Archive | None:
    """The raw copy of ``snapshot`` that was read last, or None when it was pruned."""
    return snapshot.archives.order_by("-id").first()


def archive_bytes(*, archive: Archive) -> bytes:
    """The raw bytes in ``archive``. Callers check the permission and record the reading first.

    Raises CipherError when the key is missing or the value is damaged.
    """
    sealed = installation_cipher().open(bytes(archive.sealed), context=archive_context(archive))
    return zlib.decompress(sealed)


def archive_context(archive: Archive) -> str:
    """What the sealed bytes of ``archive`` are bound to."""
    return f"archive:{archive.seal_id}"
