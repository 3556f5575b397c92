"""Reading and writing the objects of one repository, each checked against its id.

GitPython's object database (gitdb) is not used for this: it does not sync what it writes, and it
hands out a truncated tree as if it were whole (measured with gitdb 4.0.12). Fresh objects are
loose files and are read directly; whatever is packed is asked of Git, which notices a repack by
another process.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from backups.engine.git.failures import damaged, store_failure
from backups.engine.git.format import ObjectKind, encode_object, object_id
from backups.engine.synced_file import write_synced

#: Trees hardly compress, and ``git gc`` compresses everything anew: speed counts here.
_COMPRESSION_LEVEL = 1
_FOLDER_ATTEMPTS = 10

#: Runs ``git`` with the arguments and the bytes for its standard input; raises DeviceError when
#: Git fails.
RunGit = Callable[[Sequence[str], bytes], bytes]
StoredObject = tuple[str, bytes]


class Objects:
    """The object database of one repository. Methods raise OSError as the system reports it."""

    def __init__(self, folder: Path, run_git: RunGit) -> None:
        self._folder = folder
        self._run_git = run_git

    def write(self, kind: ObjectKind, body: bytes) -> str:
        """Store an object on disk and return its id.

        An object that is there already is written again: it costs little, mends a damaged one,
        and keeps ``git prune`` away from an old one that nothing refers to yet.
        """
        encoded = encode_object(kind, body)
        sha = object_id(encoded)
        self._write_file(self._file(sha), zlib.compress(encoded, _COMPRESSION_LEVEL))
        return sha

    def needed(self, kind: ObjectKind, sha: str) -> bytes:
        """Return the body of an object that must exist; raises DeviceError if it does not."""
        body = self.find(kind, sha)
        if body is None:
            raise damaged(f"the {kind} {sha} is missing")
        return body

    def find(self, kind: ObjectKind, sha: str) -> bytes | None:
        """Return the body of an object, or None when there is none of that kind and id."""
        found = self.find_all([sha]).get(sha)
        return found[1] if found is not None and found[0] == kind else None

    def find_all(self, shas: Sequence[str]) -> dict[str, StoredObject]:
        """Return kind and body of those objects that exist, by id; at most some hundred ids."""
        found = {sha: stored for sha in shas if (stored := self._loose(sha)) is not None}
        missing = [sha for sha in shas if sha not in found]
        return found | self._packed(missing) if missing else found

    def _file(self, sha: str) -> Path:
        return self._folder / sha[:2] / sha[2:]

    def _write_file(self, file: Path, data: bytes) -> None:
        for _ in range(_FOLDER_ATTEMPTS):
            file.parent.mkdir(mode=0o750, exist_ok=True)
            try:
                return write_synced(file, data, mode=0o444)
            except FileNotFoundError:
                continue  # "git gc" removes folders that it finds empty
        raise store_failure(f"The folder {file.parent} of the Git store keeps vanishing.")

    def _loose(self, sha: str) -> StoredObject | None:
        """Return an object from its own file; None also when that file is damaged.

        Git is asked next in both cases: it may have a good copy, or says what is wrong.
        """
        try:
            encoded = zlib.decompress(self._file(sha).read_bytes())
        except (FileNotFoundError, zlib.error):
            return None
        if object_id(encoded) != sha:
            return None
        header, _, body = encoded.partition(b"\0")
        return header.split(b" ")[0].decode("ascii"), body

    def _packed(self, shas: Sequence[str]) -> dict[str, StoredObject]:
        """Return those objects that ``git cat-file`` finds (git-cat-file(1), BATCH OUTPUT)."""
        output = self._run_git(
            ["cat-file", "--batch"], "".join(f"{sha}\n" for sha in shas).encode("ascii")
        )
        found: dict[str, StoredObject] = {}
        position = 0
        while position < len(output):
            end = output.index(b"\n", position)
            sha, kind, *size = output[position:end].decode("ascii").split()
            position = end + 1
            if not size:
                continue  # "ID missing"
            body = output[position : position + int(size[0])]
            position += len(body) + 1
            if object_id(encode_object(kind, body)) != sha:
                raise damaged(f"the {kind} {sha} has another content")  # Git does not check here
            found[sha] = (kind, body)
        return found
