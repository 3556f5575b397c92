"""Git remotes: keeping them, and pushing to them without ever standing in a backup's way.

A push has three steps, so that no database connection is held while a remote answers: a plan is
made, carried out, and its outcome is written down. What is due stands in the rows; a lost message
delays a push and loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from backups.engine.errors import DeviceError
from backups.engine.git.branch import MAIN
from backups.engine.git.failures import os_errors_named
from backups.engine.git.remote import (
    PushFailed,
    PushTarget,
    RemoteDiverged,
    RemoteKeyRefused,
    parse_remote,
)
from backups.engine.git.turn import alone
from backups.models import GitRemote, RemoteState
from backups.selectors.git import git_store
from backups.selectors.remotes import newest_in_git, paths_of_zone, remotes_due
from credentials.services import CredentialError, credential_open

_BACKOFF = timedelta(minutes=1)
_BACKOFF_MAX = timedelta(hours=1)
#: How soon a remote is pushed to again when there was a commit during the push.
_SOON = timedelta(minutes=1)
_ERROR_LENGTH = 500


class RemoteBusy(Exception):
    """Another push to the remote is under way. The message says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPlan:
    """One push, with everything that the database has to say about it."""

    remote_id: int
    name: str
    url: str
    zone_id: int | None
    #: None for all devices; else the branch of the zone and the paths that belong on it.
    zone_branch: str | None
    zone_paths: frozenset[str] = field(repr=False)
    #: None where ``problem`` says why nothing can be pushed.
    target: PushTarget | None
    problem: str
    #: Snapshots up to this id are in what is pushed.
    covers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOutcome:
    """How a push went."""

    #: OK, FAILED or DIVERGED; NEVER when the store has nothing to push yet.
    state: RemoteState
    #: One line without a secret; "" after a success.
    error: str = ""
    commit: str = ""
    #: Host key that was shown over SSH, and whether it was refused.
    host_key: str = ""
    is_key_refused: bool = False
    #: Whether the store has got more commits meanwhile.
    is_behind: bool = False


@transaction.atomic
def remote_save(*, remote: GitRemote) -> GitRemote:
    """Validate and save ``remote``. Raises ValidationError.

    Another address or zone makes it a new remote: what was known of the old one is forgotten, the
    host key too. An enabled remote is due at once.
    """
    remote.full_clean()
    before = GitRemote.objects.filter(pk=remote.pk).first()
    if before is None or (before.url, before.zone_id) != (remote.url, remote.zone_id):
        _forget(remote)
    if before is not None and before.url != remote.url:
        remote.host_key = remote.offered_host_key = ""
    remote.next_attempt_at = timezone.now() if remote.is_enabled else None
    remote.save()
    return remote


def remotes_mark_due(*, remotes: QuerySet[GitRemote]) -> int:
    """Have these remotes pushed to as soon as a worker is free; how many there are.

    Disabled ones are left out.
    """
    return remotes.filter(is_enabled=True).update(next_attempt_at=timezone.now())


def remotes_mark_changed() -> int:
    """The same for all remotes after a change; those that fail keep waiting for their next try."""
    return remotes_mark_due(remotes=GitRemote.objects.filter(failures=0))


@transaction.atomic
def remotes_take_due() -> list[int]:
    """The ids of remotes that are to be pushed to now, each handed out once.

    When nobody pushes, it is handed out again after ``message_ttl_seconds``.
    """
    patience = timedelta(seconds=settings.NETRAVEN.message_ttl_seconds)
    due = remotes_due(forgotten_after=patience).select_for_update(of=("self",), skip_locked=True)
    ids = list(due.values_list("pk", flat=True))
    GitRemote.objects.filter(pk__in=ids).update(next_attempt_at=timezone.now() + patience)
    return ids


@contextmanager
def remote_alone(remote_id: int) -> Iterator[None]:
    """Let nobody else push to a remote. Raises RemoteBusy, DeviceError."""
    directory = settings.NETRAVEN.git_directory
    git_store()
    with os_errors_named(directory), alone(directory, f"push-{remote_id}") as is_free:
        if not is_free:
            raise RemoteBusy("another push to this remote is under way")
        yield


def push_plan(*, remote_id: int) -> PushPlan | None:
    """What pushing to a remote takes; None when the remote is gone."""
    remotes = GitRemote.objects.select_related("zone", "credential")
    remote = remotes.filter(pk=remote_id).first()
    if remote is None:
        return None
    zone = remote.zone
    target, problem = _target(remote)
    return PushPlan(
        remote_id=remote.pk,
        name=remote.name,
        url=remote.url,
        zone_id=remote.zone_id,
        zone_branch=zone_branch(zone.pk) if zone else None,
        zone_paths=paths_of_zone(zone.pk) if zone else frozenset(),
        target=target,
        problem=problem,
        covers=newest_in_git(remote),
    )


def push_carry_out(*, plan: PushPlan) -> PushOutcome:
    """Push, without the database. Never raises for what a remote, the store or a secret does."""
    if plan.target is None:
        return PushOutcome(state=RemoteState.FAILED, error=plan.problem)
    try:
        return _pushed(plan, plan.target)
    except RemoteDiverged as error:
        return PushOutcome(state=RemoteState.DIVERGED, error=str(error))
    except RemoteKeyRefused as error:
        return PushOutcome(
            state=RemoteState.FAILED, error=str(error), host_key=error.shown, is_key_refused=True
        )
    except PushFailed as error:
        return PushOutcome(state=RemoteState.FAILED, error=str(error))
    except DeviceError as error:
        return PushOutcome(state=RemoteState.FAILED, error=error.message)


def push_record(*, plan: PushPlan, outcome: PushOutcome) -> None:
    """Write down how a push went, unless the remote is another one by now."""
    now = timezone.now()
    rows = GitRemote.objects.select_for_update(of=("self",), no_key=True)
    with transaction.atomic():
        remote = rows.filter(pk=plan.remote_id, url=plan.url, zone=plan.zone_id).first()
        if remote is None:
            return
        remote.attempted_at = now
        if outcome.state == RemoteState.OK:
            _record_success(remote, plan, outcome, now)
        elif outcome.state == RemoteState.NEVER:
            remote.next_attempt_at = None
        else:
            _record_failure(remote, outcome, now)
        remote.save()


def remote_push(*, remote: GitRemote) -> PushOutcome:
    """Push to ``remote`` now, whether it is enabled or not. Raises RemoteBusy, DeviceError."""
    with remote_alone(remote.pk):
        plan = push_plan(remote_id=remote.pk)
        assert plan is not None
        outcome = push_carry_out(plan=plan)
        push_record(plan=plan, outcome=outcome)
    remote.refresh_from_db()
    return outcome


def zone_branch(zone_id: int) -> str:
    """The store's branch with the history of one zone, whatever the zone is called by now."""
    return f"zone-{zone_id}"


def backoff(failures: int) -> timedelta:
    """How long to wait after so many failures in a row: a minute, doubled up to an hour."""
    return min(_BACKOFF * 2 ** min(failures - 1, 10), _BACKOFF_MAX)


def _target(remote: GitRemote) -> tuple[PushTarget | None, str]:
    """Where and how to push; or None, and why not."""
    try:
        credential = credential_open(credential=remote.credential) if remote.credential else None
        address = parse_remote(remote.url)
    except CredentialError as error:
        return None, f"The secret could not be opened: {error}"
    except ValueError as error:
        return None, f"This is no address of a Git remote: {error}"
    target = PushTarget(
        address=address,
        credential=credential,
        host_key=remote.host_key,
        ca_file=settings.NETRAVEN.git_ca_file,
    )
    return target, ""


def _pushed(plan: PushPlan, target: PushTarget) -> PushOutcome:
    store = git_store()
    main = store.branches().get(MAIN)
    branch = plan.zone_branch or MAIN
    tip = store.grow(branch, plan.zone_paths) if plan.zone_branch else main
    if tip is None:
        return PushOutcome(state=RemoteState.NEVER, error="There is nothing to push yet.")
    shown = store.push(target, branch=branch)
    is_behind = store.branches().get(MAIN) != main
    return PushOutcome(state=RemoteState.OK, commit=tip, host_key=shown, is_behind=is_behind)


def _record_success(remote: GitRemote, plan: PushPlan, outcome: PushOutcome, now: datetime) -> None:
    remote.state = RemoteState.OK
    remote.error = ""
    remote.pushed_commit = outcome.commit
    remote.pushed_snapshot_id = plan.covers
    remote.pushed_at = now
    remote.failures = 0
    remote.next_attempt_at = now + _SOON if outcome.is_behind else None
    remote.host_key = remote.host_key or outcome.host_key
    remote.offered_host_key = ""


def _record_failure(remote: GitRemote, outcome: PushOutcome, now: datetime) -> None:
    remote.state = outcome.state
    remote.error = outcome.error[:_ERROR_LENGTH]
    remote.failures += 1
    remote.next_attempt_at = now + backoff(remote.failures)
    if outcome.is_key_refused:
        remote.offered_host_key = outcome.host_key


def _forget(remote: GitRemote) -> None:
    """Take back everything that pushes have found out."""
    remote.state = RemoteState.NEVER
    remote.error = ""
    remote.pushed_commit = ""
    remote.pushed_snapshot_id = 0
    remote.pushed_at = None
    remote.attempted_at = None
    remote.failures = 0
