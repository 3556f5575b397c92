"""The step from one configuration to the next: its size in lines, and a digest of its content."""

from __future__ import annotations

import hashlib
import signal
from dataclasses import dataclass
from pathlib import Path

from backups.engine.git.command import GitCommand
from backups.engine.git.differ import differ
from backups.engine.git.objects import Objects

#: A device may print a configuration that takes Git a minute to compare (measured: 60 s for 8 MB
#: of two different lines at random).
_DIFF_TIMEOUT_SECONDS = 10.0
_TREE_DIFF_TIMEOUT_SECONDS = 1.0
#: Named, so that neither a setting of the repository nor another version of git changes digests.
_OPTIONS = (
    *("-U0", "--diff-algorithm=myers", "--indent-heuristic", "--no-color"),
    *("--no-ext-diff", "--no-textconv"),
)


@dataclass(frozen=True, slots=True)
class Change:
    """What one revision changes against the one before it, in lines."""

    #: Blob id of the revision before; None for a first one.
    since: str | None
    added: int
    removed: int
    #: SHA-256 in hex over the removed and added lines, in order, each with its ``-`` or ``+`` and
    #: without its number; "" for a first revision. Where lines cannot be compared: over both ids.
    digest: str

    def __str__(self) -> str:
        if self.since is None:
            return f"first backup, {self.added} {'line' if self.added == 1 else 'lines'}"
        return f"+{self.added} -{self.removed} lines"


class DiffReader:
    """Counts and digests the lines of ``git diff -U0`` as they arrive; keeps none of them."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._rest = b""
        self.added = 0
        self.removed = 0
        #: False at the end where git sees binary content.
        self.has_hunks = False

    def write(self, data: bytes, /) -> int:
        """Take the next piece of the output."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line)
        return len(data)

    def digest(self) -> str:
        """Return the digest of all lines so far, in hex."""
        return self._digest.hexdigest()

    def _take(self, line: bytes) -> None:
        sign = line[:1]
        if sign == b"@":
            self.has_hunks = True
            return
        if not self.has_hunks or sign not in (b"+", b"-"):
            return  # the header, whose lines begin with + and - too; or "no newline at the end"
        self.added += sign == b"+"
        self.removed += sign == b"-"
        self._digest.update(line + b"\n")


def change_between(
    git: GitCommand, objects: Objects, since: str | None, blob: str, body: bytes
) -> Change:
    """Return the change from blob ``since`` to blob ``blob``, which holds ``body``.

    Both must be stored and differ. Every line counts as replaced where Git does not compare
    lines: it takes longer than 10 s, or the text holds a NUL and so is binary. Raises DeviceError.
    """
    if since is None:
        return Change(None, line_count(body), 0, "")
    reader = DiffReader()
    answer = git.execute(
        ["diff", *_OPTIONS, since, blob], timeout_seconds=_DIFF_TIMEOUT_SECONDS, sink=reader
    )
    if answer.status != -signal.SIGKILL:
        answer.checked("diff")
        if reader.has_hunks:
            return Change(since, reader.added, reader.removed, reader.digest())
    old = objects.needed("blob", since)
    digest = hashlib.sha256(f"{since} {blob}\n".encode("ascii")).hexdigest()
    return Change(since, line_count(body), line_count(old), digest)


def change_between_trees(
    repository: Path, trees: tuple[str, str], since: str, blob: str
) -> Change | None:
    """Return the same, told by two trees in which nothing else differs; None if that is no help.

    Many times as fast; whatever goes wrong is left to ``change_between``.
    """
    reader = DiffReader()
    seconds = _TREE_DIFF_TIMEOUT_SECONDS
    is_whole = differ(repository, _OPTIONS).diff(*trees, reader, timeout_seconds=seconds)
    if not is_whole or not reader.has_hunks:
        return None
    return Change(since, reader.added, reader.removed, reader.digest())


def line_count(body: bytes) -> int:
    """Return the number of lines as Git counts them: one without a line end counts too."""
    unfinished = bool(body) and not body.endswith(b"\n")
    return body.count(b"\n") + unfinished
