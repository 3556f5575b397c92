"""pytest plugin: how long each fault test took from the fault to the end of the run, as a table.

``pytest tests/faults --recovery-table docs/reliability.md`` writes it between two marks in a
document. Each test says what it did through the fixture ``recovery``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

BEGIN, END = "<!-- recovery-table -->", "<!-- end of recovery-table -->"
_HEAD = (
    "| fault | what is lost | what repairs it | fault to end of run |",
    "|---|---|---|---|",
)


@dataclass(frozen=True, slots=True)
class Recovery:
    """One row of the table."""

    fault: str
    lost: str
    repaired_by: str
    seconds: float

    def __str__(self) -> str:
        return f"| {self.fault} | {self.lost} | {self.repaired_by} | {self.seconds:.1f} s |"


_rows = pytest.StashKey[list[Recovery]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--recovery-table",
        type=Path,
        metavar="FILE",
        help="write what the fault tests measured into this Markdown file",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_rows] = []


@pytest.fixture
def recovery(pytestconfig: pytest.Config) -> Callable[[Recovery], None]:
    """Remember a row for the table."""
    return pytestconfig.stash[_rows].append


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Only a run in which all went well is written down."""
    file: Path | None = session.config.getoption("--recovery-table")
    rows = session.config.stash[_rows]
    if file is None or not rows or exitstatus != pytest.ExitCode.OK:
        return
    text = file.read_text(encoding="utf-8")
    before, mark, rest = text.partition(BEGIN)
    _, end_mark, after = rest.partition(END)
    if not mark or not end_mark:
        raise pytest.UsageError(f"{file} has no place for the table: {BEGIN} … {END}")
    lines = [before + mark, *_HEAD, *map(str, rows), end_mark + after]
    file.write_text("\n".join(lines), encoding="utf-8")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = terminalreporter.config.stash[_rows]
    if rows:
        terminalreporter.write_sep("-", "recovery")
        for row in (*_HEAD, *rows):
            terminalreporter.write_line(str(row))
