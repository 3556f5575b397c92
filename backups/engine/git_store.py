"""The Git store: one bare repository with the redacted configuration of every device.

A save writes the blob, the two trees that it touches and the commit, whatever the number of
devices. Every object is synced to disk under a temporary name and renamed before the branch is
moved, and the move is synced too: a killed process or a power cut leaves the state before the
save or the one after it, and a save that was reported is there.

Git itself is asked for what it knows best: packed objects, line counts, the consistency check.
This is the only module that imports GitPython.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import git

from backups.engine.config_path import is_config_path
from backups.engine.git_branch import BRANCH, Branch
from backups.engine.git_format import (
    NETRAVEN,
    Tree,
    commit_message,
    encode_object,
    file_entry,
    folder_entry,
    format_commit,
    format_tree,
    object_id,
    parse_tree,
    tree_of_commit,
)
from backups.engine.git_objects import Objects
from backups.engine.store_failures import damaged, os_errors_named, store_failure
from backups.engine.synced_file import TEMPORARY_PREFIX, write_synced
from backups.engine.types import CommitRequest, RedactedConfig, SavedRevision

_HEAD = f"ref: {BRANCH}\n"
#: A hook that someone puts there must not run, and history only grows.
_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\thooksPath = /dev/null
[receive]
\tdenyNonFastForwards = true
\tdenyDeletes = true
"""
#: What a start that was killed, or the disk itself, may have left where the store is to be.
_HARMLESS_NAMES = frozenset({"config", "lost+found", "netraven.lock", "objects", "refs"})
_BLOBS_AT_ONCE = 100
#: A device may print a configuration that takes Git a minute to compare (measured: 60 s for 8 MB
#: of two different lines at random).
_DIFF_TIMEOUT_SECONDS = 10.0
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


@dataclass(frozen=True, slots=True)
class _Place:
    """One path in one commit: the trees on the way to it and the blob that stands there."""

    commit: str | None
    root: Tree
    folder: Tree
    blob: str | None


@dataclass(frozen=True, slots=True)
class _Change:
    """Size of the step from one blob to the new content, in lines."""

    since: str | None
    added: int
    removed: int

    def __str__(self) -> str:
        if self.since is None:
            return f"first backup, {self.added} {'line' if self.added == 1 else 'lines'}"
        return f"+{self.added} -{self.removed} lines"


#: Nothing but these two ways out: ``ext::`` would run a command (git-remote-ext(1)).
_PUSH_LIMITS = (
    *("-c", "protocol.allow=never"),
    *("-c", "protocol.https.allow=always"),
    *("-c", "protocol.ssh.allow=always"),
    *("-c", "core.sshCommand=ssh -o BatchMode=yes"),
)
_PUSH_TIMEOUT_SECONDS = 300.0


class GitStore:
    """The repository at ``path``, for any number of processes and threads at once.

    An instance holds no open file and no state: it may be shared between threads and kept across
    a fork. All methods raise DeviceError with category STORE_FAILURE when the disk or the
    repository fails them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._branch = Branch(self._path)
        self._objects = Objects(self._path / "objects", self._run_git)
        self._git = git.Git(self._path)
        self._git.update_environment(**_git_environment(self._path))

    @classmethod
    def open_or_create(cls, path: Path) -> GitStore:
        """Return the store at ``path``; create it, with mode 0750, where there is none.

        Any number of processes may do this at once. Raises DeviceError when the place holds
        something else, or a repository that is not bare or has another main branch.
        """
        store = cls(path)
        with os_errors_named(path):
            path.mkdir(mode=0o750, parents=True, exist_ok=True)
            store._refuse_foreign_folder()
            with store._branch.turn():
                if not (path / "HEAD").exists():
                    store._create()
            store._check_layout()
        return store

    def save(self, request: CommitRequest) -> SavedRevision:
        """Make ``request.config`` the newest revision of its path, in a commit of its own.

        When the path already has this very content, nothing is written: ``changed`` is False and
        ``commit`` is the newest commit at that moment, one in which the path has this content
        (``git show COMMIT:PATH``), though it may be another device's change.

        Raises DeviceError when the revision could not be saved; the history is then as before.
        Raises TypeError for a configuration that is not redacted, ValueError for a path that
        ``config_path`` did not make.
        """
        if type(request.config) is not RedactedConfig:
            raise TypeError("The Git store takes a RedactedConfig and nothing else.")
        if not is_config_path(request.path):
            raise ValueError("The path of a configuration must come from config_path().")
        content = _Content.of(request.config)
        with os_errors_named(self._path):
            # What can be done before taking the turn is done here, so that others wait less.
            place = self._place(self._branch.tip(), request.path)
            if place.commit is not None and place.blob == content.blob:
                return _revision(request, content, place.commit, change=None)
            self._objects.write("blob", content.body)
            change = self._change(place.blob, content)
            with self._branch.turn():
                return self._commit(request, content, change)

    def read(self, path: str, revision: str = "HEAD") -> str:
        """Return the configuration at ``path`` in a commit.

        ``revision`` is ``HEAD`` or 7 to 40 hex digits of a commit id. Bytes that are not UTF-8
        (NetRaven writes none) come as ``\\xNN``. Raises RevisionNotFound.
        """
        with os_errors_named(self._path):
            commit = self._resolve(revision)
            blob = self._place(commit, path).blob if is_config_path(path) else None
            if blob is None:
                raise RevisionNotFound(f"Revision {revision} has no configuration at this path.")
            return _decoded(self._objects.needed("blob", blob))

    def read_blob(self, blob_id: str) -> str:
        """Return the configuration with this blob id (40 hex digits). Raises RevisionNotFound."""
        return next(text for _, text in self.read_blobs([blob_id]))

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

    def diff(self, old_blob: str, new_blob: str) -> str:
        """Return the hunks of the unified diff between two configurations; empty when equal.

        Raises RevisionNotFound for ids that are no configurations, DeviceError when git needs
        longer than 10 s for it.
        """
        for _ in self.read_blobs([old_blob, new_blob]):
            continue
        options = ["--no-color", "--no-ext-diff", "--no-textconv", "--histogram", "--text"]
        with os_errors_named(self._path):
            status, output, complaints = self._execute(
                ["diff", *options, old_blob, new_blob], timeout_seconds=_DIFF_TIMEOUT_SECONDS
            )
        if status == -signal.SIGKILL:
            raise store_failure("The two revisions differ too much to compare them in 10 s.")
        text = _decoded(_checked("diff", status, output, complaints))
        return text[text.index("@@") :] if text else ""

    def push(self, remote: str) -> None:
        """Push the main branch to ``remote``, an ``https://`` or ``ssh://`` URL or ``git@``.

        Asks for no password: it is in the URL, in a credential helper or an SSH agent. Raises
        DeviceError with what git says, without the URL.
        """
        status, _, complaints = self._execute(
            [*_PUSH_LIMITS, "push", "--quiet", "--", remote, f"{BRANCH}:{BRANCH}"],
            timeout_seconds=_PUSH_TIMEOUT_SECONDS,
        )
        if status != 0:
            reason = " ".join(complaints.replace(remote, "the remote").split())[:300]
            raise store_failure(f"The push to the Git remote failed: {reason or 'no answer'}")

    def fsck(self) -> list[str]:
        """Return what ``git fsck --strict`` finds wrong, one line each; empty when all is well.

        Reads every object: seconds to minutes on a large store.
        """
        with os_errors_named(self._path):
            status, output, complaints = self._execute(
                ["fsck", "--strict", "--full", "--no-dangling", "--no-progress"]
            )
        if status == 0:
            return []
        lines = [*_decoded(output).splitlines(), *complaints.splitlines()]
        return [line for line in lines if line] or [f"git fsck ended with status {status}"]

    def _refuse_foreign_folder(self) -> None:
        strangers = {
            entry.name
            for entry in self._path.iterdir()
            if entry.name not in _HARMLESS_NAMES and not entry.name.startswith(TEMPORARY_PREFIX)
        }
        if strangers and not (self._path / "HEAD").exists():
            raise store_failure(
                f"{self._path} is neither empty nor a Git store: choose an empty directory."
            )

    def _create(self) -> None:
        """Lay the repository out (gitrepository-layout(5)); HEAD, which completes it, comes last.

        ``git init`` would leave lock files behind when it is killed.
        """
        self._path.chmod(0o750)
        for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
            (self._path / folder).mkdir(parents=True, exist_ok=True)
        write_synced(self._path / "config", _CONFIG.encode(), mode=0o640)
        write_synced(self._path / "HEAD", _HEAD.encode(), mode=0o640)

    def _check_layout(self) -> None:
        settings = self._run_git(["config", "--local", "--list"]).decode().splitlines()
        extended = any(line.startswith("extensions.") for line in settings)
        if "core.bare=true" not in settings or extended:
            raise store_failure(
                f"{self._path} is not a plain bare Git repository: choose an empty directory."
            )
        if (self._path / "HEAD").read_text() != _HEAD:
            raise store_failure(
                f"The repository at {self._path} is not on branch main: run "
                f"'git symbolic-ref HEAD {BRANCH}' in it, or choose an empty directory."
            )

    def _commit(self, request: CommitRequest, content: _Content, change: _Change) -> SavedRevision:
        """Put the content on top of the branch, wherever that is by now."""
        tip = self._branch.tip()
        saved = self._commit_on(tip, request, content, change)
        if not saved.changed:
            return saved
        with self._branch.locked():
            newer = self._branch.tip()
            if newer != tip:  # another Git process came in between, and cannot do so again
                saved = self._commit_on(newer, request, content, change)
            if saved.changed:
                self._branch.move_to(saved.commit)
        return saved

    def _commit_on(
        self, tip: str | None, request: CommitRequest, content: _Content, change: _Change
    ) -> SavedRevision:
        """Write a commit that follows ``tip``, unless that has the very content."""
        place = self._place(tip, request.path)
        if place.commit is not None and place.blob == content.blob:
            return _revision(request, content, place.commit, change=None)
        if place.blob != change.since:
            change = self._change(place.blob, content)
        commit = self._write_commit(request, content, place, change)
        return _revision(request, content, commit, change)

    def _write_commit(
        self, request: CommitRequest, content: _Content, place: _Place, change: _Change
    ) -> str:
        shard, name = request.path.encode("ascii").split(b"/")
        folder = {**place.folder, name: file_entry(content.blob)}
        folder_id = self._objects.write("tree", format_tree(folder))
        root = {**place.root, shard: folder_entry(folder_id)}
        message = commit_message(
            hostname=request.hostname,
            device_id=request.device_id,
            run_id=request.run_id,
            job_name=request.job_name,
            change=str(change),
        )
        commit = format_commit(
            tree=self._objects.write("tree", format_tree(root)),
            parent=place.commit,
            author=request.author or NETRAVEN,
            authored_at=request.collected_at,
            committed_at=int(time.time()),
            message=message,
        )
        return self._objects.write("commit", commit)

    def _place(self, commit: str | None, path: str) -> _Place:
        if commit is None:
            return _Place(None, {}, {}, None)
        shard, name = path.encode("ascii").split(b"/")
        try:
            root = self._tree(tree_of_commit(self._objects.needed("commit", commit)))
            at_shard = root.get(shard)
            folder = self._tree(at_shard.sha) if at_shard and at_shard.is_folder else {}
        except ValueError as error:
            raise damaged(f"commit {commit}: {error}") from error
        at_name = folder.get(name)
        return _Place(commit, root, folder, at_name.sha if at_name and at_name.is_file else None)

    def _tree(self, sha: str) -> Tree:
        return parse_tree(self._objects.needed("tree", sha))

    def _change(self, since: str | None, content: _Content) -> _Change:
        """Return the size of the change; both blobs must be stored.

        Every line counts as replaced where Git does not count: it takes too long, or the text
        holds a NUL and so is binary to ``--numstat``.
        """
        if since is None:
            return _Change(None, _line_count(content.body), 0)
        options = ["--numstat", "--no-ext-diff", "--no-textconv"]
        status, output, complaints = self._execute(
            ["diff", *options, since, content.blob], timeout_seconds=_DIFF_TIMEOUT_SECONDS
        )
        if status != -signal.SIGKILL:
            added, removed, _ = _checked("diff", status, output, complaints).split(b"\t", 2)
            if added != b"-":
                return _Change(since, int(added), int(removed))
        old = self._objects.needed("blob", since)
        return _Change(since, _line_count(content.body), _line_count(old))

    def _resolve(self, revision: str) -> str:
        """Return the full commit id of a revision that the store has."""
        commit: str | None = None
        if revision == "HEAD":
            commit = self._branch.tip()
        elif _FULL_ID.fullmatch(revision):
            commit = revision if self._objects.find("commit", revision) is not None else None
        elif _SHORT_ID.fullmatch(revision):
            name = f"{revision}^{{commit}}"
            _, output, _ = self._execute(["rev-parse", "--verify", "--quiet", name])
            commit = output.decode("ascii").strip() or None
        else:
            raise RevisionNotFound("A revision is HEAD or 7 to 40 hex digits of a commit id.")
        if commit is None:
            raise RevisionNotFound(f"The Git store has no revision {revision}.")
        return commit

    def _run_git(self, arguments: Sequence[str], stdin: bytes = b"") -> bytes:
        return _checked(arguments[0], *self._execute(arguments, stdin))

    def _execute(
        self, arguments: Sequence[str], stdin: bytes = b"", timeout_seconds: float | None = None
    ) -> tuple[int, bytes, str]:
        """Run git; return its exit status, output and complaints. ``stdin``: at most 64 kB."""
        reader, writer = os.pipe()
        os.write(writer, stdin)
        os.close(writer)
        with os.fdopen(reader, "rb") as given:
            try:
                return self._git.execute(
                    ["git", *arguments],
                    istream=given,
                    with_extended_output=True,
                    with_exceptions=False,
                    stdout_as_string=False,
                    strip_newline_in_stdout=False,
                    kill_after_timeout=timeout_seconds,
                )
            except git.GitCommandNotFound as error:
                raise store_failure("The program 'git' is missing: install it.") from error


def _revision(
    request: CommitRequest, content: _Content, commit: str, change: _Change | None
) -> SavedRevision:
    return SavedRevision(
        commit=commit,
        blob=content.blob,
        path=request.path,
        changed=change is not None,
        size_bytes=len(content.body),
        lines_added=change.added if change else 0,
        lines_removed=change.removed if change else 0,
    )


def _checked(command: str, status: int, output: bytes, complaints: str) -> bytes:
    if status != 0:
        reason = " ".join(complaints.split())[:200]
        raise damaged(f"git {command} ended with status {status} ({reason})")
    return output


def _line_count(body: bytes) -> int:
    """Return the number of lines as Git counts them: one without a line end counts too."""
    unfinished = bool(body) and not body.endswith(b"\n")
    return body.count(b"\n") + unfinished


def _decoded(body: bytes) -> str:
    return body.decode("utf-8", "backslashreplace")


def _git_environment(repository: Path) -> dict[str, str]:
    """Return variables that keep everything but the repository itself from steering git (git(1)).

    GitPython adds them to the process's own, so each that could point elsewhere is set here.
    """
    return {
        "GIT_DIR": str(repository),
        "GIT_COMMON_DIR": str(repository),
        "GIT_OBJECT_DIRECTORY": str(repository / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "",
        "GIT_NAMESPACE": "",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_PARAMETERS": "",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": "/dev/null",
    }
