"""Git remotes: which there are, what each has yet to get, and which are due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import (
    Aggregate,
    Case,
    Count,
    Exists,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    When,
)
from django.utils import timezone

from backups.models import GitRemote, Snapshot, SnapshotState


class RemoteNotFound(Exception):
    """No Git remote has that name. The message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteLag:
    """What a remote has yet to get."""

    snapshots: int
    #: Seconds since the oldest of them was collected; None when there is none.
    seconds: float | None


def remote_get(*, name: str) -> GitRemote:
    """The remote with this name. Raises RemoteNotFound."""
    remote = GitRemote.objects.select_related("zone", "credential").filter(name=name).first()
    if remote is None:
        names = ", ".join(GitRemote.objects.order_by("name").values_list("name", flat=True)[:10])
        known = f"the remotes are: {names}" if names else "there are none yet"
        raise RemoteNotFound(f"there is no Git remote '{name}'; {known}")
    return remote


def remote_lag(*, remote: GitRemote) -> RemoteLag:
    """How far the remote is behind, pending snapshots included."""
    found = (
        snapshots_of(remote)
        .filter(pk__gt=remote.pushed_snapshot_id)
        .aggregate(number=Count("pk"), oldest=Min("collected_at"))
    )
    return _lag(found["number"], found["oldest"])


def remotes_with_lag(*, remotes: QuerySet[GitRemote]) -> QuerySet[GitRemote]:
    """``remotes`` with what ``lag_of`` needs, so that it asks nothing more."""
    behind = Snapshot.objects.filter(imported_from="", pk__gt=OuterRef("pushed_snapshot_id"))
    of_zone = behind.filter(device__zone=OuterRef("zone"))
    return remotes.annotate(
        behind=_of_remote(behind, of_zone, Count("pk")),
        behind_since=_of_remote(behind, of_zone, Min("collected_at")),
    )


def _of_remote(of_all: QuerySet[Snapshot], of_zone: QuerySet[Snapshot], figure: Aggregate) -> Case:
    def found(snapshots: QuerySet[Snapshot]) -> Subquery:
        # All of them have the same value there, so that they are one group.
        grouped = snapshots.order_by().values("imported_from")
        return Subquery(grouped.annotate(figure=figure).values("figure"))

    return Case(When(zone__isnull=True, then=found(of_all)), default=found(of_zone))


def lag_of(remote: GitRemote) -> RemoteLag:
    """How far the remote is behind; without a query for one of ``remotes_with_lag``."""
    if not hasattr(remote, "behind"):
        return remote_lag(remote=remote)
    return _lag(remote.behind or 0, getattr(remote, "behind_since", None))


def _lag(snapshots: int, since: datetime | None) -> RemoteLag:
    seconds = None if since is None else max(0.0, (timezone.now() - since).total_seconds())
    return RemoteLag(snapshots=snapshots, seconds=seconds)


def snapshots_of(remote: GitRemote) -> QuerySet[Snapshot]:
    """The snapshots that a remote is to get.

    Imported ones are left out: where our own history came first, they are on another branch.
    """
    snapshots = Snapshot.objects.filter(imported_from="")
    return snapshots if remote.zone_id is None else snapshots.filter(device__zone=remote.zone_id)


def newest_in_git(remote: GitRemote) -> int:
    """The remote's snapshots up to this id are all in Git; 0 when there is none."""
    found = snapshots_of(remote).aggregate(
        newest=Max("pk"), pending=Min("pk", filter=Q(state=SnapshotState.PENDING))
    )
    pending: int | None = found["pending"]
    return (found["newest"] or 0) if pending is None else pending - 1


def paths_of_zone(zone_id: int) -> frozenset[str]:
    """The paths at which configurations of a zone's devices stand in Git."""
    snapshots = Snapshot.objects.filter(device__zone=zone_id, state=SnapshotState.COMMITTED)
    return frozenset(snapshots.order_by().values_list("path", flat=True).distinct())


def remotes_due(*, forgotten_after: timedelta) -> QuerySet[GitRemote]:
    """Enabled remotes whose next attempt is due, or that have been forgotten.

    Forgotten is a remote for which nothing is planned although a snapshot for it has been in Git
    for so long: the message that asked for a push was lost, or nobody sent one.
    """
    now = timezone.now()
    waiting = Snapshot.objects.filter(
        imported_from="",
        state=SnapshotState.COMMITTED,
        pk__gt=OuterRef("pushed_snapshot_id"),
        collected_at__lt=now - forgotten_after,
    )
    of_all = Q(zone__isnull=True) & Exists(waiting)
    of_zone = Q(zone__isnull=False) & Exists(waiting.filter(device__zone=OuterRef("zone")))
    forgotten = Q(next_attempt_at__isnull=True) & (of_all | of_zone)
    return GitRemote.objects.filter(Q(next_attempt_at__lte=now) | forgotten, is_enabled=True)
