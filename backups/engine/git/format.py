"""Git's object formats: ids, trees and commits as bytes.

The formats are those of gitformat-loose(5), git-mktree(1) and git-commit-tree(1). GitPython has
encoders for them too, but behind an index that is read whole at every commit.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal, NamedTuple

ObjectKind = Literal["blob", "tree", "commit"]

NETRAVEN = "NetRaven <netraven@localhost>"
_FOLDER_MODE = b"40000"
_FILE_MODE = b"100644"
_NAME_LIMIT = 200
_AUTHOR = re.compile(r"([^<>]*)<([^<>]*)>")
#: Unicode categories: control, format, surrogate, private, unassigned, line and paragraph ends.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_COMMITTER = re.compile(rb"^committer [^\n]* (\d+) [+-]\d{4}$", re.MULTILINE)
_COMMIT_TREE = re.compile(rb"tree ([0-9a-f]{40})\n")


class TreeEntry(NamedTuple):
    """One file or folder in a tree."""

    mode: bytes
    #: Object id in hexadecimal.
    sha: str

    @property
    def is_folder(self) -> bool:
        """Whether the entry is a tree of its own."""
        return self.mode == _FOLDER_MODE

    @property
    def is_file(self) -> bool:
        """Whether the entry is a file; a submodule or a symbolic link is none."""
        return self.mode.startswith(b"100")


Tree = Mapping[bytes, TreeEntry]


def file_entry(sha: str) -> TreeEntry:
    """Return the entry of a plain file."""
    return TreeEntry(_FILE_MODE, sha)


def folder_entry(sha: str) -> TreeEntry:
    """Return the entry of a folder."""
    return TreeEntry(_FOLDER_MODE, sha)


def encode_object(kind: str, body: bytes) -> bytes:
    """Return the object as Git hashes and stores it: header, NUL, body."""
    return b"%s %d\0%s" % (kind.encode("ascii"), len(body), body)


def object_id(encoded: bytes) -> str:
    """Return the 40 hex digits that name an encoded object."""
    return hashlib.sha1(encoded, usedforsecurity=False).hexdigest()


def parse_tree(body: bytes) -> dict[bytes, TreeEntry]:
    """Return the entries of a tree by name. Raises ValueError for bytes that are no tree."""
    entries: dict[bytes, TreeEntry] = {}
    position = 0
    while position < len(body):
        space = body.index(b" ", position)
        end = body.index(b"\0", space)
        sha = body[end + 1 : end + 21]
        if len(sha) != 20:
            raise ValueError("a tree is cut off")
        entries[body[space + 1 : end]] = TreeEntry(body[position:space], sha.hex())
        position = end + 21
    return entries


def format_tree(entries: Tree) -> bytes:
    """Return the bytes of a tree. Git sorts a folder as if its name ended with a slash."""

    def order(name: bytes) -> bytes:
        return name + b"/" if entries[name].is_folder else name

    return b"".join(
        b"%s %s\0%s" % (entries[name].mode, name, bytes.fromhex(entries[name].sha))
        for name in sorted(entries, key=order)
    )


def tree_of_commit(body: bytes) -> str:
    """Return the id of a commit's tree. Raises ValueError for bytes that are no commit."""
    match = _COMMIT_TREE.match(body)
    if match is None:
        raise ValueError("a commit has no tree")
    return match[1].decode("ascii")


def committed_at(commit: bytes) -> int:
    """Return when a commit was made, in Unix seconds. Raises ValueError where it does not say."""
    match = _COMMITTER.search(commit.partition(b"\n\n")[0])
    if match is None:
        raise ValueError("a commit has no committer")
    return int(match[1])


def format_commit(
    *, tree: str, parent: str | None, author: str, authored_at: int, committed_at: int, message: str
) -> bytes:
    """Return the bytes of a commit; times are Unix seconds, shown as UTC.

    ``author`` is ``"Name <address>"`` of any quality: see :func:`_identity`.
    """
    lines = [f"tree {tree}"]
    if parent is not None:
        lines.append(f"parent {parent}")
    lines.append(f"author {_identity(author)} {max(authored_at, 0)} +0000")
    lines.append(f"committer {NETRAVEN} {committed_at} +0000")
    return "\n".join([*lines, "", message]).encode("utf-8")


def copied_commit(original: bytes, tree: str, parent: str | None, trailer: str) -> bytes:
    """Return a commit with author, times and message of another one, and one more trailer.

    ``original`` is the body of that one; of its headers only author and committer are taken over.
    """
    headers, _, message = original.partition(b"\n\n")
    taken = [line for line in headers.split(b"\n") if line.startswith((b"author ", b"committer "))]
    ours = [f"tree {tree}", *([f"parent {parent}"] if parent is not None else [])]
    message = message.rstrip(b"\n")
    gap = b"\n" if message.rpartition(b"\n")[2].startswith(b"NetRaven-") else b"\n\n"
    lines = [*(line.encode("ascii") for line in ours), *taken, b"", message]
    return b"\n".join(lines) + gap + trailer.encode("ascii") + b"\n"


def with_signature(commit: bytes, signature: str) -> bytes:
    """Return the commit with a header of its signature (gitformat-signature(5)).

    ``signature`` is the armoured text; it covers the bytes of the commit without this header.
    """
    headers, _, message = commit.partition(b"\n\n")
    header = "gpgsig " + "\n ".join(signature.strip().splitlines())
    return b"%s\n%s\n\n%s" % (headers, header.encode("ascii"), message)


def commit_message(
    *, hostname: str, device_id: int, run_id: int | None, job_name: str, change: str
) -> str:
    """Return a subject that names the device and the change, then the trailers.

    Names are cleaned, so that neither a hostname nor a job's name can add a line.
    """
    trailers = [f"NetRaven-Device: {device_id}"]
    if run_id is not None:
        trailers.append(f"NetRaven-Run: {run_id}")
    job = clean_name(job_name)
    if job:
        trailers.append(f"NetRaven-Job: {job}")
    subject = f"{clean_name(hostname) or f'device {device_id}'}: {change}"
    return "\n".join([subject, "", *trailers, ""])


def clean_name(name: str) -> str:
    """Return a name as one line of bounded length; see :func:`clean_line`."""
    return clean_line(name, _NAME_LIMIT)


def clean_line(text: str, limit: int) -> str:
    """Return a text as one line of at most ``limit`` characters.

    Control, format (also bidirectional), surrogate and line-separating characters become spaces.
    """
    visible = (
        " " if unicodedata.category(character) in _INVISIBLE else character
        for character in text[: 4 * limit]
    )
    return " ".join("".join(visible).split())[:limit].rstrip()


def _identity(author: str) -> str:
    """Return the author as Git wants it; NetRaven where name or shape is missing."""
    match = _AUTHOR.fullmatch(clean_name(author))
    if match is None or not match[1].strip():
        return NETRAVEN
    return f"{match[1].strip()} <{match[2].strip()}>"


def named_references(lines: bytes) -> dict[str, str]:
    """Object ids by name from lines of ``ID NAME``, without names that are no UTF-8."""
    found = {}
    for line in lines.splitlines():
        object_id, _, name = line.partition(b" ")
        with suppress(UnicodeDecodeError):
            found[name.decode()] = object_id.decode("ascii")
    return found
