"""Commits of a store: what stands at a path in one, and writing the next one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from backups.engine.git.failures import damaged
from backups.engine.git.format import (
    Tree,
    TreeEntry,
    file_entry,
    folder_entry,
    format_tree,
    parse_tree,
    tree_of_commit,
    with_signature,
)
from backups.engine.git.objects import Objects

#: Gives the armoured signature of a commit's bytes. Raises DeviceError.
Sign = Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class Place:
    """One path in one commit: the trees on the way to it and the blob that stands there."""

    #: None for the state before a first commit.
    commit: str | None
    path: str
    root: Tree
    folder: Tree
    blob: str | None

    @property
    def folder_id(self) -> str | None:
        """Id of the tree that ``folder`` is; None where there is none."""
        entry = self.root.get(self.path.encode("ascii").split(b"/")[0])
        return entry.sha if entry and entry.is_folder else None


class Commits:
    """Reads and writes the commits of one repository. OSError as the system reports it."""

    def __init__(self, objects: Objects, sign: Sign | None) -> None:
        self._objects = objects
        self._sign = sign

    def place(self, commit: str | None, path: str) -> Place:
        """Return what stands at ``path``, which must come from ``config_path``, in ``commit``.

        Raises DeviceError when the commit or one of its trees is missing or damaged.
        """
        shard, name = path.encode("ascii").split(b"/")
        root = self._root(commit)
        folder = self._folder(root, shard)
        entry = folder.get(name)
        return Place(commit, path, root, folder, entry.sha if entry and entry.is_file else None)

    def write_folder(self, place: Place, blob: str) -> str:
        """Write the folder of the place's path with ``blob`` there; return its id."""
        _, name = place.path.encode("ascii").split(b"/")
        folder = {**place.folder, name: file_entry(blob)}
        return self._objects.write("tree", format_tree(folder))

    def write_above(self, place: Place, folder: str) -> str:
        """Write the root of the place's commit over ``folder``, as ``write_folder`` gave it."""
        shard, _ = place.path.encode("ascii").split(b"/")
        root = {**place.root, shard: folder_entry(folder)}
        return self._objects.write("tree", format_tree(root))

    def write_changes(self, commit: str | None, changes: Mapping[str, str | None]) -> str:
        """Write the trees of ``commit`` with other blobs at some paths; return the root's id.

        None stands for no commit, and for a path that goes. Raises DeviceError.
        """
        root = self._root(commit)
        folders: dict[bytes, dict[bytes, TreeEntry]] = {}
        for path, blob in changes.items():
            shard, name = path.encode("ascii").split(b"/")
            if shard not in folders:
                folders[shard] = self._folder(root, shard)
            folders[shard].pop(name, None)
            if blob is not None:
                folders[shard][name] = file_entry(blob)
        return self._write_root(root, folders)

    def write(self, body: bytes) -> str:
        """Write a commit, signed where the store signs, and return its id."""
        signed = with_signature(body, self._sign(body)) if self._sign else body
        return self._objects.write("commit", signed)

    def _write_root(self, root: Tree, folders: Mapping[bytes, Tree]) -> str:
        changed = {shard: entry for shard, entry in root.items() if shard not in folders}
        for shard, folder in folders.items():
            if folder:
                changed[shard] = folder_entry(self._objects.write("tree", format_tree(folder)))
        return self._objects.write("tree", format_tree(changed))

    def _root(self, commit: str | None) -> dict[bytes, TreeEntry]:
        if commit is None:
            return {}
        try:
            return self._tree(tree_of_commit(self._objects.needed("commit", commit)))
        except ValueError as error:
            raise damaged(f"commit {commit}: {error}") from error

    def _folder(self, root: Tree, shard: bytes) -> dict[bytes, TreeEntry]:
        entry = root.get(shard)
        return self._tree(entry.sha) if entry and entry.is_folder else {}

    def _tree(self, sha: str) -> dict[bytes, TreeEntry]:
        try:
            return parse_tree(self._objects.needed("tree", sha))
        except ValueError as error:
            raise damaged(f"tree {sha}: {error}") from error
