"""The Git store: one bare repository with the redacted configuration of every device.

A save writes the blob, the two trees that it touches and the commit, whatever the number of
devices. Every object is synced to disk under a temporary name and renamed before the branch is
moved, and the move is synced too: a killed process or a power cut leaves the state before the
save or the one after it, and a save that was reported is there.

Git itself is asked for what it knows best: packed objects, line counts, the consistency check.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from backups.engine.config_path import is_config_path
from backups.engine.git.branch import MAIN, Branch, branch_ref
from backups.engine.git.change import Change, change_between, change_between_trees
from backups.engine.git.command import GitCommand
from backups.engine.git.commits import Commits, Place, Sign
from backups.engine.git.failures import os_errors_named
from backups.engine.git.format import (
    NETRAVEN,
    commit_message,
    encode_object,
    format_commit,
    named_references,
    object_id,
)
from backups.engine.git.layout import prepare_repository
from backups.engine.git.maintenance import Maintenance, maintain
from backups.engine.git.objects import Objects
from backups.engine.git.projection import Projection
from backups.engine.git.push import push_branch
from backups.engine.git.remote import PushTarget
from backups.engine.git.turn import writing_turn
from backups.engine.types import CommitRequest, RedactedConfig, SavedRevision

_BLOBS_AT_ONCE = 100
_FULL_ID = re.compile(r"[0-9a-f]{40}")
_SHORT_ID = re.compile(r"[0-9a-f]{7,39}")


class RevisionNotFound(LookupError):
    """The Git store has no such revision, path or blob. The message is safe to show."""


@dataclass(frozen=True, slots=True)
class _Content:
    """What is to be saved."""

    body: bytes
    blob: str

    @classmethod
    def of(cls, config: RedactedConfig) -> _Content:
        body = config.text.encode("utf-8", "backslashreplace")
        return cls(body, object_id(encode_object("blob", body)))


class _Step(NamedTuple):
    """What a save has looked at and written before its turn."""

    place: Place
    #: Id of the folder of the place with the new content in it.
    folder: str
    change: Change


_Prepared = tuple[CommitRequest, _Content, _Step]


class GitStore:
    """The repository at ``path``, for any number of processes and threads at once.

    An instance holds no open file and no state: it may be shared between threads and kept across
    a fork. ``sign`` signs each commit that it makes. All methods raise DeviceError with category
    STORE_FAILURE when the disk or the repository fails them.
    """

    def __init__(self, path: Path, *, sign: Sign | None = None) -> None:
        self._path = path.absolute()
        self._git = GitCommand(self._path)
        self._objects = Objects(self._path / "objects", self._git.run)
        self._commits = Commits(self._objects, sign)

    @classmethod
    def open_or_create(cls, path: Path, *, sign: Sign | None = None) -> GitStore:
        """Return the store at ``path``; create it, with mode 0750, where there is none.

        Any number of processes may do this at once. Raises DeviceError when the place holds
        something else, or a repository that is not bare or has another main branch.
        """
        store = cls(path, sign=sign)
        with os_errors_named(path):
            prepare_repository(path, store._git)
        return store

    # --- writing ----------------------------------------------------------------------------

    def save(self, request: CommitRequest) -> SavedRevision:
        """Make ``request.config`` the newest revision of its path, in a commit of its own.

        When the path already has this very content, nothing is written: ``changed`` is False and
        ``commit`` is the newest commit at that moment, one in which the path has this content
        (``git show COMMIT:PATH``), though it may be another device's change.

        Raises DeviceError when the revision could not be saved; the history is then as before.
        Raises TypeError for a configuration that is not redacted, ValueError for a path that
        ``config_path`` did not make and for a name that no branch of the store has.
        """
        content = _content_of(request)
        branch = Branch(self._path, request.branch)
        with os_errors_named(self._path):
            # What can be done before taking the turn is done here, so that others wait less.
            place = self._commits.place(branch.tip(), request.path)
            if place.commit is not None and place.blob == content.blob:
                return _revision(request, content, place.commit, change=None)
            self._objects.write("blob", content.body)
            step = self._step(place, content)
            with writing_turn(self._path):
                return self._commit(branch, request, content, step)

    def save_all(self, requests: Sequence[CommitRequest]) -> list[SavedRevision]:
        """The same for several configurations of one branch, in their order and in one turn.

        Each that differs gets a commit of its own, and the branch moves once: when one of them
        cannot be saved, none is. Raises as :meth:`save` does, and ValueError for configurations of
        several branches.
        """
        if not requests:
            return []
        branch = Branch(self._path, requests[0].branch)
        if any(request.branch != requests[0].branch for request in requests):
            raise ValueError("Configurations of several branches cannot be saved together.")
        with os_errors_named(self._path):
            tip = branch.tip()
            steps = [self._prepared(tip, request) for request in requests]
            with writing_turn(self._path):
                return self._commit_all(branch, steps)

    # --- reading ----------------------------------------------------------------------------

    def read(self, path: str, revision: str = "HEAD") -> str:
        """Return the configuration at ``path`` in a commit.

        ``revision`` is ``HEAD`` or 7 to 40 hex digits of a commit id. Bytes that are not UTF-8
        (NetRaven writes none) come as ``\\xNN``. Raises RevisionNotFound.
        """
        with os_errors_named(self._path):
            blob = self.blob_at(revision, path)
            if blob is None:
                raise RevisionNotFound(f"Revision {revision} has no configuration at this path.")
            return _decoded(self._objects.needed("blob", blob))

    def read_blobs(self, blob_ids: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield ``(blob_id, configuration)`` in the order given, a hundred at a time in memory.

        Raises RevisionNotFound at the first id that is none or is not in the store.
        """
        remaining = iter(blob_ids)
        while chunk := list(islice(remaining, _BLOBS_AT_ONCE)):
            if not all(map(_FULL_ID.fullmatch, chunk)):
                raise RevisionNotFound("A blob id has 40 hex digits.")
            with os_errors_named(self._path):
                found = self._objects.find_all(chunk)
            for blob_id in chunk:
                kind, body = found.get(blob_id, ("", b""))
                if kind != "blob":
                    raise RevisionNotFound(f"The Git store has no blob {blob_id}.")
                yield blob_id, _decoded(body)

    def blob_at(self, revision: str, path: str) -> str | None:
        """Return the blob id of the configuration at ``path``; None where there is none.

        ``revision`` is as for :meth:`read`. Raises RevisionNotFound.
        """
        with os_errors_named(self._path):
            commit = self._resolve(revision)
            return self._commits.place(commit, path).blob if is_config_path(path) else None

    def branches(self) -> dict[str, str]:
        """Return the newest commit's id by name of branch; names that are no UTF-8 are not ours."""
        with os_errors_named(self._path):
            lines = self._git.run(
                ["for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads"]
            )
        return named_references(lines)

    def change(self, old_blob: str | None, new_blob: str) -> Change:
        """Return size and digest of the change between two configurations, as a save counts them.

        ``old_blob`` is None for a first revision. Raises RevisionNotFound.
        """
        with os_errors_named(self._path):
            found = self._objects.find_all([blob for blob in (old_blob, new_blob) if blob])
            for blob in (old_blob, new_blob):
                if blob is not None and found.get(blob, ("", b""))[0] != "blob":
                    raise RevisionNotFound(f"The Git store has no blob {blob}.")
            body = found[new_blob][1]
            if old_blob == new_blob:
                return Change(old_blob, 0, 0, "")
            return change_between(self._git, self._objects, old_blob, new_blob, body)

    # --- as a whole -------------------------------------------------------------------------

    def grow(self, branch: str, paths: Collection[str]) -> str | None:
        """Bring ``branch`` up to date with the history that main has of ``paths``.

        Returns its newest commit, None while none of them is in main. See ``projection``.
        """
        with os_errors_named(self._path):
            projection = Projection(self._path, self._git, self._objects, self._commits)
            return projection.grow(branch, paths)

    def push(self, target: PushTarget, *, branch: str = MAIN) -> str:
        """Push a branch to the target's branch main; return the SSH host key that was shown.

        Raises PushFailed and its kinds (``remote``), DeviceError for a store that is not there.
        """
        with os_errors_named(self._path):
            return push_branch(self._path, branch_ref(branch), target)

    def maintain(self) -> Maintenance:
        """Pack what has accumulated, and say what it brought. See ``maintenance``."""
        with os_errors_named(self._path):
            return maintain(self._path, self._git)

    def fsck(self) -> list[str]:
        """Return what ``git fsck --strict`` finds wrong, one line each; empty when all is well.

        Reads every object: seconds to minutes on a large store.
        """
        with os_errors_named(self._path):
            answer = self._git.execute(
                ["fsck", "--strict", "--full", "--no-dangling", "--no-progress"]
            )
        if answer.status == 0:
            return []
        lines = [*_decoded(answer.output).splitlines(), *answer.complaints.splitlines()]
        return [line for line in lines if line] or [f"git fsck ended with status {answer.status}"]

    # --- steps ------------------------------------------------------------------------------

    def _commit(
        self, branch: Branch, request: CommitRequest, content: _Content, known: _Step
    ) -> SavedRevision:
        """Put the content on top of the branch, wherever that is by now."""
        tip = branch.tip()
        saved = self._commit_on(tip, request, content, known)
        if not saved.changed:
            return saved
        with branch.locked():
            newer = branch.tip()
            if newer != tip:  # another Git process came in between, and cannot do so again
                saved = self._commit_on(newer, request, content, known)
            if saved.changed:
                branch.move_to(saved.commit)
        return saved

    def _prepared(self, tip: str | None, request: CommitRequest) -> _Prepared:
        """What can be done for a save before the turn is taken."""
        content = _content_of(request)
        place = self._commits.place(tip, request.path)
        self._objects.write("blob", content.body)
        return request, content, self._step(place, content)

    def _commit_all(self, branch: Branch, steps: Sequence[_Prepared]) -> list[SavedRevision]:
        """Put the contents on top of the branch, one commit after the other."""
        tip = branch.tip()
        saved = self._chain(tip, steps)
        if not any(revision.changed for revision in saved):
            return saved
        with branch.locked():
            newer = branch.tip()
            if newer != tip:  # another Git process came in between, and cannot do so again
                saved = self._chain(newer, steps)
            branch.move_to(saved[-1].commit)
        return saved

    def _chain(self, tip: str | None, steps: Sequence[_Prepared]) -> list[SavedRevision]:
        saved: list[SavedRevision] = []
        for request, content, known in steps:
            saved.append(self._commit_on(tip, request, content, known))
            tip = saved[-1].commit
        return saved

    def _commit_on(
        self, tip: str | None, request: CommitRequest, content: _Content, known: _Step
    ) -> SavedRevision:
        """Write a commit that follows ``tip``, unless that has the very content."""
        if known.place.commit != tip:
            known = self._moved(known, self._commits.place(tip, request.path), content)
        place = known.place
        if place.commit is not None and place.blob == content.blob:
            return _revision(request, content, place.commit, change=None)
        commit = self._write_commit(request, known)
        return _revision(request, content, commit, known.change)

    def _step(self, place: Place, content: _Content) -> _Step:
        """Write the folder with the content in it, and find out what that changes."""
        folder = self._commits.write_folder(place, content.blob)
        change = None
        if place.blob is not None and place.folder_id is not None:
            trees = (place.folder_id, folder)
            change = change_between_trees(self._path, trees, place.blob, content.blob)
        return _Step(place, folder, change or self._change(place.blob, content))

    def _moved(self, known: _Step, place: Place, content: _Content) -> _Step:
        """The step at ``place``, the same path in a later commit."""
        if place.blob == content.blob or place.folder == known.place.folder:
            return known._replace(place=place)
        if place.blob != known.place.blob:
            return self._step(place, content)
        return known._replace(place=place, folder=self._commits.write_folder(place, content.blob))

    def _write_commit(self, request: CommitRequest, step: _Step) -> str:
        message = commit_message(
            hostname=request.hostname,
            device_id=request.device_id,
            run_id=request.run_id,
            job_name=request.job_name,
            change=str(step.change),
        )
        now = int(time.time()) if request.committed_at is None else request.committed_at
        return self._commits.write(
            format_commit(
                tree=self._commits.write_above(step.place, step.folder),
                parent=step.place.commit,
                author=request.author or NETRAVEN,
                authored_at=request.collected_at,
                committed_at=now,
                message=message,
            )
        )

    def _change(self, since: str | None, content: _Content) -> Change:
        return change_between(self._git, self._objects, since, content.blob, content.body)

    def _resolve(self, revision: str) -> str:
        """Return the full commit id of a revision that the store has."""
        commit: str | None = None
        if revision == "HEAD":
            commit = Branch(self._path).tip()
        elif _FULL_ID.fullmatch(revision):
            commit = revision if self._objects.find("commit", revision) is not None else None
        elif _SHORT_ID.fullmatch(revision):
            name = f"{revision}^{{commit}}"
            output = self._git.execute(["rev-parse", "--verify", "--quiet", name]).output
            commit = output.decode("ascii").strip() or None
        else:
            raise RevisionNotFound("A revision is HEAD or 7 to 40 hex digits of a commit id.")
        if commit is None:
            raise RevisionNotFound(f"The Git store has no revision {revision}.")
        return commit


def _content_of(request: CommitRequest) -> _Content:
    """What ``request`` saves. Raises TypeError, ValueError for what may not be saved."""
    if type(request.config) is not RedactedConfig:
        raise TypeError("The Git store takes a RedactedConfig and nothing else.")
    if not is_config_path(request.path):
        raise ValueError("The path of a configuration must come from config_path().")
    return _Content.of(request.config)


def _revision(
    request: CommitRequest, content: _Content, commit: str, change: Change | None
) -> SavedRevision:
    return SavedRevision(
        commit=commit,
        blob=content.blob,
        path=request.path,
        changed=change is not None,
        size_bytes=len(content.body),
        lines_added=change.added if change else 0,
        lines_removed=change.removed if change else 0,
        change_digest=change.digest if change else "",
    )


def _decoded(body: bytes) -> str:
    return body.decode("utf-8", "backslashreplace")
