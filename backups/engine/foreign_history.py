"""Reads the history of a Git repository that another program wrote: Oxidized or RANCID."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from backups.engine.git.command import GitCommand

#: Bytes of one version that are read at the most; more is no configuration.
MAX_VERSION_BYTES = 32 * 1024 * 1024
#: ``git cat-file`` takes its ids from a pipe that holds 64 kB.
_VERSIONS_AT_ONCE = 500
_BATCH_BYTES = 16 * 1024 * 1024
#: A configuration of that repository must neither run a program nor ask another host
#: (git-config(1): log.showSignature, diff.external).
_CAREFUL = (
    *("-c", "log.showSignature=false"),
    *("-c", "diff.external="),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.commitGraph=false"),
)
#: What is missing there is not fetched, by no protocol. A setting of that repository may allow one
#: of them in spite of protocol.allow, but not in spite of these (git(1)).
_NOTHING_FETCHED = {"GIT_ALLOW_PROTOCOL": "", "GIT_NO_LAZY_FETCH": "1"}
_RECORD, _FIELD = "\x1e", "\x1f"
_RAW_ENTRY = re.compile(
    r":\d{6} (?P<mode>\d{6}) [0-9a-f]+ (?P<blob>[0-9a-f]{40}) (?P<kind>[A-Z])\d*"
)
#: What RANCID and Oxidized keep beside the configurations.
_NOT_CONFIGS = frozenset({"router.db", ".gitignore", "README", "README.md"})


class HistoryFormat(StrEnum):
    """Whose repository it is."""

    OXIDIZED = "oxidized"
    RANCID = "rancid"


def hostname_of(path: str) -> str:
    """The name of the device whose configuration the file at ``path`` is."""
    return PurePosixPath(path).name


class NoHistory(Exception):
    """There is no readable repository; the message is one line."""


@dataclass(frozen=True, slots=True)
class FileVersion:
    """One version of one file."""

    commit: str
    blob: str
    author_name: str
    #: Unix time in seconds, UTC.
    authored_at: int


class ForeignHistory:
    """The history of the current branch of the repository at ``path``, bare or with a work tree.

    Nothing is written there. Raises NoHistory when ``path`` holds no repository with a commit.
    """

    def __init__(self, path: Path, history_format: HistoryFormat) -> None:
        try:
            directory = path / ".git" if (path / ".git").is_dir() else path
            is_repository = (directory / "HEAD").is_file() and (directory / "objects").is_dir()
        except OSError as error:
            raise NoHistory(f"{path} cannot be read ({error.strerror})") from None
        if not is_repository:
            raise NoHistory(f"{path} is no Git repository; give the directory that git would take")
        self._git = GitCommand(directory.absolute())
        self._format = history_format
        self._run(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], "it has no commit")

    def versions(self) -> dict[str, list[FileVersion]]:
        """The versions of each configuration file by its path, in the order of the commits.

        A version that was deleted is none; a file that was renamed begins anew.
        """
        output = self._run(
            [
                *("log", "--reverse", "--topo-order", "--first-parent", "--root", "--raw", "-z"),
                *("--no-abbrev", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color"),
                *("--diff-merges=first-parent", "--diff-filter=AMT"),
                f"--format=tformat:{_RECORD}%H{_FIELD}%an{_FIELD}%at",
                *("HEAD", "--"),
            ],
            "its history cannot be read",
        )
        found: dict[str, list[FileVersion]] = {}
        for record in output.decode("utf-8", "replace").split(_RECORD)[1:]:
            try:
                changed = list(_changed_files(record))
            except ValueError:
                raise NoHistory(
                    "the repository is of no use: a name in it holds a control character"
                ) from None
            for path, version in changed:
                if self._is_config(path):
                    found.setdefault(path, []).append(version)
        return found

    def contents(
        self, versions: Sequence[FileVersion]
    ) -> Iterator[tuple[FileVersion, bytes | None]]:
        """Each of ``versions`` with its bytes; None for one that is missing or too large."""
        for start in range(0, len(versions), _VERSIONS_AT_ONCE):
            chunk = versions[start : start + _VERSIONS_AT_ONCE]
            sizes = self._sizes([version.blob for version in chunk])
            for batch in _batches(chunk, sizes):
                bodies = self._bodies([version.blob for version in batch if version.blob in sizes])
                for version in batch:
                    yield version, bodies.get(version.blob)

    def _is_config(self, path: str) -> bool:
        file = PurePosixPath(path)
        if file.name in _NOT_CONFIGS or file.name.startswith("."):
            return False
        # RANCID: GROUP/configs/NODE, or configs/NODE where each group has a repository.
        return self._format is HistoryFormat.OXIDIZED or file.parent.name == "configs"

    def _sizes(self, ids: Sequence[str]) -> dict[str, int]:
        """The sizes of those blobs that exist and may be read, in bytes."""
        output = self._run(["cat-file", "--batch-check"], "its objects cannot be read", _lines(ids))
        rows = (line.split() for line in output.decode("ascii", "replace").splitlines())
        sizes = {row[0]: int(row[2]) for row in rows if len(row) == 3 and row[1] == "blob"}
        return {blob: size for blob, size in sizes.items() if size <= MAX_VERSION_BYTES}

    def _bodies(self, ids: Sequence[str]) -> dict[str, bytes]:
        """The bytes of blobs that exist (git-cat-file(1), BATCH OUTPUT)."""
        wanted = list(dict.fromkeys(ids))
        output = self._run(["cat-file", "--batch"], "its objects cannot be read", _lines(wanted))
        bodies: dict[str, bytes] = {}
        position = 0
        for _ in wanted:
            end = output.index(b"\n", position)
            blob, _kind, size = output[position:end].decode("ascii").split()
            bodies[blob] = output[end + 1 : end + 1 + int(size)]
            position = end + int(size) + 2
        return bodies

    def _run(self, arguments: Sequence[str], failure: str, stdin: bytes = b"") -> bytes:
        answer = self._git.execute([*_CAREFUL, *arguments], stdin, environment=_NOTHING_FETCHED)
        if answer.status != 0:
            reason = " ".join(answer.complaints.split())[:200]
            raise NoHistory(f"the repository is of no use: {failure}" + (reason and f" ({reason})"))
        return answer.output


def _changed_files(record: str) -> Iterator[tuple[str, FileVersion]]:
    """Path and version of each plain file that one commit changed."""
    head, *rest = record.split("\0")
    commit, name, authored_at = head.strip("\n").split(_FIELD)
    entries = [entry.lstrip("\n") for entry in rest]
    for entry, path in zip(entries[::2], entries[1::2], strict=False):
        match = _RAW_ENTRY.fullmatch(entry)
        if match is None or not match["mode"].startswith("100"):
            continue
        yield path, FileVersion(commit, match["blob"], name, max(0, int(authored_at)))


def _batches(
    versions: Sequence[FileVersion], sizes: Mapping[str, int]
) -> Iterator[list[FileVersion]]:
    """``versions`` in order, in groups that are not too large to be read at once."""
    batch: list[FileVersion] = []
    total = 0
    for version in versions:
        size = sizes.get(version.blob, 0)
        if batch and total + size > _BATCH_BYTES:
            yield batch
            batch, total = [], 0
        batch.append(version)
        total += size
    if batch:
        yield batch


def _lines(ids: Sequence[str]) -> bytes:
    return "".join(f"{blob}\n" for blob in ids).encode("ascii")
