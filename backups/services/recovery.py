"""Finding the redacted text of a snapshot again, wherever there is a copy of it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import zstandard

from backups.engine.errors import DeviceError
from backups.engine.git.inspection import ObjectSource
from backups.engine.normalise import normalise
from backups.engine.search import unpack
from backups.models import Archive, CurrentText, Snapshot
from backups.selectors.archives import archive_bytes
from backups.services.redaction import installation_redactor
from backups.services.sessions import device_platform
from credentials.cipher import CipherError


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """The text of a snapshot as it is now, or why there is none."""

    snapshot: Snapshot
    #: None when it is lost.
    text: str | None
    #: Whether the text differs from the one that was stored first, because it had to be redacted
    #: anew from the raw copy and the rules have changed since.
    is_new: bool = False
    #: Why it is lost, in one line; empty when it is not.
    reason: str = ""


def recover(
    *, snapshots: Sequence[Snapshot], sources: Sequence[ObjectSource]
) -> Iterator[Recovered]:
    """Find the text of each of ``snapshots``, in their order.

    It is looked for in ``sources``, among the texts that are searched, and in the raw copies,
    which are redacted again.
    """
    in_git = _from_git(snapshots, sources)
    for snapshot in snapshots:
        text = in_git.get(snapshot.blob)
        if text is None:
            text = _searched_text(snapshot)
        if text is not None:
            yield Recovered(snapshot=snapshot, text=text)
            continue
        yield _from_archives(snapshot)


def _from_git(snapshots: Sequence[Snapshot], sources: Sequence[ObjectSource]) -> dict[str, str]:
    """Texts by blob id. An id is a digest of the text, so whatever has it is that text."""
    found: dict[str, str] = {}
    for source in sources:
        missing = [row.blob for row in snapshots if row.blob and row.blob not in found]
        if not missing:
            break
        found |= {blob: text for blob, text in source.texts(missing) if text is not None}
    return found


def _searched_text(snapshot: Snapshot) -> str | None:
    current = CurrentText.objects.filter(snapshot=snapshot).first()
    if current is None:
        return None
    try:
        text = unpack(bytes(current.packed)).decode()
    except (zstandard.ZstdError, UnicodeDecodeError):
        return None
    return text if _sha256(text) == snapshot.content_sha256 else None


def _from_archives(snapshot: Snapshot) -> Recovered:
    reason = "there is no raw copy of it"
    for archive in snapshot.archives.filter(name="").select_related("device").order_by("-id"):
        try:
            text = _redacted(archive)
        except (CipherError, zlib.error) as error:
            reason = f"its raw copy cannot be opened: {error}"
        except DeviceError as error:
            reason = f"its raw copy cannot be redacted: {error.message}"
        else:
            is_new = _sha256(text) != snapshot.content_sha256
            return Recovered(snapshot=snapshot, text=text, is_new=is_new)
    return Recovered(snapshot=snapshot, text=None, reason=reason)


def _redacted(archive: Archive) -> str:
    platform = device_platform(archive.device)
    raw = archive_bytes(archive=archive)
    return installation_redactor().redact(platform, normalise(platform, raw)).text


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
