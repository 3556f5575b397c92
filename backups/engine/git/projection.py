"""Branches that hold a part of the history of main: the revisions of some paths and no others.

Each commit of main that changes one of the paths is copied with its author, times and message, on
trees that hold these paths only. The blobs are the same objects. A copy names its original in a
trailer, so that the branch itself says how far it has grown: a process that dies in between loses
nothing, and nothing is copied twice.

A path that is chosen later comes with its newest revision, and with those before it only as far as
the branch had not grown past them; a path that is not chosen any more leaves the newest tree, and
its revisions stay in the history.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from backups.engine.git.branch import Branch
from backups.engine.git.command import GitCommand
from backups.engine.git.commits import Commits
from backups.engine.git.format import NETRAVEN, copied_commit, format_commit
from backups.engine.git.objects import Objects
from backups.engine.git.turn import writing_turn

_ORIGINAL = "NetRaven-Commit"
_TRAILER = re.compile(rb"^NetRaven-Commit: ([0-9a-f]{40})\n\Z", re.MULTILINE)
#: Between two moves of the branch; so many copies are made again after a kill.
_COPIES_AT_ONCE = 200
_NO_BLOB = "0" * 40

Blobs = dict[str, str | None]


@dataclass(slots=True)
class _Revision:
    """One commit of main: the blobs that it puts at paths, None for a path that goes."""

    commit: str
    blobs: Blobs = field(default_factory=dict)


class _RawLog:
    """Takes ``git log --raw -z`` piece by piece; keeps the revisions of the wanted paths."""

    def __init__(self, paths: Collection[str]) -> None:
        self._paths = paths
        self._rest = b""
        self._entry: list[str] | None = None
        self._commit = ""
        self.revisions: list[_Revision] = []

    def write(self, data: bytes, /) -> int:
        """Take the next piece of the output."""
        *words, self._rest = (self._rest + data).split(b"\0")
        for word in words:
            self._take(word.decode("utf-8", "replace").lstrip("\n"))
        return len(data)

    def _take(self, word: str) -> None:
        """A word is a commit id, the description of a change, or the path that it is about."""
        if self._entry is not None:
            self._changed(word, self._entry)
            self._entry = None
        elif word.startswith(":"):
            self._entry = word.split(" ")
        elif word:
            self._commit = word

    def _changed(self, path: str, entry: Sequence[str]) -> None:
        if path not in self._paths:
            return
        if not self.revisions or self.revisions[-1].commit != self._commit:
            self.revisions.append(_Revision(self._commit))
        mode, blob = entry[1], entry[3]
        is_file = mode.startswith("100") and blob != _NO_BLOB
        self.revisions[-1].blobs[path] = blob if is_file else None


class Projection:
    """Grows branches of one repository from its main branch. OSError as the system reports it."""

    def __init__(self, path: Path, git: GitCommand, objects: Objects, commits: Commits) -> None:
        self._path = path
        self._git = git
        self._objects = objects
        self._commits = commits

    def grow(self, name: str, paths: Collection[str]) -> str | None:
        """Bring branch ``name`` up to date with what main has at ``paths``; its newest commit.

        None while none of them is in main. The branch starts anew when main does not contain the
        commit any more that it was grown from: somebody has rewritten main. Raises DeviceError,
        ValueError for a name that no branch of the store has.
        """
        branch = Branch(self._path, name)
        main = Branch(self._path).tip()
        tip = branch.tip()
        if main is None:
            return tip
        base = tip
        since = self._grown_from(tip)
        if since is None:
            base = None
        revisions = iter(self._revisions(since, main, frozenset(paths)))
        while batch := list(islice(revisions, _COPIES_AT_ONCE)):
            for revision in batch:
                base = self._copy(base, revision)
            if not self._move(branch, tip, base):
                return self.grow(name, paths)
            tip = base
        members = self._members(base, main, frozenset(paths))
        if members is not None and not self._move(branch, tip, members):
            return self.grow(name, paths)
        return members or base

    def _grown_from(self, tip: str | None) -> str | None:
        """The commit of main that a branch has grown up to; None if main has none such."""
        if tip is None:
            return None
        match = _TRAILER.search(self._objects.needed("commit", tip))
        if match is None:
            return None
        original = match[1].decode("ascii")
        asked = ["merge-base", "--is-ancestor", original, "refs/heads/main"]
        return original if self._git.execute(asked).status == 0 else None

    def _revisions(self, since: str | None, main: str, paths: Collection[str]) -> list[_Revision]:
        log = _RawLog(paths)
        options = ["--raw", "-z", "--no-abbrev", "--no-renames", "--format=%H", "--reverse"]
        history = main if since is None else f"{since}..{main}"
        answer = self._git.execute(
            ["log", *options, "--first-parent", "--diff-merges=first-parent", "--root", history],
            sink=log,
        )
        answer.checked("log")
        return log.revisions

    def _copy(self, base: str | None, revision: _Revision) -> str:
        original = self._objects.needed("commit", revision.commit)
        tree = self._commits.write_changes(base, revision.blobs)
        trailer = f"{_ORIGINAL}: {revision.commit}"
        return self._commits.write(copied_commit(original, tree, base, trailer))

    def _members(self, base: str | None, main: str, paths: Collection[str]) -> str | None:
        """Write a commit with the paths that join and leave; None when there are none."""
        ours = dict(self._listing(base)) if base is not None else {}
        theirs = {path: blob for path, blob in self._listing(main) if path in paths}
        joining = {path: blob for path, blob in theirs.items() if path not in ours}
        leaving = [path for path in ours if path not in theirs]
        if not joining and not leaving:
            return None
        changes: Blobs = {**joining, **dict.fromkeys(leaving)}
        message = f"{len(joining)} joined, {len(leaving)} left\n\n{_ORIGINAL}: {main}\n"
        now = int(time.time())
        return self._commits.write(
            format_commit(
                tree=self._commits.write_changes(base, changes),
                parent=base,
                author=NETRAVEN,
                authored_at=now,
                committed_at=now,
                message=message,
            )
        )

    def _listing(self, commit: str) -> Iterator[tuple[str, str]]:
        """Path and blob of each configuration in a commit."""
        output = self._git.run(["ls-tree", "-r", "-z", "--full-tree", commit])
        for line in output.decode("utf-8", "replace").split("\0"):
            entry, _, path = line.partition("\t")
            if entry.startswith("100"):
                yield path, entry.split(" ")[2]

    def _move(self, branch: Branch, known: str | None, commit: str | None) -> bool:
        """Move the branch; False when another process has moved it, or the store was exchanged."""
        assert commit is not None
        with writing_turn(self._path), branch.locked():
            if branch.tip() != known or self._objects.find("commit", commit) is None:
                return False
            branch.move_to(commit)
        return True
