"""What a check of everything that is stored has found, and what can be done about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Problem(StrEnum):
    """What is wrong. The values are part of the output of ``verify_store --json``."""

    STORE_UNUSABLE = "store_unusable"
    REPOSITORY_DAMAGED = "repository_damaged"
    TEXT_MISSING = "text_missing"
    COMMIT_WRONG = "commit_wrong"
    ROW_WRONG = "row_wrong"
    NEWEST_DIFFERS = "newest_differs"
    FILE_UNKNOWN = "file_unknown"
    TEXT_LOST = "text_lost"
    RELINK_OPEN = "relink_open"
    PENDING_LONG = "pending_long"
    ARCHIVE_DAMAGED = "archive_damaged"
    ARCHIVE_SIZE = "archive_size"
    KEY_MISSING = "key_missing"
    SEARCH_STALE = "search_stale"


_REPAIR = "run 'python manage.py verify_store --repair'"
ADVICE = {
    Problem.STORE_UNUSABLE: f"see that its disk is mounted, then {_REPAIR}; backups wait in the "
    "database until then",
    Problem.REPOSITORY_DAMAGED: f"look after the disk, then {_REPAIR}",
    Problem.TEXT_MISSING: _REPAIR,
    Problem.COMMIT_WRONG: _REPAIR,
    Problem.ROW_WRONG: f"{_REPAIR}; the text in Git counts",
    Problem.NEWEST_DIFFERS: _REPAIR,
    Problem.FILE_UNKNOWN: f"{_REPAIR}; the file is then in the replaced repository only",
    Problem.TEXT_LOST: f"when what is missing is back, {_REPAIR}",
    Problem.RELINK_OPEN: f"a repair was interrupted; {_REPAIR} again",
    Problem.PENDING_LONG: "see that a worker runs and that the Git store can be written",
    Problem.ARCHIVE_DAMAGED: "bring the database back from its last good copy; the redacted text "
    "in Git is not affected",
    Problem.ARCHIVE_SIZE: "bring the database back from its last good copy",
    Problem.KEY_MISSING: "give the key back in NETRAVEN_ENCRYPTION_KEYS",
    Problem.SEARCH_STALE: _REPAIR,
}
#: Mended by building the repository anew.
BY_REBUILD = frozenset(
    {
        Problem.STORE_UNUSABLE,
        Problem.REPOSITORY_DAMAGED,
        Problem.TEXT_MISSING,
        Problem.COMMIT_WRONG,
        Problem.NEWEST_DIFFERS,
        Problem.FILE_UNKNOWN,
    }
)
#: Of each kind so many are named, so that a check of a lost store needs no more memory than any.
MOST_NAMED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    problem: Problem
    #: Plain words, without anything a device printed.
    detail: str
    #: Empty where it is about no device.
    hostname: str = ""
    snapshot_id: int | None = None
    archive_id: int | None = None
    #: Rows that it is about, where one finding stands for many.
    count: int = 1


@dataclass(slots=True)
class Report:
    """What was checked and found; safe to show."""

    #: How many of each kind were looked at, by its name in the plural.
    checked: Counter[str] = field(default_factory=Counter)
    counts: Counter[Problem] = field(default_factory=Counter)
    findings: dict[Problem, list[Finding]] = field(default_factory=dict)
    #: What is worth knowing and not wrong, a sentence each.
    notes: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.counts

    def add(self, finding: Finding) -> None:
        """Count ``finding``, and keep it while there are not too many of its kind."""
        self.counts[finding.problem] += finding.count
        named = self.findings.setdefault(finding.problem, [])
        if len(named) < MOST_NAMED:
            named.append(finding)
