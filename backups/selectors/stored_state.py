"""What a backup needs to know of a device before it stores anything, in one query."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Subquery

from backups.models import Archive, CurrentText, Snapshot, Suspect, SuspectState
from backups.selectors.archives import archives_kept
from common.statements import Statement
from credentials.services import installation_cipher
from inventory.models import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredState:
    """The newest revision of a device, and what hangs on it."""

    #: None before the first one.
    newest: Snapshot | None
    #: Whether the newest raw copy of ``newest`` is the one that was asked about.
    has_archive: bool
    #: False when no suspect of the device waits for a decision.
    may_have_suspects: bool
    #: Whether text and dates that are derived take all revisions into account.
    is_projected: bool


def stored_state(*, device: Device, raw_digest: str = "") -> StoredState:
    """What is stored of ``device``; ``raw_digest`` is that of the raw copy that is asked about."""
    statement = _statement(tuple(installation_cipher().keys))
    found = statement.first(device=device.pk, raw_digest=raw_digest)
    if found is None:
        return StoredState(
            newest=None, has_archive=False, may_have_suspects=True, is_projected=False
        )
    found.device = device
    # Of the annotations of the query the type of the row says nothing.
    annotated: Any = found
    return StoredState(
        newest=found,
        has_archive=annotated.has_archive,
        may_have_suspects=annotated.has_suspects,
        is_projected=annotated.has_text and not annotated.is_behind,
    )


@lru_cache(maxsize=2)
def _statement(_key_ids: tuple[str, ...]) -> Statement[Snapshot]:
    """The query by these keys of the installation."""
    return Statement(_newest, device=int, raw_digest=str)


def _newest(*, device: int, raw_digest: str) -> QuerySet[Snapshot]:
    snapshots = Snapshot.objects.filter(device=device)
    # The newest one: a secret that was changed back is what the device has.
    newest = Archive.objects.filter(snapshot=OuterRef(OuterRef("pk"))).order_by("-id").values("pk")
    archives = archives_kept(raw_digest=raw_digest).filter(pk=Subquery(newest[:1]))
    return snapshots.annotate(
        has_archive=Exists(archives),
        has_suspects=Exists(Suspect.objects.filter(device=device, state=SuspectState.OPEN)),
        has_text=Exists(CurrentText.objects.filter(device=device)),
        is_behind=Exists(snapshots.filter(is_projected=False)),
    ).order_by("-collected_at", "-id")[:1]
