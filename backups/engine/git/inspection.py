"""Reading a repository that may be damaged: what is there is given, what is not is None.

``GitStore`` stops at the first damage, as a store must; a check and a repair have to go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from backups.engine.errors import DeviceError
from backups.engine.git.branch import IMPORTED, MAIN, Branch
from backups.engine.git.command import GitCommand
from backups.engine.git.failures import os_errors_named, store_failure
from backups.engine.git.format import Tree, parse_tree, tree_of_commit
from backups.engine.git.objects import Objects, RunGit, StoredObject
from backups.engine.git.store import GitStore

_AT_ONCE = 100


class ObjectSource:
    """The objects in one folder, asked a hundred at a time."""

    def __init__(self, folder: Path, run_git: RunGit) -> None:
        self._folder = folder
        self._objects = Objects(folder, run_git)

    def texts(self, blob_ids: Iterable[str]) -> Iterator[tuple[str, str | None]]:
        """Yield ``(blob_id, configuration)`` in the order given; None where it is not readable."""
        remaining = iter(blob_ids)
        while chunk := list(islice(remaining, _AT_ONCE)):
            found = self.find("blob", chunk)
            for blob_id in chunk:
                body = found.get(blob_id)
                yield blob_id, None if body is None else body.decode("utf-8", "backslashreplace")

    def find(self, kind: str, ids: Sequence[str]) -> dict[str, bytes]:
        """The bodies of those objects of ``kind`` that are whole, by id."""
        wanted = [sha for sha in dict.fromkeys(ids) if len(sha) == 40]
        return {sha: body for sha, (is_, body) in self._readable(wanted).items() if is_ == kind}

    def _readable(self, ids: Sequence[str]) -> dict[str, StoredObject]:
        """What can be read. Git gives up at a damaged object, so the others are asked in halves."""
        if not ids:
            return {}
        try:
            with os_errors_named(self._folder):
                return self._objects.find_all(ids)
        except (DeviceError, ValueError):  # ValueError: an answer of git that was cut off
            if len(ids) == 1:
                return {}
        half = len(ids) // 2
        return self._readable(ids[:half]) | self._readable(ids[half:])


class Inspection:
    """The repository at ``path`` and what stands on its main branch."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._git = GitCommand(self._path)
        self._objects = ObjectSource(self._path / "objects", self._git.run)

    def problem(self) -> str | None:
        """Why there is no store to look into, in one line; None when there is one."""
        try:
            with os_errors_named(self._path):
                if not (self._path / "HEAD").exists():
                    raise store_failure(f"There is no Git store at {self._path}.")
                GitStore.open_or_create(self._path)
                tip = Branch(self._path).tip()
            if tip is not None:
                self.files()
        except DeviceError as error:
            return error.message
        return None

    def fsck(self) -> list[str]:
        """See ``GitStore.fsck``; a fsck that cannot run is one line of it."""
        try:
            return GitStore(self._path).fsck()
        except DeviceError as error:
            return [error.message]

    def texts(self, blob_ids: Iterable[str]) -> Iterator[tuple[str, str | None]]:
        """Yield ``(blob_id, configuration)`` in the order given; None where it is not readable."""
        return self._objects.texts(blob_ids)

    def is_empty(self) -> bool:
        """Whether the main branch has no commit yet. Raises DeviceError when it is damaged."""
        with os_errors_named(self._path):
            return Branch(self._path).tip() is None

    def commit_ids(self) -> set[bytes]:
        """The commits of all snapshots' branches, 20 bytes each. Raises DeviceError."""
        with os_errors_named(self._path):
            found = (Branch(self._path, name).tip() for name in (MAIN, IMPORTED))
            tips = [tip for tip in found if tip is not None]
        if not tips:
            return set()
        output = self._git.run(["rev-list", *tips, "--"])
        return {bytes.fromhex(line.decode("ascii")) for line in output.split()}

    def files(self) -> dict[str, str]:
        """Blob ids of the newest commit by path. Raises DeviceError when it cannot be read."""
        with os_errors_named(self._path):
            tip = Branch(self._path).tip()
        if tip is None:
            return {}
        root = self._trees_of_commits([tip]).get(tip)
        if root is None:
            raise store_failure(f"The newest commit {tip} of the Git store cannot be read.")
        files = {_shown(name): entry.sha for name, entry in root.items() if not entry.is_folder}
        folders = {_shown(name): entry.sha for name, entry in root.items() if entry.is_folder}
        trees = self._trees(list(folders.values()))
        for folder, sha in folders.items():
            if sha not in trees:
                raise store_failure(f"The folder {folder} of the Git store cannot be read.")
            files |= {f"{folder}/{_shown(name)}": e.sha for name, e in trees[sha].items()}
        return files

    def blobs_at(self, places: Sequence[tuple[str, str]]) -> list[str | None]:
        """The blob id at each ``(commit, path)``; None where there is none or it is damaged."""
        roots = self._trees_of_commits([commit for commit, _ in places])
        folders = [_entry(roots.get(commit), path.partition("/")[0]) for commit, path in places]
        trees = self._trees([sha for sha in folders if sha is not None])
        return [
            _entry(trees.get(folder), path.partition("/")[2]) if folder else None
            for folder, (_, path) in zip(folders, places, strict=True)
        ]

    def _trees_of_commits(self, commits: Sequence[str]) -> dict[str, Tree]:
        """The root trees of those commits that can be read, by commit."""
        bodies = self._objects.find("commit", commits)
        roots = {commit: tree_of_commit(body) for commit, body in bodies.items()}
        trees = self._trees(list(roots.values()))
        return {commit: trees[root] for commit, root in roots.items() if root in trees}

    def _trees(self, ids: Sequence[str]) -> dict[str, Tree]:
        found: dict[str, bytes] = {}
        for start in range(0, len(ids), _AT_ONCE):
            found |= self._objects.find("tree", ids[start : start + _AT_ONCE])
        return {sha: parse_tree(body) for sha, body in found.items()}


def _entry(tree: Tree | None, name: str) -> str | None:
    entry = tree.get(name.encode()) if tree is not None else None
    return entry.sha if entry is not None else None


def _shown(name: bytes) -> str:
    """A name in a tree; somebody else may have put one there that is no UTF-8."""
    return name.decode("utf-8", "backslashreplace")
